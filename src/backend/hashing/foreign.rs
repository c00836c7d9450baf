//! A hash that somebody else has made: one of crypt(3), or a salted digest.
//!
//! What the store keeps of imported users until their next login.

use super::crypt::{CryptError, CryptHash};
use super::salted::SaltedHash;
use crate::base::Secret;

/// A hash that can be checked, but that we would not make. Worth guessing at: never logged.
pub(in crate::backend) enum ForeignHash {
    /// `$6$...` and its like.
    Crypt(CryptHash),
    /// `{SSHA}...` and its like.
    Salted(SaltedHash),
}

impl ForeignHash {
    /// Reads a string of [`CryptHash`] or of [`SaltedHash`], told apart by the brace.
    ///
    /// # Errors
    /// Why it cannot be checked, of [`CryptError`] all but `OutOfMemory` and `Library`.
    pub(in crate::backend) fn parse(text: &str) -> Result<Self, CryptError> {
        if text.starts_with('{') {
            return SaltedHash::parse(text).map(Self::Salted).map_err(|_| CryptError::Syntax);
        }
        CryptHash::parse(text).map(Self::Crypt)
    }

    /// True if `password` is the one this was made of. Takes as long as the
    /// costs in it say, so it is for a hash thread.
    ///
    /// # Errors
    /// `OutOfMemory`, `Library`: the question was not answered.
    pub(in crate::backend) fn matches(&self, password: &Secret) -> Result<bool, CryptError> {
        match self {
            Self::Crypt(hash) => hash.matches(password),
            Self::Salted(hash) => Ok(hash.matches(password)),
        }
    }
}
