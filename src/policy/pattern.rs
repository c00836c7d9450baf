//! Patterns of addresses and logins: `alice@example.org`, `@example.org`, `*@*.example`.
//!
//! ```text
//! alice@example.org   this one
//! @example.org        everybody there, as *@example.org
//! *@*.example.org     everybody in any domain below
//! news-*@example.org  a star stands for any text, none included
//! alice               without a domain: only what has none either
//! *                   everything
//! ```
//!
//! A star before the `@` never reaches behind it. ASCII letters are compared
//! without regard to case, on both sides: no mail server tells `Alice@` from
//! `alice@`, whatever RFC 5321 §2.4 permits. Quotes around a local part that
//! needs none mean nothing: `"alice"@example.org` is `alice@example.org`.

use std::borrow::Cow;

/// An address, or a set of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// `None`: whatever stands before the `@`, and even nothing.
    local: Option<Box<str>>,
    domain: Domain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Domain {
    Any,
    None,
    Like(Box<str>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing, or nothing behind the `@`.
    #[error("nothing stands there, or nothing behind the @")]
    Empty,
    /// White space, or a control character.
    #[error("a blank or control character stands in it")]
    Blank,
    /// More stars than a look-up should have to try.
    #[error("it has more than 4 stars on one side of the @")]
    TooManyStars,
}

/// Stars on each side of the `@`: bounds what matching costs.
const MAX_STARS: usize = 4;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(PatternError::Blank);
        }
        let stars = |part: &str| part.matches('*').count() > MAX_STARS;
        let (local, domain) = match text.rsplit_once('@') {
            _ if text == "*" => return Ok(Self { local: None, domain: Domain::Any }),
            _ if text.is_empty() => return Err(PatternError::Empty),
            Some((_, "")) => return Err(PatternError::Empty),
            Some((local, domain)) => (local, Domain::Like(domain.to_ascii_lowercase().into())),
            None => (text, Domain::None),
        };
        if stars(local) || matches!(&domain, Domain::Like(text) if stars(text)) {
            return Err(PatternError::TooManyStars);
        }
        let local = match local {
            "" | "*" => None,
            local => Some(unquoted(local).to_ascii_lowercase().into()),
        };
        Ok(Self { local, domain })
    }

    /// The one address it stands for, folded; `None` where there may be several.
    #[must_use]
    pub fn single(&self) -> Option<String> {
        let local = self.local.as_deref().filter(|local| !local.contains('*'))?;
        match &self.domain {
            Domain::Like(domain) if !domain.contains('*') => Some(format!("{local}@{domain}")),
            Domain::None => Some(local.to_owned()),
            _ => None,
        }
    }

    /// True if it stands for `address`, split at its last `@`.
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        let (local, domain) = match address.rsplit_once('@') {
            Some((local, domain)) => (local, Some(domain)),
            None => (address, None),
        };
        let is_domain = match (&self.domain, domain) {
            (Domain::Any, _) | (Domain::None, None) => true,
            (Domain::Like(pattern), Some(domain)) => is_like(pattern, domain),
            (Domain::Like(_), None) | (Domain::None, Some(_)) => false,
        };
        is_domain && self.local.as_deref().is_none_or(|pattern| is_like(pattern, &unquoted(local)))
    }
}

/// A local part without quotes that it does not need, and with their escapes resolved.
pub(super) fn unquoted(local: &str) -> Cow<'_, str> {
    let inner = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if local.len() > 1 => {
            let mut plain = String::with_capacity(inner.len());
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                let c = if c == '\\' { chars.next().unwrap_or(c) } else { c };
                plain.push(c);
            }
            Cow::Owned(plain)
        }
        _ => Cow::Borrowed(local),
    }
}

/// True if `text` is like `pattern` (lower case, `*` for any text). Goes back to
/// the last star only, so its cost is the product of both lengths at most.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    let mut star = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen].to_ascii_lowercase() => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                (at, seen) = (place + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, address: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(address)
    }

    #[test]
    fn each_form_stands_for_what_the_table_says() {
        for (pattern, address) in [
            ("alice@example.org", "Alice@EXAMPLE.org"),
            ("Alice@Example.org", "alice@example.org"),
            ("alice@example.org", "\"alice\"@example.org"),
            ("\"a b\"@example.org".replace(' ', "_").as_str(), "a_b@example.org"),
            ("@example.org", "anybody@example.org"),
            ("*@example.org", "\"a@b\"@example.org"),
            ("*@*.example", "a@b.c.example"),
            ("news-*@example.org", "news-@example.org"),
            ("news-*@example.org", "news-2026@example.org"),
            ("*-bounce@example.org", "a-bounce-bounce@example.org"),
            ("a*b*c@example.org", "aXbXbXc@example.org"),
            ("alice", "alice"),
            ("*", "alice"),
            ("*", "a@b"),
        ] {
            assert!(matches(pattern, address), "{pattern} {address}");
        }
        for (pattern, address) in [
            ("alice@example.org", "alice@example.org.evil"),
            ("alice@example.org", "malice@example.org"),
            ("alice@example.org", "alice"),
            ("@example.org", "a@b.example.org"),
            ("*@*.example", "a@example"),
            ("*@*.example", "a@b.example.evil"),
            ("news-*@example.org", "news@example.org"),
            ("alice", "alice@example.org"),
            // The star does not reach over the @.
            ("a*@example.org", "a@evil.example.org"),
            ("a*@example.org", "a@example.org@evil"),
            ("a*b*c@example.org", "aXcXb@example.org"),
        ] {
            assert!(!matches(pattern, address), "{pattern} {address}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_meant() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("alice@", PatternError::Empty),
            ("@", PatternError::Empty),
            ("a b@c", PatternError::Blank),
            ("a\u{85}@c", PatternError::Blank),
            ("*a*b*c*d*@x", PatternError::TooManyStars),
            ("a@*.*.*.*.*", PatternError::TooManyStars),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_single_address_can_be_looked_up() {
        let single = |text: &str| Pattern::parse(text).unwrap().single();
        assert_eq!(single("Alice@Example.org").as_deref(), Some("alice@example.org"));
        assert_eq!(single("alice").as_deref(), Some("alice"));
        for several in ["*", "@example.org", "a*@example.org", "a@*.org"] {
            assert_eq!(single(several), None, "{several}");
        }
    }

    #[test]
    fn a_hostile_text_costs_little() {
        let address = format!("{}@example.org", "a".repeat(100_000));
        assert!(!matches("a*a*a*a*b@example.org", &address));
    }
}
