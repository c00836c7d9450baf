//! Hashes as other programs write them, made what the store keeps.
//!
//! ```text
//! $6$...  $2y$...  $apr1$...     crypt(3) and Apache: kept as they are
//! $argon2id$...                  ours already
//! {SCHEME}...                    Dovecot and LDAP; {SCHEME.HEX} and {SCHEME.B64} name the encoding
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::candidate::Transfer;
use crate::backend::hashing::SaltedHash;
use crate::backend::store::record::Kind;
use crate::base::Secret;

/// The password of a user as a source has it.
pub(super) enum Password {
    /// In clear text.
    Plain(Secret),
    /// As a hash.
    Hash(Transfer),
}

/// What stands in a field that holds a hash of crypt(3), of Apache, or one of
/// ours; a scheme in braces is taken as well.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn hash(text: &str) -> Result<Password, String> {
    if text.starts_with('{') {
        return scheme(text);
    }
    let kind = if text.starts_with("$argon2id$") { Kind::Argon2id } else { Kind::Crypt };
    if text.starts_with("$argon2i$") || text.starts_with("$argon2d$") {
        return Err("it is argon2i or argon2d, and saslgate checks argon2id".to_owned());
    }
    Transfer::new(kind, text.to_owned()).map(Password::Hash)
}

fn scheme(text: &str) -> Result<Password, String> {
    let (name, data) = text
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .ok_or("it begins with a brace and names no scheme")?;
    let name = name.to_ascii_uppercase();
    let (name, encoding) = match name.rsplit_once('.') {
        Some((name, encoding @ ("HEX" | "B64" | "BASE64"))) => (name, Some(encoding)),
        _ => (name.as_str(), None),
    };
    match name {
        "PLAIN" | "CLEAR" | "CLEARTEXT" => plain(data, encoding),
        "CRYPT" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" | "MD5-CRYPT" | "MD5"
            if data.starts_with('$') =>
        {
            hash(data)
        }
        "ARGON2ID" if data.starts_with('$') => hash(data),
        // What stands in {CRYPT} without a dollar is DES, and is called so.
        "CRYPT" | "DES-CRYPT" => hash(data),
        "SHA" | "SHA1" | "SHA256" | "SHA512" | "SSHA" | "SSHA256" | "SSHA512" | "SMD5" => {
            salted(name, data, encoding)
        }
        "LDAP-MD5" | "MD5" => salted("MD5", data, encoding),
        "PLAIN-MD5" => salted("MD5", data, encoding.or(Some("HEX"))),
        name => Err(format!("its scheme {{{name}}} is none that saslgate can check")),
    }
}

fn plain(data: &str, encoding: Option<&str>) -> Result<Password, String> {
    let bytes = match encoding {
        None => data.as_bytes().to_vec(),
        Some(encoding) => decode(data, encoding)?,
    };
    if bytes.is_empty() {
        return Err("there is no password".to_owned());
    }
    Secret::new(bytes).map(Password::Plain).map_err(|error| error.to_string())
}

fn salted(name: &str, data: &str, encoding: Option<&str>) -> Result<Password, String> {
    let bytes = decode(data, encoding.unwrap_or("B64"))?;
    let hash = SaltedHash::of(name, &bytes)
        .map_err(|error| format!("{error}, though it is called {{{name}}}"))?;
    Transfer::new(Kind::Crypt, hash.to_string()).map(Password::Hash)
}

fn decode(data: &str, encoding: &str) -> Result<Vec<u8>, String> {
    if encoding != "HEX" {
        // Writers differ in the padding.
        let text = data.trim_end_matches('=');
        let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
        return STANDARD.decode(padded).map_err(|_| "it is no base64".to_owned());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let pairs = data.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| "it is not hexadecimal".to_owned())
}
