//! Stored passwords as directories have them: `{SSHA}` and its like (RFC 2307 §5.3).
//!
//! | prefix | what follows |
//! |---|---|
//! | `{CRYPT}`, `{UNIX}` | a hash of crypt(3) |
//! | `{MD5}`, `{SHA}`, `{SHA256}`, `{SHA384}`, `{SHA512}` | base64 of the digest of the password |
//! | `{SMD5}`, `{SSHA}`, `{SSHA256}`, `{SSHA384}`, `{SSHA512}` | base64 of the digest of password and salt, then the salt |
//! | `{ARGON2}` | `$argon2id$...` |
//! | `{CLEARTEXT}`, or no prefix | the password |
//!
//! The original knows the first half of them, and takes whatever it does not
//! know for a password in clear. Computed on hash threads, compared in
//! constant time.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::backend::hashing::{CryptError, CryptHash, Verifier, Worker};
use crate::base::Secret;

/// Longest prefix that is named in an error.
const PREFIX_BYTES: usize = 20;

/// A stored password. Worth guessing at, or the password itself: never logged.
pub(super) enum Stored {
    Digest {
        algorithm: Algorithm,
        digest: Vec<u8>,
        salt: Vec<u8>,
    },
    Crypt(CryptHash),
    Argon2(Verifier),
    Clear(Secret),
    /// Locked, or empty: no password fits.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Why a stored password cannot be checked. Names the scheme and nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("a password is stored as {0}, which saslgate cannot check: use the method \"search\"")]
    Scheme(String),
    #[error("a password stored as {0} is damaged: {1}")]
    Damaged(&'static str, String),
    #[error("a password could not be checked: {0}")]
    Failed(String),
}

impl Stored {
    /// Reads a value of the password attribute.
    pub(super) fn parse(value: &[u8]) -> Result<Self, Unusable> {
        let Some((prefix, rest)) = prefix(value) else { return Ok(clear(value)) };
        let digest = |name, algorithm, salted| digest(name, algorithm, salted, rest);
        match prefix.to_ascii_uppercase().as_str() {
            "CRYPT" | "UNIX" => crypt(rest),
            "ARGON2" => {
                let text = String::from_utf8_lossy(rest);
                let verifier = Verifier::parse(&text);
                verifier.map(Self::Argon2).map_err(|error| damaged("{ARGON2}", &error))
            }
            "CLEARTEXT" => Ok(clear(rest)),
            "MD5" => digest("{MD5}", Algorithm::Md5, Salt::None),
            "SMD5" => digest("{SMD5}", Algorithm::Md5, Salt::Behind),
            "SHA" => digest("{SHA}", Algorithm::Sha1, Salt::None),
            "SSHA" => digest("{SSHA}", Algorithm::Sha1, Salt::Behind),
            "SHA256" => digest("{SHA256}", Algorithm::Sha256, Salt::None),
            "SSHA256" => digest("{SSHA256}", Algorithm::Sha256, Salt::Behind),
            "SHA384" => digest("{SHA384}", Algorithm::Sha384, Salt::None),
            "SSHA384" => digest("{SSHA384}", Algorithm::Sha384, Salt::Behind),
            "SHA512" => digest("{SHA512}", Algorithm::Sha512, Salt::None),
            "SSHA512" => digest("{SSHA512}", Algorithm::Sha512, Salt::Behind),
            _ => Err(Unusable::Scheme(format!("{{{prefix}}}"))),
        }
    }

    /// True if `password` is the one.
    pub(super) fn matches(
        &self,
        worker: &mut Worker<'_>,
        password: &Secret,
    ) -> Result<bool, Unusable> {
        let failed = |error: &dyn std::fmt::Display| Unusable::Failed(error.to_string());
        match self {
            Self::Digest { algorithm, digest, salt } => {
                let computed = algorithm.digest(password.expose(), salt);
                Ok(computed.ct_eq(digest).into())
            }
            Self::Crypt(hash) => worker.matches_crypt(hash, password).map_err(|e| failed(&e)),
            Self::Argon2(verifier) => worker.matches(verifier, password).map_err(|e| failed(&e)),
            Self::Clear(stored) => Ok(!stored.is_empty() && stored.matches(password)),
            Self::Nothing => Ok(false),
        }
    }

    /// One that costs as much and that no password fits, for users who do not exist.
    pub(super) fn decoy(&self) -> Self {
        match self {
            Self::Crypt(hash) => hash.decoy().map_or(Self::Nothing, Self::Crypt),
            // The rest takes microseconds, or is not known before it is computed.
            Self::Digest { .. } | Self::Argon2(_) | Self::Clear(_) | Self::Nothing => Self::Nothing,
        }
    }
}

/// Whether a salt stands behind the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Salt {
    None,
    Behind,
}

/// Parts `{WORD}rest`.
fn prefix(value: &[u8]) -> Option<(&str, &[u8])> {
    let inner = value.strip_prefix(b"{")?;
    let end = inner.iter().take(PREFIX_BYTES + 1).position(|byte| *byte == b'}')?;
    let word = std::str::from_utf8(&inner[..end]).ok()?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/.".contains(&byte);
    (!word.is_empty() && word.bytes().all(is_word)).then_some((word, &inner[end + 1..]))
}

fn clear(value: &[u8]) -> Stored {
    Secret::copied_from(value).map_or(Stored::Nothing, Stored::Clear)
}

fn crypt(rest: &[u8]) -> Result<Stored, Unusable> {
    let text = std::str::from_utf8(rest).map_err(|error| damaged("{CRYPT}", &error))?;
    match CryptHash::parse(text) {
        Ok(hash) => Ok(Stored::Crypt(hash)),
        Err(CryptError::Empty | CryptError::Locked) => Ok(Stored::Nothing),
        Err(CryptError::Scheme(name)) => Err(Unusable::Scheme(format!("{{CRYPT}} of {name}"))),
        Err(error) => Err(damaged("{CRYPT}", &error)),
    }
}

fn digest(
    name: &'static str,
    algorithm: Algorithm,
    salt: Salt,
    rest: &[u8],
) -> Result<Stored, Unusable> {
    let mut digest = STANDARD.decode(rest).map_err(|error| damaged(name, &error))?;
    let length = algorithm.bytes();
    let is_fit = match salt {
        Salt::None => digest.len() == length,
        // The original compares beyond the end of one that is too short.
        Salt::Behind => digest.len() >= length,
    };
    if !is_fit {
        return Err(Unusable::Damaged(name, format!("it has {} bytes", digest.len())));
    }
    let salt = digest.split_off(length);
    Ok(Stored::Digest { algorithm, digest, salt })
}

fn damaged(name: &'static str, error: &dyn std::fmt::Display) -> Unusable {
    Unusable::Damaged(name, error.to_string())
}

impl Algorithm {
    fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, password: &[u8], salt: &[u8]) -> Vec<u8> {
        fn of<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
            D::new().chain_update(password).chain_update(salt).finalize().to_vec()
        }
        match self {
            Self::Md5 => of::<Md5>(password, salt),
            Self::Sha1 => of::<Sha1>(password, salt),
            Self::Sha256 => of::<Sha256>(password, salt),
            Self::Sha384 => of::<Sha384>(password, salt),
            Self::Sha512 => of::<Sha512>(password, salt),
        }
    }
}
