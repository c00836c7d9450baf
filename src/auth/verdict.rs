//! The three outcomes, and the proof that one of them is.
//!
//! Made by the authenticator and by a SASL conversation, nowhere else; turned
//! into replies in one place for each protocol.

use super::handover::HandoverToken;
use crate::base::{Identity, Reason};

/// The outcome of an authentication. "No" and "could not ask" never share a
/// value: code that turns [`Verdict::Unavailable`] into either of the others
/// is wrong.
#[derive(Debug)]
pub enum Verdict {
    /// The claim is proven.
    Accepted(Authenticated),
    /// The claim is wrong, or the account may not be used. Permanent.
    Rejected(Reason),
    /// Nobody could be asked. Temporary: a client may try again.
    Unavailable(Reason),
}

/// Proof that a user was authenticated. Only `auth` can make one; opening a
/// relay connection asks for one, so an unauthenticated relay does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    identity: Identity,
    backend: &'static str,
    handover: Option<HandoverToken>,
}

impl Authenticated {
    pub(in crate::auth) fn new(identity: Identity, backend: &'static str) -> Self {
        Self { identity, backend, handover: None }
    }

    /// With the token that came along with the acceptance.
    pub(in crate::auth) fn with_handover(self, handover: Option<HandoverToken>) -> Self {
        Self { handover, ..self }
    }

    /// Takes the one-time token for the mail server, where authd gave one.
    #[must_use]
    pub fn take_handover(&mut self) -> Option<HandoverToken> {
        self.handover.take()
    }

    /// Who was authenticated: the name the backend knows, which a PAM module may have mapped.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Name of the backend that said so (`store`, `pam`, ...), for the log.
    #[must_use]
    pub fn backend(&self) -> &'static str {
        self.backend
    }

    /// A proof for tests of what comes after authentication.
    #[cfg(test)]
    pub(crate) fn for_tests(user: &str, realm: &str) -> Self {
        let identity = Identity::new(user, realm).expect("a valid test identity");
        Self::new(identity, "test")
    }
}
