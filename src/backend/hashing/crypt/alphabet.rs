//! The base64 of crypt(3): six bits a character, the low ones first.
//!
//! ```text
//! value     0 1 2..11 12..37 38..63
//! character . / 0..9  A..Z   a..z
//! ```
//!
//! The MD5 and SHA schemes write the bytes of a digest in an order of their
//! own, three at a time; yescrypt writes them as they come.

/// Characters of the values 0 to 63.
const CHARACTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The value of a character; `None` if it is none of the alphabet.
pub(super) fn value(character: u8) -> Option<u8> {
    match character {
        b'.' | b'/' => Some(character - b'.'),
        b'0'..=b'9' => Some(character - b'0' + 2),
        b'A'..=b'Z' => Some(character - b'A' + 12),
        b'a'..=b'z' => Some(character - b'a' + 38),
        _ => None,
    }
}

/// True if `text` has `length` characters, all of the alphabet.
pub(super) fn is_text(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|character| value(character).is_some())
}

/// Writes `bytes`, the first one in the lowest bits.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().rev().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..=group.len() {
            let value = (bits >> (6 * place)) & 63;
            text.push(char::from(CHARACTERS[value as usize]));
        }
    }
    text
}

/// Reads what [`encode`] writes; `None` if it is no such text.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for (place, character) in group.iter().enumerate() {
            bits |= u32::from(value(*character)?) << (6 * place);
        }
        let count = group.len() - 1;
        // One character is no byte, and bits beyond the last byte stand for nothing.
        if count == 0 || bits >> (8 * count) != 0 {
            return None;
        }
        bytes.extend_from_slice(&bits.to_le_bytes()[..count]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ 0xa5).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        assert_eq!(encode(&[1]), "/.");
        assert_eq!(encode(&[0xff, 0xff, 0xff]), "zzzz");
    }

    #[test]
    fn refuses_what_nobody_writes() {
        for text in ["a", "abcde", "a b", "zz", "zzz", "ab$d", "\u{e4}b"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn every_character_has_its_value() {
        for (number, character) in CHARACTERS.iter().enumerate() {
            assert_eq!(value(*character).map(usize::from), Some(number));
        }
    }
}
