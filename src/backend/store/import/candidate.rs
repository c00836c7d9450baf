//! A user on the way into the store, with everything checked that can be.

use std::io;

use crate::backend::hashing::{ForeignHash, Verifier, scram};
use crate::backend::store::app_password;
use crate::backend::store::record::{Kind, Moment, State};
use crate::backend::store::scope::{Label, Scope};
use crate::base::{Identity, Secret};

/// What a source says of one user, or of what should have been one.
pub struct Record {
    /// Where it stands: a line or a record, counted from 1.
    pub place: u64,
    /// Whom it is about, as far as that can be told; not fit for a terminal.
    pub name: String,
    /// The user, or why it cannot be imported: a sentence that holds no secret.
    pub user: Result<Candidate, String>,
}

/// A user who could be added. Has no `Debug`: it may hold a password.
pub struct Candidate {
    /// The name.
    pub identity: Identity,
    /// Whether the account may be used.
    pub state: State,
    /// The password in clear text, where the source has it.
    pub(super) plain: Option<Secret>,
    /// What is stored as it is.
    pub(super) credentials: Vec<Transfer>,
    /// Dates of the user; now, and never, where the source has none.
    pub(super) dates: Dates,
}

/// When something was made, changed and used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dates {
    pub(super) created: Option<Moment>,
    pub(super) changed: Option<Moment>,
    pub(super) last_used: Option<Moment>,
}

/// A credential that is stored as it is.
pub(super) struct Transfer {
    pub(super) kind: Kind,
    /// Empty for the password of the account.
    pub(super) label: String,
    /// Can be checked: see [`Transfer::new`].
    pub(super) verifier: String,
    pub(super) scope: Scope,
    pub(super) expires: Option<Moment>,
}

/// Why a source cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Reading failed.
    #[error("reading {name} failed: {error}")]
    Io {
        /// The file, as it was named.
        name: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// It is not what it was said to be.
    #[error("{name}: {detail}")]
    Format {
        /// The file, as it was named.
        name: String,
        /// What is wrong, and what was expected.
        detail: String,
    },
    /// It is no sasldb2 that can be read.
    #[error(transparent)]
    Sasldb(#[from] crate::backend::sasldb::SasldbError),
}

impl Candidate {
    /// A user whose password the source has in clear text.
    pub(super) fn with_plain(identity: Identity, password: Secret) -> Self {
        Self { plain: Some(password), ..Self::bare(identity) }
    }

    /// A user whose password the source has as a hash.
    pub(super) fn with_hash(identity: Identity, hash: Transfer) -> Self {
        Self { credentials: vec![hash], ..Self::bare(identity) }
    }

    /// An active user without a password.
    pub(super) fn bare(identity: Identity) -> Self {
        Self {
            identity,
            state: State::Active,
            plain: None,
            credentials: Vec::new(),
            dates: Dates::default(),
        }
    }

    /// True if there is a password to hash, which takes its time.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain.is_some()
    }
}

impl Transfer {
    /// The password of an account as `verifier`, which is checked to be usable.
    ///
    /// # Errors
    /// What is wrong with it, to be read behind "its password ...".
    pub(super) fn new(kind: Kind, verifier: String) -> Result<Self, String> {
        Self::labelled(kind, None, verifier)
    }

    /// As [`new`](Self::new), for an app password with its label.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn labelled(
        kind: Kind,
        label: Option<Label>,
        verifier: String,
    ) -> Result<Self, String> {
        match kind {
            Kind::Argon2id => {
                Verifier::parse(&verifier).map_err(|it| it.to_string())?;
            }
            Kind::Crypt => {
                ForeignHash::parse(&verifier).map_err(|it| it.to_string())?;
            }
            Kind::Scram if !scram::is_verifier(&verifier) => {
                return Err("it is no verifier of SCRAM-SHA-256".to_owned());
            }
            Kind::AppPassword if !app_password::is_verifier(&verifier) => {
                return Err("it is no digest of an app password".to_owned());
            }
            Kind::Scram | Kind::AppPassword => {}
        }
        if label.is_some() != (kind == Kind::AppPassword) {
            return Err("an app password has a label, and nothing else has".to_owned());
        }
        Ok(Self {
            kind,
            label: label.map_or_else(String::new, |label| label.as_str().to_owned()),
            verifier,
            scope: Scope::default(),
            expires: None,
        })
    }
}
