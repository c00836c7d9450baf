//! Whether a new password is good enough.
//!
//! Asked when an administrator or a user sets one, never of passwords that are
//! imported: those are in use. How guessable it is says zxcvbn, which knows
//! words, names, dates and keyboards, and is told the name of the user, so that
//! this adds nothing. It sees the first 100 characters; the rest can only help.

use zxcvbn::{Score, zxcvbn};

use crate::base::{Identity, Secret};

/// What a new password must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Least length in characters; an empty one is refused anyway.
    pub min_length: usize,
    /// Least score of zxcvbn, 0 to 4; 0 asks for nothing.
    pub min_score: u8,
}

/// Why a password is refused. Holds nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    /// Too few characters.
    #[error("it has {length} characters, and store.min_length asks for {wanted}")]
    Short {
        /// Its length.
        length: usize,
        /// The least one.
        wanted: usize,
    },
    /// Guessed too soon.
    #[error("zxcvbn gives it {score} of 4, and store.min_score asks for {wanted}{hint}")]
    Guessable {
        /// Its score.
        score: u8,
        /// The least one.
        wanted: u8,
        /// What is weak about it, and what would help; begins with `: `, or empty.
        hint: String,
    },
}

impl Policy {
    /// Judges the new password of `identity`.
    ///
    /// # Errors
    /// What is weak about it.
    pub(super) fn judge(&self, identity: &Identity, password: &Secret) -> Result<(), Weakness> {
        // Old clients send Latin-1: then a byte is a character.
        let latin = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
        let text = zeroize::Zeroizing::new(
            std::str::from_utf8(password.expose())
                .map_or_else(|_| latin(password.expose()), str::to_owned),
        );
        let length = text.chars().count();
        if length < self.min_length {
            return Err(Weakness::Short { length, wanted: self.min_length });
        }
        if self.min_score == 0 {
            return Ok(());
        }
        let names: Vec<&str> = known_words(identity).collect();
        let entropy = zxcvbn(&text, &names);
        let score = number(entropy.score());
        if score >= self.min_score {
            return Ok(());
        }
        let hint = entropy.feedback().map_or_else(String::new, |feedback| {
            let warning = feedback.warning().map(|warning| warning.to_string());
            let advice = feedback.suggestions().iter().map(ToString::to_string);
            let sentences: Vec<String> = warning.into_iter().chain(advice).collect();
            format!(": {}", sentences.join(" "))
        });
        let hint = hint.trim_end_matches('.').to_owned();
        Err(Weakness::Guessable { score, wanted: self.min_score, hint })
    }
}

/// Words that everybody knows who knows the login: the name, the realm, and their parts.
fn known_words(identity: &Identity) -> impl Iterator<Item = &str> {
    [identity.user(), identity.realm()].into_iter().flat_map(|name| {
        std::iter::once(name).chain(
            name.split(|c: char| !c.is_alphanumeric()).filter(|part| part.chars().count() > 2),
        )
    })
}

fn number(score: Score) -> u8 {
    match score {
        Score::Zero => 0,
        Score::One => 1,
        Score::Two => 2,
        Score::Three => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(policy: Policy, password: &str) -> Result<(), Weakness> {
        let identity = Identity::new("margarethe.huber", "bergwerk-mail.test").unwrap();
        policy.judge(&identity, &Secret::copied_from(password.as_bytes()).unwrap())
    }

    #[test]
    fn length_is_counted_in_characters() {
        let policy = Policy { min_length: 4, min_score: 0 };
        assert_eq!(judge(policy, "ab\u{e4}"), Err(Weakness::Short { length: 3, wanted: 4 }));
        assert_eq!(judge(policy, "ab\u{e4}\u{f6}"), Ok(()));
        let latin = Secret::copied_from(b"ab\xe4\xf6").unwrap();
        assert_eq!(policy.judge(&Identity::new("a", "b").unwrap(), &latin), Ok(()));
        assert_eq!(judge(Policy::default(), "a"), Ok(()));
    }

    #[test]
    fn what_is_guessed_soon_is_refused_with_advice_and_without_the_password() {
        let policy = Policy { min_length: 0, min_score: 3 };
        for weak in ["password1", "qwertyuiop", "19841984", "s3cret"] {
            let weakness = judge(policy, weak).unwrap_err();
            let text = weakness.to_string();
            assert!(text.starts_with("zxcvbn gives it "), "{text}");
            assert!(text.contains("store.min_score asks for 3: "), "{text}");
            assert!(!text.contains(weak), "{text}");
        }
        assert_eq!(judge(policy, "sunken-otter-veranda-quilts"), Ok(()));
    }

    #[test]
    fn the_name_of_the_user_adds_nothing() {
        let policy = Policy { min_length: 0, min_score: 3 };
        for known in ["margarethe.huber", "margarethe2", "bergwerk-mail.test", "bergwerkhuber"] {
            assert!(judge(policy, known).is_err(), "{known}");
        }
    }

    #[test]
    fn a_very_long_password_is_judged_in_no_time() {
        let policy = Policy { min_length: 0, min_score: 4 };
        let long = "correct horse ".repeat(580);
        assert_eq!(judge(policy, &long[..8162.min(long.len())]), Ok(()));
    }
}
