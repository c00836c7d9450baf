//! The backends themselves: one look-up, one hash, one answer.
//!
//! Whatever was found, exactly one hash is computed: for a user who is not
//! there, and for one without a password, against a decoy that is made as this
//! host makes its hashes. An account is called locked or expired only to
//! somebody who knows its password.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::unistd::User;
use zeroize::Zeroizing;

use super::aging;
use super::files::Files;
use super::settings::Settings;
use crate::auth::{Accepted, Answer, Attempt, Grounds, Pending, Revision, Verification, Verify};
use crate::backend::hashing::{Cost, CryptError, CryptHash, HashPool, Refused, Worker};
use crate::base::{Identity, Printable, Reason, ReasonCode};
use crate::sys::shadow::{self, Aging};

/// Where the hashes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// In the shadow file: the backend `shadow`.
    Shadow,
    /// In the account database itself, for hosts without a shadow file: `getpwent`.
    Passwd,
}

/// The accounts of this host as authd asks them.
pub struct Accounts {
    /// `None` only while it is dropped.
    pool: Option<HashPool>,
    timeout: Duration,
    book: Arc<Book>,
}

/// Why a backend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// We may not read the hashes.
    #[error(
        "cannot read {path}: {source}: the backend \"{backend}\" needs root, or the group of that \
         file where it has one that may read it (SupplementaryGroups=shadow on Debian); without \
         either, use \"pam\""
    )]
    Unreadable {
        /// The name of the backend.
        backend: &'static str,
        /// The file.
        path: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// No threads, or no random bytes.
    #[error("the backend \"{backend}\" cannot start: {detail}")]
    Start {
        /// The name of the backend.
        backend: &'static str,
        /// What was refused.
        detail: String,
    },
}

/// What every job needs.
struct Book {
    database: Database,
    files: Files,
    decoy: CryptHash,
}

/// What libc knows of a user.
struct Found {
    /// As the database spells it.
    name: String,
    password: Zeroizing<Vec<u8>>,
    aging: Aging,
}

impl Database {
    /// The name of its backend.
    #[must_use]
    pub fn backend(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Passwd => "getpwent",
        }
    }

    /// The files that answers rest on; the last one has the hashes.
    fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Shadow => &["/etc/passwd", "/etc/shadow"],
            Self::Passwd => &["/etc/passwd"],
        }
    }
}

impl Accounts {
    /// Starts the threads. Call this as whoever the service will be: the file
    /// with the hashes must be readable then.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub fn start(database: Database, settings: &Settings) -> Result<Arc<Self>, AccountsError> {
        let backend = database.backend();
        let failed = |detail: String| AccountsError::Start { backend, detail };
        let files = Files::new(database.paths());
        files.hashes_are_readable().map_err(|source| AccountsError::Unreadable {
            backend,
            path: files.of_hashes(),
            source,
        })?;
        let decoy = match files.newest_hash() {
            Some(hash) => hash.decoy(),
            None => CryptHash::dummy(),
        };
        let decoy = decoy.map_err(|error| failed(error.to_string()))?;
        // No argon2id here, so no memory for it is kept.
        let cost = Cost::new(8, 1, 1).map_err(|error| failed(error.to_string()))?;
        let pool = HashPool::start(settings.threads, settings.max_waiting, cost)
            .map_err(|error| failed(format!("no thread: {error}")))?;
        Ok(Arc::new(Self {
            pool: Some(pool),
            timeout: settings.timeout,
            book: Arc::new(Book { database, files, decoy }),
        }))
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        let pool = self.pool.take();
        // Its threads may be in the hands of a directory that does not answer:
        // whoever drops us, on a reload, does not wait for them.
        drop(std::thread::Builder::new().name("hash-end".to_owned()).spawn(move || drop(pool)));
    }
}

impl Verify for Accounts {
    fn name(&self) -> &'static str {
        self.book.database.backend()
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        let book = Arc::clone(&self.book);
        let Some(pool) = &self.pool else {
            return Verification::Ready(Answer::Unavailable(ReasonCode::Stopping.into()));
        };
        let job = move |worker: &mut Worker<'_>| {
            let found = book.find(attempt.identity.user());
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            found
                .and_then(|found| book.judge(found, &attempt, worker, now))
                .unwrap_or_else(Answer::Unavailable)
        };
        match pool.submit(job) {
            Ok(answer) => Verification::Pending(self.within_time(answer)),
            Err(refused) => Verification::Ready(Answer::Unavailable(self.refusal(refused))),
        }
    }

    fn revision(&self) -> Revision {
        self.book.files.revision()
    }

    fn grounds(&self, identity: &Identity) -> Option<Grounds> {
        self.book.files.grounds(identity.user())
    }

    // nsswitch.conf may name a directory: its users have no line in the files.
    fn may_change_unseen(&self) -> bool {
        true
    }
}

impl Accounts {
    fn within_time(&self, answer: tokio::sync::oneshot::Receiver<Answer>) -> Pending<Answer> {
        let limit = self.timeout;
        Box::pin(async move {
            match tokio::time::timeout(limit, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Answer::Unavailable(ReasonCode::Stopping.into()),
                Err(_) => Answer::Unavailable(Reason::new(
                    ReasonCode::Timeout,
                    format!(
                        "no answer of the account database within {limit:?}: does a service named \
                         in /etc/nsswitch.conf hang, or are there too few shadow.threads?"
                    ),
                )),
            }
        })
    }

