//! The daemon's connections: a look-up in microseconds on the calling thread.
//!
//! A few connections behind locks that are held for microseconds; the file is
//! compared with the open one at each look-up (one `stat`). A file that was
//! replaced, by a rename from a backup for instance, is opened anew at once; one
//! that was overwritten in place is noticed by the keeper within a second or two.
//!
//! All old connections are closed before the first new one is opened. Two
//! inodes at one path would share `-wal` and `-shm`, and SQLite, whose locks do
//! not hold within one process, would reset the map that the old ones still use.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::StoreError;
use super::file::{self, Stamp};
use super::record::{KIND_ARGON2ID, State};
use super::schema::{self, Patience};
use crate::base::Identity;

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether the account may be used.
    pub(super) state: State,
    /// The PHC string of its password; `None`: it has none.
    pub(super) verifier: Option<String>,
}

/// The open store, as authd uses it.
pub(super) struct Connections {
    path: PathBuf,
    open: RwLock<Open>,
}

/// One file, and the connections to it. `connections` is empty if the last
/// attempt to open it failed; else there are [`CONNECTIONS`].
struct Open {
    stamp: Stamp,
    connections: Vec<Mutex<Connection>>,
}

impl Connections {
    /// Opens the store. Refuses a file that others than the service can get at,
    /// and one whose structure is damaged.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Open::at(path, Patience::Seconds)?;
        if opened.stamp.size() <= CHECKED_BYTES {
            schema::check_structure(path, &opened.any())?;
        }
        Ok(Self { path: path.to_owned(), open: RwLock::new(opened) })
    }

    /// Looks a user up. `None`: the store does not know the user.
    ///
    /// # Errors
    /// Why the store could not tell; `Busy` with [`Patience::None`] is worth a
    /// second try with patience, on a thread that may wait.
    pub(super) fn find(
        &self,
        identity: &Identity,
        patience: Patience,
    ) -> Result<Option<Found>, StoreError> {
        self.with(patience, |connection| find_in(connection, identity))?
            .map(|row| row.into_found(&self.path))
            .transpose()
    }

    /// Runs `task` with a connection to the file that is there now.
    pub(super) fn with<T>(
        &self,
        patience: Patience,
        task: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let now = Stamp::of(&self.path)?;
        let mut open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if !open.is_usable_for(&now) {
            drop(open);
            self.reopen(patience, |open| !open.is_usable_for(&now))?;
            open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        }
        if open.connections.is_empty() {
            // Another thread has just failed to open it; the next request tries again.
            return Err(StoreError::Busy { path: self.path.clone() });
        }
        let mut connection = open.any();
        let outcome = connection
            .busy_timeout(patience.wait())
            .and_then(|()| task(&mut connection))
            .map_err(|error| StoreError::from_sqlite(&self.path, &error));
        drop(connection);
        outcome
    }

    /// Opens the file anew if somebody wrote to it. SQLite would not notice a
    /// write that did not go through it.
    ///
    /// # Errors
    /// Why it cannot be used now.
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        let now = Stamp::of(&self.path)?;
        self.reopen(Patience::Seconds, |open| open.stamp != now || open.connections.is_empty())
    }

    fn reopen(
        &self,
        patience: Patience,
        is_stale: impl FnOnce(&Open) -> bool,
    ) -> Result<(), StoreError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if !is_stale(&open) {
            return Ok(());
        }
        open.connections.clear();
        *open = Open::at(&self.path, patience)?;
        Ok(())
    }
}

impl Open {
    fn at(path: &Path, patience: Patience) -> Result<Self, StoreError> {
        file::check_private(path)?;
        let stamp = Stamp::of(path)?;
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            connections.push(Mutex::new(schema::open(path, patience)?));
        }
        if !Stamp::of(path)?.is_same_file(&stamp) {
            // Replaced meanwhile: the next request opens the new one.
            return Err(StoreError::Busy { path: path.to_owned() });
        }
        Ok(Self { stamp, connections })
    }

    fn is_usable_for(&self, now: &Stamp) -> bool {
        self.stamp.is_same_file(now) && !self.connections.is_empty()
    }

    /// A free connection, or one that will be free in microseconds. Not for an empty list.
    fn any(&self) -> MutexGuard<'_, Connection> {
        let mut hasher = DefaultHasher::new();
        thread::current().id().hash(&mut hasher);
        let first = usize::try_from(hasher.finish() % CONNECTIONS as u64).unwrap_or(0);
        let (before, after) = self.connections.split_at(first);
        let free = after.iter().chain(before).find_map(|slot| slot.try_lock().ok());
        free.unwrap_or_else(|| {
            self.connections[first].lock().unwrap_or_else(PoisonError::into_inner)
        })
    }
}

/// A row as it is; the words in it are judged by [`RawRow::into_found`].
struct RawRow {
    state: String,
    verifier: Option<String>,
}

impl RawRow {
    fn into_found(self, path: &Path) -> Result<Found, StoreError> {
        let Some(state) = State::from_word(&self.state) else {
            let detail = "a user has an unknown state".to_owned();
            return Err(StoreError::Damaged { path: path.to_owned(), detail });
        };
        Ok(Found { state, verifier: self.verifier })
    }
}

fn find_in(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<RawRow>> {
    let take = |row: &Row<'_>| Ok(RawRow { state: row.get(0)?, verifier: row.get(1)? });
    connection
        .prepare_cached(
            "SELECT users.state, credentials.verifier FROM users LEFT JOIN credentials
             ON credentials.realm = users.realm AND credentials.user = users.user
             AND credentials.kind = ?3 AND credentials.label = ''
             WHERE users.realm = ?1 AND users.user = ?2",
        )?
        .query_row(params![identity.realm(), identity.user(), KIND_ARGON2ID], take)
        .optional()
}

/// Look-ups at once; each takes microseconds, so few are enough for many cores.
const CONNECTIONS: usize = 4;
/// Files up to this size are read through and checked at start (a second or so at most).
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;
