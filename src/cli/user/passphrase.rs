//! `--generate`: a new password that people can read, say and type.
//!
//! ```text
//! kodaf-mirus-tobon-velap-gusik      five words of consonant, vowel, ... : 80 bits
//! ```
//!
//! 16 consonants and 4 vowels, so a word has 4+2+4+2+4 = 16 bits, drawn from the
//! system's random numbers. 80 bits withstand guessing at a stolen hash for as
//! long as there is an argon2id to compute; zxcvbn gives it 4 of 4.

use zeroize::Zeroizing;

use crate::base::{Secret, SecretError};

/// Bits of chance in what [`generate`] gives.
pub(super) const BITS: usize = 16 * WORDS;

/// Draws a new password.
///
/// # Errors
/// If the system gives no random numbers.
pub(super) fn generate() -> Result<Secret, GenerateError> {
    let mut random = Zeroizing::new([0; 2 * WORDS]);
    getrandom::fill(&mut *random)?;
    let mut text = Zeroizing::new(Vec::with_capacity(6 * WORDS));
    for pair in random.chunks(2) {
        if !text.is_empty() {
            text.push(b'-');
        }
        let mut bits = u16::from_ne_bytes([pair[0], pair[1]]);
        let mut draw = |letters: &[u8], width: u32| {
            let letter = letters[usize::from(bits & ((1 << width) - 1))];
            bits = bits.checked_shr(width).unwrap_or(0);
            letter
        };
        for at in 0..5 {
            let letter = if at % 2 == 0 { draw(CONSONANTS, 4) } else { draw(VOWELS, 2) };
            text.push(letter);
        }
    }
    Ok(Secret::copied_from(&text)?)
}

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
pub(super) enum GenerateError {
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

const WORDS: usize = 5;
const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
const VOWELS: &[u8; 4] = b"aiou";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_form_that_was_promised_and_never_repeats() {
        let mut seen = std::collections::BTreeSet::new();
        let mut letters = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let secret = generate().unwrap();
            let text = String::from_utf8(secret.expose().to_vec()).unwrap();
            let words: Vec<&str> = text.split('-').collect();
            assert!(words.len() == 5 && words.iter().all(|word| word.len() == 5), "{text}");
            for word in words {
                for (at, letter) in word.bytes().enumerate() {
                    let set: &[u8] = if at % 2 == 0 { CONSONANTS } else { VOWELS };
                    assert!(set.contains(&letter), "{text}");
                    letters.insert((at, letter));
                }
            }
            assert!(seen.insert(text));
        }
        assert_eq!(letters.len(), 3 * 16 + 2 * 4, "every letter stands at every place");
        assert_eq!(BITS, 80);
    }
}
