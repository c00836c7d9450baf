//! Who somebody claims to be: a user in a realm. The one place for `@` rules.
//!
//! ```text
//! login field   realm field   identity
//! alice         (empty)       alice @ default realm
//! alice         example.org   alice @ example.org
//! alice@ex.org  (empty)       alice @ ex.org        (Exim and testsaslauthd do not split)
//! a@b@c         (empty)       a@b   @ c             (the last @, as libsasl2 splits)
//! alice@a       b             alice@a @ b           (libsasl2 already split at the last @)
//! ```
//!
//! Realms are compared as domain names are, so ASCII letters are folded to
//! lower case; users are compared byte for byte, as sasldb did.

use std::fmt;

/// Longest user part in bytes (libsasl2 canonicalises at most 1,024).
pub const MAX_USER_BYTES: usize = 1024;
/// Longest realm in bytes (what saslauthd 2.1.28 takes; a domain name has 255, RFC 1035 §2.3.4).
pub const MAX_REALM_BYTES: usize = 256;

/// A user in a realm. Both parts are UTF-8 without control characters;
/// `1 <= user.len() <= 1024`, `realm.len() <= 256`, and the realm is lower case without `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    user: String,
    realm: String,
}

/// Why a name is not an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No user part.
    #[error("the user name is empty")]
    EmptyUser,
    /// User beyond [`MAX_USER_BYTES`] or realm beyond [`MAX_REALM_BYTES`].
    #[error("the user name or realm is too long")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the user name or realm is not UTF-8")]
    NotUtf8,
    /// A control character (C0, DEL, C1), NUL included.
    #[error("the user name or realm contains a control character")]
    ControlCharacter,
    /// White space around the user, or any in the realm, or an `@` in the realm.
    #[error("the user name or realm contains a character that is not allowed there")]
    Misplaced,
}

impl Identity {
    /// Builds an identity from a login and a realm field as they came over the
    /// wire. `default_realm` fills in where neither names one.
    ///
    /// # Errors
    /// See [`IdentityError`]; nothing is repaired silently.
    pub fn from_wire(
        login: &[u8],
        realm: &[u8],
        default_realm: &str,
    ) -> Result<Self, IdentityError> {
        let login = std::str::from_utf8(login).map_err(|_| IdentityError::NotUtf8)?;
        let realm = std::str::from_utf8(realm).map_err(|_| IdentityError::NotUtf8)?;
        if !realm.is_empty() {
            return Self::new(login, realm);
        }
        Self::parse(login, default_realm)
    }

    /// True if a login and a realm field name a realm; else
    /// [`from_wire`](Self::from_wire) takes the default one.
    #[must_use]
    pub fn names_realm(login: &[u8], realm: &[u8]) -> bool {
        let behind_at = || login.iter().rposition(|byte| *byte == b'@').map(|at| at + 1);
        !realm.is_empty() || behind_at().is_some_and(|start| start < login.len())
    }

    /// Parses `user` or `user@realm`, split at the last `@`. A trailing `@`
    /// (empty realm) means the default realm, as libsasl2 sends it.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn parse(text: &str, default_realm: &str) -> Result<Self, IdentityError> {
        match text.rsplit_once('@') {
            Some((user, realm)) if !realm.is_empty() => Self::new(user, realm),
            Some((user, _)) => Self::new(user, default_realm),
            None => Self::new(text, default_realm),
        }
    }

    /// Builds an identity from parts that are already split.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn new(user: &str, realm: &str) -> Result<Self, IdentityError> {
        if user.is_empty() {
            return Err(IdentityError::EmptyUser);
        }
        if user.len() > MAX_USER_BYTES || realm.len() > MAX_REALM_BYTES {
            return Err(IdentityError::TooLong);
        }
        if user.chars().chain(realm.chars()).any(char::is_control) {
            return Err(IdentityError::ControlCharacter);
        }
        let is_padded = user.trim() != user;
        if is_padded || realm.contains(|c: char| c == '@' || c.is_whitespace()) {
            return Err(IdentityError::Misplaced);
        }
        Ok(Self { user: user.to_owned(), realm: realm.to_ascii_lowercase() })
    }

    /// The part before the `@`.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The part behind the `@`, lower case; empty only if there is no default realm either.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }
}

impl fmt::Display for Identity {
    /// `user@realm`, or `user` where the realm is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.realm.is_empty() {
            return f.write_str(&self.user);
        }
        write!(f, "{}@{}", self.user, self.realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(login: &str, realm: &str) -> Result<(String, String), IdentityError> {
        Identity::from_wire(login.as_bytes(), realm.as_bytes(), "host.test")
            .map(|id| (id.user().to_owned(), id.realm().to_owned()))
    }

    #[test]
    fn splits_where_libsasl2_splits() {
        let pair = |user: &str, realm: &str| Ok((user.to_owned(), realm.to_owned()));
        assert_eq!(wire("alice", ""), pair("alice", "host.test"));
        assert_eq!(wire("alice", "Example.ORG"), pair("alice", "example.org"));
        assert_eq!(wire("alice@ex.org", ""), pair("alice", "ex.org"));
        assert_eq!(wire("a@b@c", ""), pair("a@b", "c"));
        assert_eq!(wire("alice@a", "b"), pair("alice@a", "b"));
        assert_eq!(wire("alice@", ""), pair("alice", "host.test"));
        let longest = "r".repeat(256);
        assert_eq!(wire("alice", &longest), pair("alice", &longest));
    }

    #[test]
    fn refuses_names_that_hide_something() {
        assert_eq!(wire("", ""), Err(IdentityError::EmptyUser));
        assert_eq!(wire("@ex.org", ""), Err(IdentityError::EmptyUser));
        assert_eq!(wire("alice\0evil", ""), Err(IdentityError::ControlCharacter));
        assert_eq!(wire("alice\nroot", ""), Err(IdentityError::ControlCharacter));
        assert_eq!(wire("alice", "a@b"), Err(IdentityError::Misplaced));
        assert_eq!(wire(" alice", ""), Err(IdentityError::Misplaced));
        assert_eq!(wire("alice", "a b"), Err(IdentityError::Misplaced));
        assert_eq!(Identity::from_wire(b"\xff", b"", "r").err(), Some(IdentityError::NotUtf8));
        assert_eq!(wire(&"u".repeat(MAX_USER_BYTES + 1), ""), Err(IdentityError::TooLong));
        assert_eq!(wire("alice", &"r".repeat(257)), Err(IdentityError::TooLong));
    }
}
