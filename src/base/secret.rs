//! A password or token: wiped on drop, never printed, compared in constant time.
//!
//! Every secret that enters the process becomes a [`Secret`] at the border and
//! stays one. There is no `Debug`, `Display`, `Clone` or `Serialize`, so a
//! secret cannot reach a log, an error or an argument list by accident. The
//! length is bounded, and a NUL is refused: C consumers (PAM, the original
//! saslauthd) would silently check only what stands before it.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Longest secret in bytes: what a libsasl2 client can send to saslauthd
/// (its request buffer has 8,192 bytes, 30 of them reserved).
pub const MAX_SECRET_BYTES: usize = 8162;

/// A password or token of 0 to [`MAX_SECRET_BYTES`] bytes without NUL, wiped on drop.
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why bytes cannot be a [`Secret`]. Carries nothing of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// A NUL byte: C code behind us would cut the password there.
    #[error("the password contains a NUL byte")]
    Nul,
    /// More than [`MAX_SECRET_BYTES`].
    #[error("the password is longer than {MAX_SECRET_BYTES} bytes")]
    TooLong,
}

impl Secret {
    /// Takes ownership of `bytes`; they are wiped also when refused.
    ///
    /// # Errors
    /// [`SecretError::Nul`] or [`SecretError::TooLong`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretError> {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(SecretError::TooLong);
        }
        if bytes.contains(&0) {
            return Err(SecretError::Nul);
        }
        Ok(Self(bytes))
    }

    /// Copies `bytes`; the caller wipes its own copy.
    ///
    /// # Errors
    /// As [`Secret::new`].
    pub fn copied_from(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(SecretError::TooLong);
        }
        Self::new(bytes.to_vec())
    }

    /// The bytes, for the one place that hashes or sends them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// True if there is nothing in it. An empty password is never verified (RFC 4513 §5.1.2).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in time that depends on the lengths only.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_nul_anywhere() {
        assert_eq!(Secret::new(b"s3cret\0junk".to_vec()).err(), Some(SecretError::Nul));
        assert_eq!(Secret::new(b"\0".to_vec()).err(), Some(SecretError::Nul));
    }

    #[test]
    fn takes_exactly_the_limit() {
        assert!(Secret::new(vec![b'x'; MAX_SECRET_BYTES]).is_ok());
        assert_eq!(
            Secret::copied_from(&vec![b'x'; MAX_SECRET_BYTES + 1]).err(),
            Some(SecretError::TooLong)
        );
    }

    #[test]
    fn matches_only_equal_bytes() {
        let secret = |text: &str| Secret::copied_from(text.as_bytes()).unwrap();
        assert!(secret("s3cret").matches(&secret("s3cret")));
        assert!(!secret("s3cret").matches(&secret("s3cre")));
        assert!(!secret("s3cret").matches(&secret("s3creT")));
    }
}
