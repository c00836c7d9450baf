//! The form: text with `%u`, `%p`, `%r` and `%%`, as saslauthd's `httpform_data`.
//!
//! What is filled in is percent-encoded, so no value can end its field and
//! begin another. Any other `%` stays as it is, as there.

use zeroize::Zeroizing;

/// A form with its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    User,
    Password,
    Realm,
}

/// What is filled in.
pub struct Values<'a> {
    /// For `%u`.
    pub user: &'a str,
    /// For `%r`; may be empty.
    pub realm: &'a str,
    /// For `%p`.
    pub password: &'a [u8],
}

impl Template {
    /// Reads a form such as `user=%u&pass=%p`.
    ///
    /// # Errors
    /// It lacks the user or the password: then the answer would be no proof.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                '%' => match characters.clone().next() {
                    Some('u') => Some(Part::User),
                    Some('p') => Some(Part::Password),
                    Some('r') => Some(Part::Realm),
                    Some('%') => Some(Part::Text("%".to_owned())),
                    _ => None,
                },
                _ => None,
            };
            let Some(part) = part else {
                plain.push(character);
                continue;
            };
            characters.next();
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(part);
        }
        parts.push(Part::Text(plain));
        parts.retain(|part| *part != Part::Text(String::new()));
        if text.chars().any(char::is_control) {
            return Err("it contains a control character");
        }
        if !parts.contains(&Part::User) {
            return Err("it has no %u, so nobody would be checked");
        }
        if !parts.contains(&Part::Password) {
            return Err("it has no %p, so no password would be checked");
        }
        Ok(Self(parts))
    }

    /// A form that asks for nobody, for a configuration that was not read yet.
    #[must_use]
    pub fn blank() -> Self {
        Self(Vec::new())
    }

    /// The form with these values. Wiped on drop.
    #[must_use]
    pub fn fill(&self, values: &Values<'_>) -> Zeroizing<Vec<u8>> {
        let lengths = self.0.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::User => 3 * values.user.len(),
            Part::Realm => 3 * values.realm.len(),
            Part::Password => 3 * values.password.len(),
        });
        // Room at once: a growing vector would leave the password behind.
        let mut form = Zeroizing::new(Vec::with_capacity(lengths.sum()));
        for part in &self.0 {
            match part {
                Part::Text(text) => form.extend_from_slice(text.as_bytes()),
                Part::User => encode(values.user.as_bytes(), &mut form),
                Part::Realm => encode(values.realm.as_bytes(), &mut form),
                Part::Password => encode(values.password, &mut form),
            }
        }
        form
    }
}

/// All but the unreserved characters (RFC 3986 §2.3) become `%XX`.
fn encode(bytes: &[u8], to: &mut Vec<u8>) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            to.push(*byte);
        } else {
            let digit = |nibble: u8| b"0123456789ABCDEF"[usize::from(nibble & 15)];
            to.extend([b'%', digit(byte >> 4), digit(*byte)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, user: &str, password: &[u8]) -> String {
        let values = Values { user, realm: "example.org", password };
        let form = Template::parse(template).unwrap().fill(&values);
        String::from_utf8(form.to_vec()).unwrap()
    }

    #[test]
    fn fills_in_encoded() {
        assert_eq!(
            filled("user=%u&pass=%p&realm=%r", "alice", b"s3cret"),
            "user=alice&pass=s3cret&realm=example.org"
        );
        assert_eq!(filled("%u:%p", "a&b=c", b"%\r\n\xff +~"), "a%26b%3Dc:%25%0D%0A%FF%20%2B~");
    }

    #[test]
    fn leaves_other_percents_as_they_are() {
        assert_eq!(filled("%z%u%%u%p%", "a", b"b"), "%za%ub%");
        assert_eq!(filled("%%%u%%%p", "%u", b"%p"), "%%25u%%25p");
    }

    #[test]
    fn refuses_a_form_that_proves_nothing() {
        for text in ["", "user=%u", "pass=%p", "user=%%u&pass=%p", "%u%%p", "%u%p\n", "\u{e4}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
