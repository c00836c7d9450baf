//! The password side of the contract: an attempt goes in, an answer comes out.
//!
//! Implemented by `backend::store` and `backend::pam`, called by the
//! authenticator, which makes a verdict of the answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::base::{Identity, Origin, Reason, Secret};

/// A claim to be checked: this identity, with this password, for this service.
/// Has no `Debug`: it holds a secret.
pub struct Attempt {
    /// Who is claimed.
    pub identity: Identity,
    /// The proof. Never empty: servers refuse empty passwords before they ask.
    pub password: Secret,
    /// What it is for (`smtp`, `imap`, ...). Chosen by the client: never trusted.
    pub service: Service,
    /// Where the claim came from.
    pub origin: Origin,
}

/// A service name as the client gave it: at most 256 bytes of UTF-8 without
/// control characters; may be empty (Exim sends none).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Service(String);

impl Service {
    /// Longest service name in bytes, as saslauthd 2.1.28 takes it.
    pub const MAX_BYTES: usize = 256;

    /// Takes a service name; `None` if it is too long, not UTF-8 or holds a control character.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let is_fit = text.len() <= Self::MAX_BYTES && !text.chars().any(char::is_control);
        is_fit.then(|| Self(text.to_owned()))
    }

    /// The name; may be empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one backend says of one attempt.
#[derive(Debug)]
pub enum Answer {
    /// The password is right and the account may be used. `user` is the
    /// identity as the backend knows it where it differs from the claim.
    Accepted {
        /// The mapped identity, if the backend renamed the user.
        user: Option<Identity>,
    },
    /// This backend does not know the user: the next one is asked. The backend
    /// has spent as much time as a wrong password would have cost.
    Unknown,
    /// The backend knows the user, and no.
    Rejected(Reason),
    /// The backend could not tell.
    Unavailable(Reason),
}

/// A future that owns what it needs.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An answer at once, or later. `Ready` is the fast path: it has cost
/// microseconds, crossed no thread and waited for nothing.
pub enum Verification {
    /// Known already.
    Ready(Answer),
    /// Needs a worker, a process or the network.
    Pending(Pending<Answer>),
}

/// Somebody who can check a password.
pub trait Verify: Send + Sync {
    /// The name in configuration and log: `store`, `pam`, ...
    fn name(&self) -> &'static str;

    /// Checks `attempt`. Must not block the calling thread for more than a few
    /// tens of microseconds; a pending answer keeps its own deadline and always ends.
    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification;
}
