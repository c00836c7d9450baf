//! Hashes of crypt(3), checked: what shadow files and old password files hold.
//!
//! ```text
//! $1$ SALT $ TAG           MD5-crypt        $apr1$ the same, Apache's
//! $5$ $6$                  SHA-crypt        2a, 2b, 2y: $2b$ CC $ SALT TAG, bcrypt
//! $y$                      yescrypt
//! ```
//!
//! Same answers as libxcrypt, with two differences on the safe side. The costs
//! in a stored string are obeyed only up to a cap, since whoever can write the
//! file must not be able to eat the host through it. And a `$2a$` hash does not
//! fit the few 8-bit passwords for which libxcrypt bends it.
//!
//! Only checks; new passwords are argon2id. What is no hash is told apart:
//! *empty* never fits anything, *locked* is `!` or `*`, and a scheme that is not
//! known here is an error with its name, since nobody can say whether the
//! password is right.

mod alphabet;
mod md5;
mod sha;
mod yescrypt;

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::Secret;

/// A parsed hash. Worth guessing at: never logged.
pub(in crate::backend) struct CryptHash {
    scheme: Scheme,
    salt: Vec<u8>,
    /// As it stands in the string, after the salt.
    tag: String,
}

#[derive(Clone, Copy)]
enum Scheme {
    Md5 {
        magic: &'static str,
    },
    Sha256(sha_crypt::Params),
    Sha512(sha_crypt::Params),
    /// `4 <= cost <= MAX_BCRYPT_COST`; the salt has 16 bytes.
    Bcrypt {
        cost: u32,
    },
    Yescrypt(yescrypt::Cost),
}

/// Why a string is no hash that can be checked, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::backend) enum CryptError {
    /// No password is set. Some programs let everybody in then; none of ours does.
    #[error("there is no password")]
    Empty,
    /// Begins with `!` or `*`: no password fits.
    #[error("it is locked")]
    Locked,
    /// A scheme that is not checked here; its name.
    #[error("it is a {0} hash, which saslgate cannot check")]
    Scheme(&'static str),
    /// Not as crypt(3) writes it.
    #[error("it is no hash of crypt(3)")]
    Syntax,
    /// It would cost more than we let it; what it asks for.
    #[error("its cost is beyond the limit: {0}")]
    Cost(String),
    /// The bytes that were wanted.
    #[error("there is not enough memory for {0} bytes")]
    OutOfMemory(usize),
    /// A library failed.
    #[error("{0}")]
    Library(String),
}

impl CryptHash {
    /// Reads a stored string.
    ///
    /// # Errors
    /// See [`CryptError`]; all but `OutOfMemory` and `Library`.
    pub(in crate::backend) fn parse(text: &str) -> Result<Self, CryptError> {
        match text.as_bytes() {
            [] => return Err(CryptError::Empty),
            [b'!' | b'*', ..] => return Err(CryptError::Locked),
            _ if text.len() > MAX_CHARACTERS => return Err(CryptError::Syntax),
            _ => {}
        }
        let Some((name, rest)) = text.strip_prefix('$').and_then(|text| text.split_once('$'))
        else {
            return Err(old_scheme(text));
        };
        match name {
            "1" => md5_hash("$1$", rest),
            "apr1" => md5_hash("$apr1$", rest),
            "5" => {
                let (params, rest) = sha::rounds(rest)?;
                plain(Scheme::Sha256(params), rest, sha::SALT_BYTES, sha::TAG_CHARACTERS_256)
            }
            "6" => {
                let (params, rest) = sha::rounds(rest)?;
                plain(Scheme::Sha512(params), rest, sha::SALT_BYTES, sha::TAG_CHARACTERS_512)
            }
            "2a" | "2b" | "2y" => bcrypt_hash(rest),
            "y" => yescrypt_hash(rest),
            _ => Err(named_scheme(name)),
        }
    }

