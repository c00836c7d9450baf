//! What the store tells of a user: names, state, dates. Never a verifier.
//!
//! Given out by `admin`, printed by `cli`. The words are those of the database.

use std::time::{SystemTime, UNIX_EPOCH};

use super::scope::{Label, Scope};
use crate::base::Identity;

/// What a credential is; the words are those of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A password that we have drawn, for one program.
    AppPassword,
    /// The password of the account, hashed by us.
    Argon2id,
    /// The password of the account, hashed by whoever had it before us.
    Crypt,
    /// The password of the account, for SCRAM-SHA-256.
    Scram,
}

impl Kind {
    /// The word in the database, in `list` and in an export.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AppPassword => "app-password",
            Self::Argon2id => "argon2id",
            Self::Crypt => "crypt",
            Self::Scram => "scram-sha-256",
        }
    }

    /// The kind of that name; `None` for one of a later version.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::AppPassword, Self::Argon2id, Self::Crypt, Self::Scram];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A user as `list` and `show` give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub identity: Identity,
    /// Whether the account may be used.
    pub state: State,
    /// Kinds of credentials, sorted, each once.
    pub kinds: Vec<Kind>,
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
        let is_plain = self.has_password() || self.has_any(&[Kind::AppPassword]);
        if is_plain { vec!["PLAIN", "LOGIN"] } else { Vec::new() }
    }

    /// True if the account has a password to check; app passwords are none.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_any(&[Kind::Argon2id, Kind::Crypt])
    }

    fn has_any(&self, kinds: &[Kind]) -> bool {
        self.kinds.iter().any(|kind| kinds.contains(kind))
    }
}

/// An app password as `list` gives it. The password itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// Whose it is.
    pub identity: Identity,
    /// What the user calls it; unique for the user.
    pub label: Label,
    /// Where it may be used.
    pub scope: Scope,
    /// From when on it is refused; `None`: never.
    pub expires: Option<Moment>,
    /// When it was made.
    pub created: Moment,
    /// The last successful login with it, as far as it was written; `None`: never.
    pub last_used: Option<Moment>,
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

    /// The state of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Locked].into_iter().find(|state| state.as_str() == word)
    }
}

/// A point in time, in whole seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// Now, for the date of a record and the end of an app password.
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}
