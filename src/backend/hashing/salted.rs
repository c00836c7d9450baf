//! Salted SHA and MD5 digests, as LDAP servers and Dovecot keep them, checked.
//!
//! ```text
//! {SSHA512} BASE64(digest salt)    SHA-512 of password and salt; also {SSHA256}, {SSHA}, {SMD5}
//! {SHA512} BASE64(digest)          without salt; also {SHA256}, {SHA}, {MD5}
//! ```
//!
//! One round each: a graphics card guesses a thousand million of them in a
//! second. They are checked so that users can come along, and the store makes
//! argon2id of them at the next login.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::Secret;

/// A parsed digest. Worth guessing at: never logged.
pub(in crate::backend) struct SaltedHash {
    function: Function,
    digest: Vec<u8>,
    /// Empty for the schemes without; at most [`MAX_SALT_BYTES`].
    salt: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// The string is none of these schemes, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no salted digest")]
pub(in crate::backend) struct SaltedError;

impl SaltedHash {
    /// Reads `{SCHEME}BASE64`; the scheme in capitals or not, padding or not.
    ///
    /// # Errors
    /// [`SaltedError`].
    pub(in crate::backend) fn parse(text: &str) -> Result<Self, SaltedError> {
        let (scheme, data) =
            text.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or(SaltedError)?;
        let data = BASE64.decode(data).map_err(|_| SaltedError)?;
        Self::of(scheme, &data)
    }

    /// The hash of what stands behind `scheme`, decoded.
    ///
    /// # Errors
    /// [`SaltedError`].
    pub(in crate::backend) fn of(scheme: &str, data: &[u8]) -> Result<Self, SaltedError> {
        let scheme = scheme.to_ascii_uppercase();
        let (_, function, is_salted) =
            SCHEMES.iter().find(|(name, ..)| *name == scheme).ok_or(SaltedError)?;
        let (digest, salt) = data.split_at_checked(function.bytes()).ok_or(SaltedError)?;
        if salt.is_empty() == *is_salted || salt.len() > MAX_SALT_BYTES {
            return Err(SaltedError);
        }
        Ok(Self { function: *function, digest: digest.to_vec(), salt: salt.to_vec() })
    }

    /// True if `password` is the one this was made of. Compares in constant time.
    pub(in crate::backend) fn matches(&self, password: &Secret) -> bool {
        let computed = self.function.digest(password.expose(), &self.salt);
        computed.ct_eq(&self.digest).into()
    }
}

impl std::fmt::Display for SaltedHash {
    /// The string, as [`SaltedHash::parse`] reads it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_this = |(_, function, is_salted): &&(&str, Function, bool)| {
            *function == self.function && *is_salted != self.salt.is_empty()
        };
        let name = SCHEMES.iter().find(is_this).map_or("", |(name, ..)| name);
        write!(f, "{{{name}}}{}", BASE64.encode([&self.digest[..], &self.salt].concat()))
    }
}

impl Function {
    fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, password: &[u8], salt: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Md5 => hashed::<Md5>(password, salt),
            Self::Sha1 => hashed::<Sha1>(password, salt),
            Self::Sha256 => hashed::<Sha256>(password, salt),
            Self::Sha512 => hashed::<Sha512>(password, salt),
        })
    }
}

fn hashed<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    D::new().chain_update(password).chain_update(salt).finalize().to_vec()
}

/// Name, function, and whether there is a salt. The first of two names is the one we write.
const SCHEMES: &[(&str, Function, bool)] = &[
    ("SSHA512", Function::Sha512, true),
    ("SSHA256", Function::Sha256, true),
    ("SSHA", Function::Sha1, true),
    ("SMD5", Function::Md5, true),
    ("SHA512", Function::Sha512, false),
    ("SHA256", Function::Sha256, false),
    ("SHA", Function::Sha1, false),
    ("SHA1", Function::Sha1, false),
    ("MD5", Function::Md5, false),
];