    /// A hash as costly as most of those that Debian and Fedora make today,
    /// yescrypt, that no password fits.
    ///
    /// # Errors
    /// `Library` without random bytes.
    pub(in crate::backend) fn dummy() -> Result<Self, CryptError> {
        let scheme = Scheme::Yescrypt(yescrypt::Cost::of_today()?);
        Self { scheme, salt: vec![0; 16], tag: String::new() }.decoy()
    }

    /// A hash as costly as this one that no password fits: its tag is drawn, not computed.
    ///
    /// # Errors
    /// `Library` without random bytes.
    pub(in crate::backend) fn decoy(&self) -> Result<Self, CryptError> {
        let mut bytes = [0; 32];
        let mut salt = self.salt.clone();
        for bytes in [&mut bytes[..], &mut salt] {
            getrandom::fill(bytes).map_err(|error| CryptError::Library(error.to_string()))?;
        }
        Ok(Self { scheme: self.scheme, salt, tag: alphabet::encode(&bytes) })
    }

    /// True if `password` is the one this was made of. Compares in constant
    /// time. Takes as long as the costs say, so it is for a hash thread.
    ///
    /// # Errors
    /// `OutOfMemory`, `Library`: the question was not answered.
    pub(in crate::backend) fn matches(&self, password: &Secret) -> Result<bool, CryptError> {
        let password = password.expose();
        // libxcrypt refuses longer ones, so no hash is of one; and SHA-crypt is quadratic in it.
        if password.len() > MAX_PASSWORD_BYTES {
            return Ok(false);
        }
        let tag = Zeroizing::new(self.scheme.tag(password, &self.salt)?);
        Ok(tag.as_bytes().ct_eq(self.tag.as_bytes()).into())
    }
}

impl Scheme {
    fn tag(&self, password: &[u8], salt: &[u8]) -> Result<String, CryptError> {
        match self {
            Self::Md5 { magic } => Ok(md5::tag(magic, password, salt)),
            Self::Sha256(params) => Ok(sha::tag_256(*params, password, salt)),
            Self::Sha512(params) => Ok(sha::tag_512(*params, password, salt)),
            Self::Bcrypt { cost } => bcrypt_tag(*cost, password, salt),
            Self::Yescrypt(cost) => cost.tag(password, salt),
        }
    }
}

/// `SALT $ TAG`; a longer salt was cut when the hash was made.
fn plain(scheme: Scheme, rest: &str, salt: usize, tag: usize) -> Result<CryptHash, CryptError> {
    let (text, written) = rest.split_once('$').ok_or(CryptError::Syntax)?;
    // What libxcrypt would not put into a field of a password file.
    let is_odd = |byte: &u8| !byte.is_ascii_graphic() || b":;*!\\".contains(byte);
    if !alphabet::is_text(written, tag) || text.as_bytes().iter().any(is_odd) {
        return Err(CryptError::Syntax);
    }
    let salt = text.as_bytes()[..text.len().min(salt)].to_vec();
    Ok(CryptHash { scheme, salt, tag: written.to_owned() })
}

fn md5_hash(magic: &'static str, rest: &str) -> Result<CryptHash, CryptError> {
    plain(Scheme::Md5 { magic }, rest, md5::SALT_BYTES, md5::TAG_CHARACTERS)
}

fn yescrypt_hash(rest: &str) -> Result<CryptHash, CryptError> {
    let (settings, rest) = rest.split_once('$').ok_or(CryptError::Syntax)?;
    let (salt, tag) = rest.split_once('$').ok_or(CryptError::Syntax)?;
    if salt.len() > yescrypt::SALT_CHARACTERS || !alphabet::is_text(tag, yescrypt::TAG_CHARACTERS) {
        return Err(CryptError::Syntax);
    }
    Ok(CryptHash {
        scheme: Scheme::Yescrypt(yescrypt::Cost::parse(settings)?),
        salt: alphabet::decode(salt).ok_or(CryptError::Syntax)?,
        tag: tag.to_owned(),
    })
}

