//! The password side of the contract: an attempt goes in, an answer comes out.
//!
//! Implemented by backends, called by the authenticator, which makes a verdict
//! of the answers and may remember them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::handover::HandoverToken;
use crate::base::{Identity, Origin, Reason, Secret};

/// A claim to be checked: this identity, with this password, for this service.
/// Has no `Debug`: it holds a secret.
pub struct Attempt {
    /// Who is claimed.
    pub identity: Identity,
    /// Whether the claim named the realm of `identity`. Backends that know
    /// users without a realm (accounts of the host, a directory) see the difference.
    pub realm: RealmSource,
    /// The proof. Never empty: servers refuse empty passwords before they ask.
    pub password: Secret,
    /// What it is for (`smtp`, `imap`, ...). Chosen by the client: never trusted.
    pub service: Service,
    /// Where the claim came from.
    pub origin: Origin,
}

/// Where the realm of an identity is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RealmSource {
    /// From the realm field: libsasl2 splits logins, or its program set a realm.
    Claim,
    /// From the login itself (`alice@example.org`, the realm field empty): Exim
    /// and testsaslauthd do not split.
    Login,
    /// Neither named one: our default realm.
    Default,
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

/// What a backend knows of an attempt that it accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The identity as the backend knows it, where it differs from the claim.
    pub user: Option<Identity>,
    /// Label of the app password that fitted; `None` for the password of the account.
    pub label: Option<Box<str>>,
    /// The acceptance holds no longer than this, since what it rests on expires then.
    pub valid_for: Option<Duration>,
    /// A one-time token for the mail server, where the other side is our authd and gave one.
    pub handover: Option<HandoverToken>,
}

/// The state of all that a backend's answers rest on: a file, a database.
/// Two equal revisions of one backend mean that nothing has changed in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revision(pub u64);

/// What an answer about one user rests on: a digest of the user's records as
/// the backend holds them. Two equal grounds give the same answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grounds(pub u64);

/// What one backend says of one attempt.
#[derive(Debug)]
pub enum Answer {
    /// The password is right and the account may be used.
    Accepted(Accepted),
    /// This backend does not know the user: the next one is asked. The backend
    /// has spent as much time as a wrong password would have cost.
    Unknown,
    /// The backend knows the user, and no.
    Rejected(Reason),
    /// The backend could not tell.
    Unavailable(Reason),
}

impl Answer {
    /// The same without the words of a server that repeats `password` in them:
    /// details go to the log.
    #[must_use]
    pub fn without(mut self, password: &Secret) -> Self {
        if let Self::Rejected(reason) | Self::Unavailable(reason) = &mut self {
            let words = reason.detail.as_bytes();
            let length = password.expose().len().max(1);
            if words.windows(length).any(|part| part == password.expose()) {
                reason.detail =
                    "the server repeats the password, so its words are not shown".into();
            }
        }
        self
    }
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

    /// The present [`Revision`]. Asked each time a cached acceptance is to be
    /// repeated, so it costs a system call or two and never waits. A change
    /// that somebody was told of must show here, except where
    /// [`may_change_unseen`](Self::may_change_unseen) says that it may not.
    fn revision(&self) -> Revision {
        Revision::default()
    }

    /// The present [`Grounds`] of an answer about `identity`, for a user who is
    /// not known as well; `None` if they cannot be told now, which counts as
    /// changed. Asked before [`verify`](Self::verify), and again when the
    /// revision has changed, so that a change of one user costs the others
    /// nothing but a look-up.
    fn grounds(&self, identity: &Identity) -> Option<Grounds> {
        let _ = identity;
        Some(Grounds::default())
    }

    /// True if a password may change without another revision or other
    /// grounds: it is in a directory across the network, or wherever a module
    /// looks. Cached answers about a user then also end when another password
    /// of the same user is accepted; until then, or by time, an old one passes.
    fn may_change_unseen(&self) -> bool {
        true
    }

    /// Learns that an earlier acceptance of `identity` was repeated from the cache.
    fn recalled(&self, identity: &Identity, label: Option<&str>) {
        let _ = (identity, label);
    }
}