    fn refusal(&self, refused: Refused) -> Reason {
        match refused {
            Refused::Busy => Reason::new(
                ReasonCode::Busy,
                "too many logins wait for the accounts of this host: see shadow.threads and \
                 shadow.max_waiting",
            ),
            Refused::Stopping => ReasonCode::Stopping.into(),
        }
    }
}

impl Book {
    /// # Errors
    /// An outage: nobody could tell.
    fn find(&self, name: &str) -> Result<Option<Found>, Reason> {
        let down = |what: &str, error: &dyn std::fmt::Display| {
            let name = Printable::from(name);
            let detail = format!("cannot look {name} up in the {what} database: {error}");
            Reason::new(ReasonCode::BackendDown, detail)
        };
        let user = match User::from_name(name) {
            Ok(Some(user)) => user,
            // Some services say "no such file" for "no such user".
            Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => return Ok(None),
            Err(error) => return Err(down("account", &error)),
        };
        if self.database == Database::Passwd {
            let password = Zeroizing::new(user.passwd.into_bytes());
            return Ok(Some(Found { name: user.name, password, aging: Aging::default() }));
        }
        match shadow::shadow_entry(&user.name).map_err(|error| down("shadow", &error))? {
            Some(entry) => {
                Ok(Some(Found { name: user.name, password: entry.password, aging: entry.aging }))
            }
            None => {
                // libc says "no such entry" where it was not let in, too.
                self.files.hashes_are_readable().map_err(|error| down("shadow", &error))?;
                Ok(None)
            }
        }
    }

    /// # Errors
    /// An outage: the password could not be checked.
    fn judge(
        &self,
        found: Option<Found>,
        attempt: &Attempt,
        worker: &mut Worker<'_>,
        now: Duration,
    ) -> Result<Answer, Reason> {
        let mut compute = |hash: &CryptHash| {
            worker.matches_crypt(hash, &attempt.password).map_err(|error| {
                Reason::new(ReasonCode::Damaged, format!("a password was not hashed: {error}"))
            })
        };
        let Some(found) = found else {
            compute(&self.decoy)?;
            return Ok(Answer::Unknown);
        };
        let (hash, state) = match self.hash_of(&found)? {
            Ok(parsed) => parsed,
            Err(why) => {
                compute(&self.decoy)?;
                return Ok(Answer::Rejected(Reason::new(ReasonCode::BadCredentials, why)));
            }
        };
        if !compute(&hash)? {
            return Ok(Answer::Rejected(ReasonCode::BadCredentials.into()));
        }
        if state == State::Locked {
            return Ok(Answer::Rejected(ReasonCode::AccountLocked.into()));
        }
        match aging::check(&found.aging, now) {
            Err(reason) => Ok(Answer::Rejected(reason)),
            Ok(valid_for) => accept(&found.name, &attempt.identity, valid_for),
        }
    }

    /// The hash, and whether it is locked away; or why no password can fit.
    ///
    /// # Errors
    /// It is there, and cannot be checked.
    fn hash_of(&self, found: &Found) -> Result<Result<(CryptHash, State), &'static str>, Reason> {
        let text = std::str::from_utf8(&found.password).unwrap_or("\u{fffd}");
        let bare = text.trim_start_matches('!');
        let state = if bare == text { State::Open } else { State::Locked };
        match CryptHash::parse(bare) {
            Ok(hash) => Ok(Ok((hash, state))),
            Err(_) if state == State::Locked => Ok(Err(LOCKED)),
            Err(CryptError::Locked) => Ok(Err(LOCKED)),
            Err(CryptError::Empty) => {
                Ok(Err("the account has no password, and an empty one never fits"))
            }
            Err(_) if text == "x" && self.database == Database::Passwd => Ok(Err(
                "its password is in the shadow file, where getpwent does not look: use \"shadow\" or \"pam\"",
            )),
            Err(error) => {
                let name = Printable::from(found.name.as_str());
                let detail = format!(
                    "the password of {name} cannot be checked: {error}; set it anew with \
                     passwd {name}, or ask \"pam\" instead of \"{}\"",
                    self.database.backend()
                );
                Err(Reason::new(ReasonCode::Damaged, detail))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// There is a `!` in front of the hash (`usermod -L`).
    Locked,
}

const LOCKED: &str = "the account is locked, or has no password";

/// # Errors
/// The database spells the name as no name of ours can be.
fn accept(name: &str, claimed: &Identity, valid_for: Option<Duration>) -> Result<Answer, Reason> {
    let user = if name == claimed.user() {
        None
    } else {
        let user = Identity::new(name, claimed.realm()).map_err(|error| {
            let name = Printable::from(name);
            let detail = format!("the account database calls the user \"{name}\": {error}");
            Reason::new(ReasonCode::BackendDown, detail)
        })?;
        Some(user)
    };
    Ok(Answer::Accepted(Accepted { user, label: None, valid_for, handover: None }))
}
