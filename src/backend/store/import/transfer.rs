//! Our own export: JSON lines, a user in each, to move to another host.
//!
//! ```text
//! {"user":"alice","realm":"example.org","state":"active","created":"2026-...Z",
//!  "changed":"...","last_used":null,"credentials":[{"kind":"argon2id",...,"verifier":"$argon2id$..."}]}
//! ```
//!
//! Without hashes the verifiers are left out, and so it can be shown around; it
//! cannot be imported. The names are a contract. Dates are RFC 3339 in UTC.

use std::io::{BufRead, Read};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::candidate::{Candidate, Dates, Record, SourceError, Transfer};
use crate::backend::store::admin::Store;
use crate::backend::store::error::StoreError;
use crate::backend::store::lookup::{self, Credential};
use crate::backend::store::record::{Kind, Moment, State, User};
use crate::backend::store::scope::{Label, Scope};
use crate::base::Identity;

/// A line.
#[derive(Serialize, Deserialize)]
struct Line {
    user: String,
    realm: String,
    state: String,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    changed: Option<String>,
    #[serde(default)]
    last_used: Option<String>,
    credentials: Vec<LineCredential>,
}

#[derive(Serialize, Deserialize)]
struct LineCredential {
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    label: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    services: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    /// Left out where hashes are not wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verifier: Option<String>,
}

/// Whether an export holds what can be guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// Everything: as good as the store itself, and to be kept like it.
    WithHashes,
    /// Names, states, kinds and dates.
    WithoutHashes,
}

impl Store {
    /// The line of `user`, without its end.
    ///
    /// # Errors
    /// Why the store could not tell.
    pub fn export(&self, user: &User, export: Export) -> Result<Zeroizing<String>, StoreError> {
        let (_, credentials) = lookup::find_in(&self.connection, &user.identity)
            .map_err(|error| StoreError::from_sqlite(&self.path, &error))?;
        let line = Line {
            user: user.identity.user().to_owned(),
            realm: user.identity.realm().to_owned(),
            state: user.state.as_str().to_owned(),
            created: Some(date(user.created)),
            changed: Some(date(user.changed)),
            last_used: user.last_used.map(date),
            credentials: credentials.into_iter().map(|it| exported(it, export)).collect(),
        };
        serde_json::to_string(&line).map(Zeroizing::new).map_err(|error| StoreError::Damaged {
            path: self.path.clone(),
            detail: format!("{} cannot be written as JSON: {error}", user.identity),
        })
    }
}

fn exported(credential: Credential, export: Export) -> LineCredential {
    LineCredential {
        kind: credential.kind.as_str().to_owned(),
        label: credential.label.into(),
        services: credential.scope.services().map(str::to_owned).collect(),
        expires: credential.expires.map(date),
        verifier: (export == Export::WithHashes).then(|| credential.verifier.into()),
    }
}

fn date(moment: Moment) -> String {
    Timestamp::from_second(moment.unix()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// The users of an export.
pub struct Transfers<R> {
    input: R,
    /// As errors call it.
    name: String,
    place: u64,
}

impl<R: BufRead> Transfers<R> {
    /// Reads `input`, which errors call `name`.
    pub fn new(input: R, name: String) -> Self {
        Self { input, name, place: 0 }
    }
}

impl<R: BufRead> Iterator for Transfers<R> {
    type Item = Result<Record, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Zeroizing::new(Vec::new());
        let limit = MAX_LINE_BYTES as u64 + 1;
        match self.input.by_ref().take(limit).read_until(b'\n', &mut text) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(SourceError::Io { name: self.name.clone(), error })),
        }
        self.place += 1;
        let is_too_long = text.len() > MAX_LINE_BYTES;
        if is_too_long && let Err(error) = self.input.skip_until(b'\n') {
            return Some(Err(SourceError::Io { name: self.name.clone(), error }));
        }
        let (name, user) = match serde_json::from_slice::<Line>(&text) {
            _ if is_too_long => {
                (String::new(), Err(format!("the line is longer than {MAX_LINE_BYTES} bytes")))
            }
            // The place of the mistake, not its text: that could be a hash.
            Err(error) => {
                let column = error.column();
                let problem = format!("it is no line of an export, see column {column}");
                (String::new(), Err(problem))
            }
            Ok(line) => (format!("{}@{}", line.user, line.realm), line.into_candidate()),
        };
        Some(Ok(Record { place: self.place, name, user }))
    }
}

impl Line {
    fn into_candidate(self) -> Result<Candidate, String> {
        let identity = Identity::new(&self.user, &self.realm).map_err(|error| error.to_string())?;
        let state = State::from_word(&self.state)
            .ok_or_else(|| "its state is neither active nor locked".to_owned())?;
        let credentials = self.credentials.into_iter().map(LineCredential::into_transfer);
        let dates = Dates {
            created: moment(self.created.as_deref())?,
            changed: moment(self.changed.as_deref())?,
            last_used: moment(self.last_used.as_deref())?,
        };
        Ok(Candidate {
            state,
            credentials: credentials.collect::<Result<_, _>>()?,
            dates,
            ..Candidate::bare(identity)
        })
    }
}

impl LineCredential {
    fn into_transfer(self) -> Result<Transfer, String> {
        let kind = Kind::from_word(&self.kind)
            .ok_or_else(|| "it has a credential of a kind that is not known here".to_owned())?;
        let verifier = self
            .verifier
            .ok_or_else(|| "its hashes were left out: export with --with-hashes".to_owned())?;
        let label = match self.label.as_str() {
            "" => None,
            label => Some(Label::new(label).map_err(|error| error.to_string())?),
        };
        let scope = Scope::of(self.services.iter().map(String::as_str))
            .map_err(|error| error.to_string())?;
        let expires = moment(self.expires.as_deref())?;
        Ok(Transfer { scope, expires, ..Transfer::labelled(kind, label, verifier)? })
    }
}

fn moment(text: Option<&str>) -> Result<Option<Moment>, String> {
    let parsed = text.map(|text| text.parse::<Timestamp>()).transpose();
    let parsed = parsed.map_err(|_| "one of its dates is none".to_owned())?;
    Ok(parsed.map(|it| Moment::from_unix(it.as_second())))
}

/// A user with a thousand app passwords.
const MAX_LINE_BYTES: usize = 512 * 1024;
