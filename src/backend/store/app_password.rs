//! Passwords that we draw, one for each program of a user.
//!
//! ```text
//! shown      k7mq-x2vp-...    7 groups of 4 letters and digits: 140 bits
//! stored     sha-256:HEX      SHA-256("saslgate app password" 0 realm 0 user 0 letters)
//! ```
//!
//! A slow hash protects what people can remember, by making each guess dear.
//! Against 140 random bits there is no guessing, however cheap a guess is, so a
//! fast digest does, and a user with a hundred of them costs no more than one.
//! The user goes into it, so that one table serves nobody for all users.
//!
//! Typed without the hyphens, with blanks in their place or in capitals it is
//! the same password. Called by `admin` to make one, by `verify` to check one.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::{Identity, Secret};

/// What an app password is compared by: the letters that were sent, digested
/// for one user. Holds no secret that could be used.
pub(super) struct Presented([u8; DIGEST_BYTES]);

impl Presented {
    /// The digest of `password` for `identity`; `None` if it cannot be an app password.
    pub(super) fn new(identity: &Identity, password: &Secret) -> Option<Self> {
        let letters = letters_of(password.expose())?;
        Some(Self(digest(identity, &letters)))
    }

    /// Compares with a stored verifier in constant time; `None` if that is damaged.
    pub(super) fn matches(&self, verifier: &str) -> Option<bool> {
        let stored = parse(verifier)?;
        Some(self.0.ct_eq(&stored).into())
    }
}

/// Draws a new app password for `identity`: what is shown once, and what is stored.
///
/// # Errors
/// If the system gives no random bytes.
pub(super) fn draw(identity: &Identity) -> Result<(Secret, String), getrandom::Error> {
    let mut random = Zeroizing::new([0; LETTERS]);
    getrandom::fill(&mut *random)?;
    let letters: Zeroizing<Vec<u8>> =
        Zeroizing::new(random.iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect());
    let verifier = verifier(&digest(identity, &letters));
    let mut shown = Zeroizing::new(Vec::with_capacity(LETTERS + LETTERS / GROUP));
    for group in letters.chunks(GROUP) {
        if !shown.is_empty() {
            shown.push(b'-');
        }
        shown.extend_from_slice(group);
    }
    // Letters and hyphens, a few dozen: neither too long nor with a NUL.
    let shown = Secret::copied_from(&shown).map_err(|_| getrandom::Error::UNEXPECTED)?;
    Ok((shown, verifier))
}

/// True if `verifier` is one that [`draw`] could have made.
pub(super) fn is_verifier(verifier: &str) -> bool {
    parse(verifier).is_some()
}

/// The letters without what may stand between them, in lower case.
fn letters_of(typed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if typed.len() > MAX_TYPED_BYTES {
        return None;
    }
    let mut letters = Zeroizing::new(Vec::with_capacity(MAX_TYPED_BYTES));
    letters.extend(typed.iter().filter(|byte| !b"- ".contains(byte)).map(u8::to_ascii_lowercase));
    let is_fit = letters.len() == LETTERS && letters.iter().all(|letter| ALPHABET.contains(letter));
    is_fit.then_some(letters)
}

fn digest(identity: &Identity, letters: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha256::new();
    for part in [b"saslgate app password", identity.realm().as_bytes(), identity.user().as_bytes()]
    {
        hasher.update(part);
        hasher.update([0]);
    }
    hasher.update(letters);
    hasher.finalize().into()
}

fn verifier(digest: &[u8]) -> String {
    digest.iter().fold(PREFIX.to_owned(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(verifier: &str) -> Option<[u8; DIGEST_BYTES]> {
    let hex = verifier.strip_prefix(PREFIX)?.as_bytes();
    let mut digest = [0; DIGEST_BYTES];
    if hex.len() != 2 * DIGEST_BYTES {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.chunks(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(digest)
}

const PREFIX: &str = "sha-256:";
const DIGEST_BYTES: usize = 32;
/// Five bits each.
const LETTERS: usize = 28;
const GROUP: usize = 4;
/// Letters, and room for what people put between them.
const MAX_TYPED_BYTES: usize = 3 * LETTERS;
/// 32 letters and digits, without those that look alike (l and 1, o and 0).
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;

    fn id(user: &str) -> Identity {
        Identity::new(user, "example.org").unwrap()
    }

    fn fits(identity: &Identity, typed: &str, verifier: &str) -> bool {
        let typed = Secret::copied_from(typed.as_bytes()).unwrap();
        Presented::new(identity, &typed).is_some_and(|it| it.matches(verifier) == Some(true))
    }

    #[test]
    fn what_is_shown_fits_however_it_is_typed_and_for_nobody_else() {
        let (shown, verifier) = draw(&id("alice")).unwrap();
        let shown = String::from_utf8(shown.expose().to_vec()).unwrap();
        assert_eq!(shown.len(), 34, "{shown}");
        assert!(is_verifier(&verifier) && !verifier.contains(&shown[..4]));
        assert!(fits(&id("alice"), &shown, &verifier));
        assert!(fits(&id("alice"), &shown.replace('-', ""), &verifier));
        assert!(fits(&id("alice"), &shown.replace('-', " ").to_uppercase(), &verifier));
        assert!(!fits(&id("bob"), &shown, &verifier));
        let other = Identity::new("alice", "other.test").unwrap();
        assert!(!fits(&other, &shown, &verifier));
    }

    #[test]
    fn another_letter_another_length_and_nothing_do_not_fit() {
        let (shown, verifier) = draw(&id("alice")).unwrap();
        let shown = String::from_utf8(shown.expose().to_vec()).unwrap();
        for at in (0..shown.len()).filter(|at| shown.as_bytes()[*at] != b'-') {
            let other = if shown.as_bytes()[at] == b'a' { "b" } else { "a" };
            let changed = format!("{}{other}{}", &shown[..at], &shown[at + 1..]);
            assert!(!fits(&id("alice"), &changed, &verifier), "{changed}");
            assert!(!fits(&id("alice"), &shown[..at], &verifier));
        }
        assert!(!fits(&id("alice"), &format!("{shown}a"), &verifier));
        assert!(!fits(&id("alice"), &"-".repeat(9000)[..8000], &verifier));
    }

    #[test]
    fn a_damaged_verifier_is_called_so_and_never_fits() {
        let (shown, verifier) = draw(&id("alice")).unwrap();
        let presented = Presented::new(&id("alice"), &shown).unwrap();
        for end in 0..verifier.len() {
            assert_eq!(presented.matches(&verifier[..end]), None);
        }
        for at in 0..verifier.len() {
            let other = if verifier.as_bytes()[at] == b'0' { "1" } else { "0" };
            let changed = format!("{}{other}{}", &verifier[..at], &verifier[at + 1..]);
            assert_ne!(presented.matches(&changed), Some(true), "{changed}");
        }
    }

    #[test]
    fn every_letter_is_drawn() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            seen.extend(draw(&id("alice")).unwrap().0.expose().to_vec());
        }
        assert_eq!(seen.len(), ALPHABET.len() + 1, "all letters, and the hyphen");
    }
}