/// Writers use 4 to 16.
const MAX_SALT_BYTES: usize = 64;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Made of `s3cret` (and the salt `salt` where there is one) with coreutils and OpenSSL.
    const SAMPLES: &[&str] = &[SSHA, SSHA256, SSHA512, SMD5, SHA, SHA256, SHA512, MD5];
    const SSHA: &str = "{SSHA}JVrhyTqab1YvH3vR2b1RYUumqqZzYWx0";
    const SSHA256: &str = "{SSHA256}1xowkNV6cFpNsILxviVLS6bAA7Si4YK175NY3uXwQBJzYWx0";
    const SSHA512: &str = "{SSHA512}WjsqUEMh/bQ+zWwV9qaC9E0qCpoIWyj4BPJJJsdPeZguErjrcmTDlKOAEET1X\
                         bmmWZ7/fpXWk8yyGmp/xBZgv3NhbHQ=";
    const SMD5: &str = "{SMD5}dD8A8A18eMKz1WCSelsIeHNhbHQ=";
    const SHA: &str = "{SHA}/vNB+F2HQ559kaLUZbmHHvZrXpg=";
    const SHA256: &str = "{SHA256}HsHCa1DV08WNlYMYGvgHZlX+AHVr9yhZQLo2cPmfy6A=";
    const SHA512: &str = "{SHA512}lcia3d5QY1fsXv0O5BrCQe/W+xAJp2gMFQHqgXA0K4y/Dy2Ti1YpVJDxnx/F+i\
                         jQmxWE6qCcmmsvd3YjKZzVIQ==";
    const MD5: &str = "{MD5}M+GyMqTm+gAopmcHU3SaFw==";

    fn secret(text: &str) -> Secret {
        Secret::copied_from(text.as_bytes()).unwrap()
    }

    #[test]
    fn fits_the_password_it_was_made_of_only() {
        for sample in SAMPLES {
            let hash = SaltedHash::parse(sample).unwrap();
            assert!(hash.matches(&secret("s3cret")), "{sample}");
            for wrong in ["s3cre", "s3cretsalt", "S3cret", ""] {
                assert!(!hash.matches(&secret(wrong)), "{sample} {wrong}");
            }
        }
    }

    #[test]
    fn is_written_as_it_was_read() {
        for sample in SAMPLES {
            assert_eq!(SaltedHash::parse(sample).unwrap().to_string(), **sample);
        }
        let lower = SaltedHash::parse(&SHA.replace("SHA", "sha1")).unwrap();
        assert_eq!(lower.to_string(), SHA);
        let unpadded = SaltedHash::parse(SHA.trim_end_matches('=')).unwrap();
        assert_eq!(unpadded.to_string(), SHA);
    }

    #[test]
    fn no_truncation_and_no_changed_byte_lets_the_password_pass() {
        for sample in SAMPLES {
            for end in 0..sample.len() {
                let is_padding = sample[end..].bytes().all(|byte| byte == b'=');
                let cut = SaltedHash::parse(&sample[..end]);
                assert!(is_padding || !cut.is_ok_and(|it| it.matches(&secret("s3cret"))));
            }
            let data = sample.find('}').unwrap() + 1;
            for at in (0..sample.len()).filter(|at| sample.as_bytes()[*at] != b'=') {
                let other = if sample.as_bytes()[at] == b'B' { "C" } else { "B" };
                let changed = format!("{}{other}{}", &sample[..at], &sample[at + 1..]);
                let passes =
                    SaltedHash::parse(&changed).is_ok_and(|hash| hash.matches(&secret("s3cret")));
                assert!(!passes, "{changed} ({data})");
            }
        }
    }

    #[test]
    fn other_schemes_and_lengths_are_refused() {
        for bad in [
            "",
            "{SSHA}",
            "{SHA}c2hvcnQ=",
            "SHA",
            "{SHA",
            "{CRAM-MD5}00",
            "{SSHA}%%%",
            // A salt where there is none, and none where there is one.
            &SHA.replace("{SHA}", "{SSHA}"),
            &SSHA.replace("{SSHA}", "{SHA}"),
        ] {
            assert!(SaltedHash::parse(bad).is_err(), "{bad}");
        }
    }
}
