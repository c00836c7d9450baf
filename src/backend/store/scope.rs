//! What an app password is called, and where it may be used.
//!
//! Both are words of an administrator, checked when they come in. The service
//! of an attempt is a word of the client: a scope keeps a password that leaked
//! from one program away from honest servers of another kind, and no more.

/// The name of an app password: 1 to 64 characters without control characters,
/// and without white space around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label(Box<str>);

/// The services that an app password is good for; none means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Scope(Box<str>);

/// Why a word is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not a [`Label`].
    #[error(
        "{0:?} is no label: it takes 1 to {MAX_LABEL_CHARS} characters, no control characters and \
         no blanks around them"
    )]
    Label(String),
    /// Not a service.
    #[error("{0:?} is no service: it takes 1 to 256 characters without blanks, such as imap")]
    Service(String),
}

impl Label {
    /// Takes a label.
    ///
    /// # Errors
    /// [`ScopeError::Label`].
    pub fn new(text: &str) -> Result<Self, ScopeError> {
        let length = text.chars().count();
        let is_fit = (1..=MAX_LABEL_CHARS).contains(&length)
            && text.trim() == text
            && !text.chars().any(char::is_control);
        is_fit.then(|| Self(text.into())).ok_or_else(|| ScopeError::Label(text.to_owned()))
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scope {
    /// The scope of `services`, which are compared without regard to case; all if there is none.
    ///
    /// # Errors
    /// [`ScopeError::Service`] for the first that is none.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut words = Vec::new();
        for service in services {
            let is_fit = (1..=MAX_SERVICE_BYTES).contains(&service.len())
                && !service.contains(|c: char| c.is_whitespace() || c.is_control());
            if !is_fit {
                return Err(ScopeError::Service(service.to_owned()));
            }
            words.push(service.to_ascii_lowercase());
        }
        words.sort();
        words.dedup();
        Ok(Self(words.join(" ").into()))
    }

    /// The scope as the database has it.
    pub(super) fn from_column(text: &str) -> Self {
        Self(text.into())
    }

    /// The services with a blank between them; empty for all.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if there is no restriction.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// True if `service` is within.
    #[must_use]
    pub fn covers(&self, service: &str) -> bool {
        self.is_everywhere() || self.services().any(|word| word.eq_ignore_ascii_case(service))
    }

    /// The services, sorted; none for all.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }
}

const MAX_LABEL_CHARS: usize = 64;
const MAX_SERVICE_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_it_names_and_an_empty_one_everything() {
        let scope = Scope::of(["IMAP", "sieve", "imap"]).unwrap();
        assert_eq!(scope.as_str(), "imap sieve");
        assert!(scope.covers("imap") && scope.covers("Sieve"));
        assert!(!scope.covers("smtp") && !scope.covers("") && !scope.covers("imap sieve"));
        let everywhere = Scope::of([]).unwrap();
        assert!(everywhere.covers("smtp") && everywhere.covers(""));
    }

    #[test]
    fn words_that_hide_something_are_refused() {
        for bad in ["", " phone", "phone ", "a\nb", &"x".repeat(65)] {
            assert!(Label::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Label::new("Alice's phone").unwrap().as_str(), "Alice's phone");
        for bad in ["", "a b", "a\tb", "\u{7f}"] {
            assert!(Scope::of([bad]).is_err(), "{bad:?}");
        }
    }
}
