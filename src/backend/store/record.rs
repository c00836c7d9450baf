//! What the store tells of a user: names, state, dates. Never a verifier.
//!
//! Given out by `admin`, printed by `cli`. The words are those of the database.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::Identity;

/// The kind of a credential that PLAIN and LOGIN are checked against.
pub(super) const KIND_ARGON2ID: &str = "argon2id";

/// A user as `list` and `show` give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub identity: Identity,
    /// Whether the account may be used.
    pub state: State,
    /// Kinds of credentials, sorted, each once: `argon2id`.
    pub kinds: Vec<String>,
    /// When the user was added.
    pub created: Moment,
    /// When the password or the state was last changed; `>= created` unless the clock was set back.
    pub changed: Moment,
    /// The last successful login, as far as it was written; `None`: never.
    pub last_used: Option<Moment>,
}

impl User {
    /// The SASL mechanisms that the credentials can serve, upper case; empty
    /// if there is none. A locked user keeps them.
    #[must_use]
    pub fn mechanisms(&self) -> Vec<&'static str> {
        if self.has_password() { vec!["PLAIN", "LOGIN"] } else { Vec::new() }
    }

    /// True if there is a password to check.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.kinds.iter().any(|kind| kind == KIND_ARGON2ID)
    }
}

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It may.
    Active,
    /// An administrator has locked it; the password is kept.
    Locked,
}

impl State {
    /// The word in the database and in `list`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Locked].into_iter().find(|state| state.as_str() == word)
    }
}

/// A point in time, in whole seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// The moment that many seconds after 1970-01-01 UTC.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0
    }

    /// Now, for the date of a record. No decision depends on it.
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}