/// `CC $` and 53 characters: 22 of salt, 31 of tag.
fn bcrypt_hash(rest: &str) -> Result<CryptHash, CryptError> {
    let (cost, rest) = rest.split_once('$').ok_or(CryptError::Syntax)?;
    let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost: u32 = cost.parse().ok().filter(|_| is_number).ok_or(CryptError::Syntax)?;
    if rest.len() != BCRYPT_CHARACTERS || !rest.is_ascii() {
        return Err(CryptError::Syntax);
    }
    let (salt, tag) = rest.split_at(BCRYPT_SALT_CHARACTERS);
    let salt = BCRYPT_BASE64.decode(salt).map_err(|_| CryptError::Syntax)?;
    let is_tag = BCRYPT_BASE64.decode(tag).is_ok();
    if cost < MIN_BCRYPT_COST || salt.len() != 16 || !is_tag {
        return Err(CryptError::Syntax);
    }
    if cost > MAX_BCRYPT_COST {
        return Err(CryptError::Cost(format!("2^{cost} rounds, of at most 2^{MAX_BCRYPT_COST}")));
    }
    Ok(CryptHash { scheme: Scheme::Bcrypt { cost }, salt, tag: tag.to_owned() })
}

fn bcrypt_tag(cost: u32, password: &[u8], salt: &[u8]) -> Result<String, CryptError> {
    let salt = <[u8; 16]>::try_from(salt).map_err(|_| CryptError::Syntax)?;
    // The NUL behind the password counts, where there is room for it.
    let mut key = Zeroizing::new(Vec::with_capacity(BCRYPT_KEY_BYTES));
    key.extend(password.iter().copied().chain([0]).take(BCRYPT_KEY_BYTES));
    let tag = Zeroizing::new(bcrypt::bcrypt(cost, salt, &key));
    Ok(BCRYPT_BASE64.encode(&tag[..23]))
}

/// What a string without `$name$` is.
fn old_scheme(text: &str) -> CryptError {
    let is_alphabet = |text: &str| text.bytes().all(|byte| alphabet::value(byte).is_some());
    match text.strip_prefix('_') {
        Some(rest) if rest.len() == 19 && is_alphabet(rest) => CryptError::Scheme("BSDi DES"),
        None if text.len() == 13 && is_alphabet(text) => CryptError::Scheme("DES"),
        _ => CryptError::Syntax,
    }
}

/// Schemes that crypt(5) knows and we do not.
fn named_scheme(name: &str) -> CryptError {
    match name {
        "2" | "2x" => CryptError::Scheme("old bcrypt ($2$, $2x$)"),
        "3" => CryptError::Scheme("NT ($3$)"),
        "7" => CryptError::Scheme("scrypt ($7$)"),
        "gy" => CryptError::Scheme("gost-yescrypt ($gy$)"),
        "sm3" | "sm3y" => CryptError::Scheme("SM3 ($sm3$, $sm3y$)"),
        "sha1" => CryptError::Scheme("SHA-1 ($sha1$)"),
        name if name == "md5" || name.starts_with("md5,") => CryptError::Scheme("SunMD5 ($md5$)"),
        _ => CryptError::Syntax,
    }
}

/// Longest string that is looked at, as libxcrypt (`CRYPT_OUTPUT_SIZE`).
const MAX_CHARACTERS: usize = 383;
/// Longest password, as libxcrypt (`CRYPT_MAX_PASSPHRASE_SIZE`).
const MAX_PASSWORD_BYTES: usize = 511;
const BCRYPT_CHARACTERS: usize = 53;
const BCRYPT_SALT_CHARACTERS: usize = 22;
const BCRYPT_KEY_BYTES: usize = 72;
const MIN_BCRYPT_COST: u32 = 4;
/// Some four seconds.
const MAX_BCRYPT_COST: u32 = 16;
/// 22 characters are 132 bits; some writers leave rubbish in the last four.
const BCRYPT_BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
