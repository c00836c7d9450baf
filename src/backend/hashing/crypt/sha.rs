//! `$5$` and `$6$`, SHA-crypt: how their settings and tags are written. The
//! computation is the library's.
//!
//! ```text
//! $6$                  salt $ tag        5,000 rounds
//! $6$ rounds=ROUNDS $  salt $ tag
//! ```

use sha_crypt::Params;
use zeroize::Zeroize;

use super::{CryptError, alphabet};

/// Longest salt.
pub(super) const SALT_BYTES: usize = 16;
/// Characters of a SHA-256 tag.
pub(super) const TAG_CHARACTERS_256: usize = 43;
/// Characters of a SHA-512 tag.
pub(super) const TAG_CHARACTERS_512: usize = 86;

/// Reads `rounds=N$` if `text` begins with it; gives the rounds and what is behind.
///
/// # Errors
/// `Syntax`, `Cost`.
pub(super) fn rounds(text: &str) -> Result<(Params, &str), CryptError> {
    let Some(rest) = text.strip_prefix("rounds=") else { return Ok((Params::default(), text)) };
    let (number, rest) = rest.split_once('$').ok_or(CryptError::Syntax)?;
    let is_number = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || number.is_empty() || number.len() > 9 {
        return Err(CryptError::Syntax);
    }
    let rounds: u32 = number.parse().map_err(|_| CryptError::Syntax)?;
    // Fewer than 1,000 are 1,000 for whoever makes such a hash, too.
    let rounds = rounds.max(Params::ROUNDS_MIN);
    if rounds > MAX_ROUNDS {
        return Err(CryptError::Cost(format!("{rounds} rounds, of at most {MAX_ROUNDS}")));
    }
    let params = Params::new(rounds).map_err(|_| CryptError::Syntax)?;
    Ok((params, rest))
}

/// The tag of `password` under `$5$`.
pub(super) fn tag_256(params: Params, password: &[u8], salt: &[u8]) -> String {
    let mut digest = sha_crypt::sha256_crypt(password, salt, params);
    let (mut a, mut b, mut c) = (0, 10, 20);
    let mut order = Vec::with_capacity(digest.len());
    for _ in 0..10 {
        order.extend([digest[c], digest[b], digest[a]]);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    order.extend([digest[30], digest[31]]);
    digest.zeroize();
    let tag = alphabet::encode(&order);
    order.zeroize();
    tag
}

/// The tag of `password` under `$6$`.
pub(super) fn tag_512(params: Params, password: &[u8], salt: &[u8]) -> String {
    let mut digest = sha_crypt::sha512_crypt(password, salt, params);
    let (mut a, mut b, mut c) = (0, 21, 42);
    let mut order = Vec::with_capacity(digest.len());
    for _ in 0..21 {
        order.extend([digest[c], digest[b], digest[a]]);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    order.push(digest[63]);
    digest.zeroize();
    let tag = alphabet::encode(&order);
    order.zeroize();
    tag
}

/// Some two seconds of `$6$`; passlib's default is 656,000.
const MAX_ROUNDS: u32 = 5_000_000;
