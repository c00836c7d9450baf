//! A record of a sasldb2: a property of a user in a realm. Pure.
//!
//! ```text
//! key     user 00 realm 00 property     exactly two NULs, case matters, no Unicode preparation
//! value   any bytes; the password itself for the property userPassword
//! ```

use zeroize::Zeroizing;

/// The property that holds a password.
pub const PASSWORD: &[u8] = b"userPassword";

/// The parts of a key, as bytes: any charset, possibly empty, without NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) user: &'a [u8],
    pub(super) realm: &'a [u8],
    pub(super) property: &'a [u8],
}

impl<'a> Key<'a> {
    /// Splits a key; `None` if it has not exactly two NULs. The original's
    /// sasldblistusers2 goes round for ever at such a key.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = bytes.split(|byte| *byte == 0);
        let (user, realm, property) = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(Self { user, realm, property })
    }

    /// True if the value is the password.
    pub(super) fn is_password(&self) -> bool {
        self.property == PASSWORD
    }
}

/// A record of its own. Has no `Debug`: it may hold a password.
pub struct Entry {
    /// Bytes of any charset, possibly none, without NUL.
    pub user: Vec<u8>,
    /// As [`user`](Self::user); in the case of letters that it was written in.
    pub realm: Vec<u8>,
    /// `userPassword`, `cmusaslsecretOTP`, ...
    pub property: Vec<u8>,
    /// Any bytes, wiped on drop.
    pub value: Zeroizing<Vec<u8>>,
}

impl Entry {
    /// True if [`value`](Self::value) is the password, as it is typed.
    #[must_use]
    pub fn is_password(&self) -> bool {
        self.property == PASSWORD
    }
}
