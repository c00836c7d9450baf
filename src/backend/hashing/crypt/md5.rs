//! `$1$`, MD5-crypt as FreeBSD brought it in 1994, and `$apr1$`, which Apache
//! made of it by another magic. Weak by now: 1,000 rounds take half a
//! millisecond. Old files are full of it.

use md5::{Digest, Md5};
use zeroize::Zeroize;

use super::alphabet;

/// Longest salt; what stands behind it in a file is not looked at.
pub(super) const SALT_BYTES: usize = 8;
/// Characters of a tag.
pub(super) const TAG_CHARACTERS: usize = 22;

/// The tag of `password`, as it stands behind the salt. `magic` is what the
/// string begins with, `$1$`.
pub(super) fn tag(magic: &str, password: &[u8], salt: &[u8]) -> String {
    let mut digest = first(magic, password, salt);
    for round in 0..ROUNDS {
        let mut hash = Md5::new();
        let is_odd = round % 2 == 1;
        hash.update(if is_odd { password } else { &digest[..] });
        if round % 3 != 0 {
            hash.update(salt);
        }
        if round % 7 != 0 {
            hash.update(password);
        }
        hash.update(if is_odd { &digest[..] } else { password });
        digest = hash.finalize().into();
    }
    let tag = alphabet::encode(&ORDER.map(|at| digest[at]));
    digest.zeroize();
    tag
}

fn first(magic: &str, password: &[u8], salt: &[u8]) -> [u8; 16] {
    let mut inner: [u8; 16] = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize()
        .into();
    let mut hash = Md5::new().chain_update(password).chain_update(magic).chain_update(salt);
    for block in password.chunks(inner.len()) {
        hash.update(&inner[..block.len()]);
    }
    inner.zeroize();
    let mut bits = password.len();
    while bits != 0 {
        // The original means a zeroed buffer here, and its first byte.
        hash.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    hash.finalize().into()
}

const ROUNDS: usize = 1000;
/// In which order the bytes of the digest are written, each three from the last to the first.
const ORDER: [usize; 16] = [12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11];
