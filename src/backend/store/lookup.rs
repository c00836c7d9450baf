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
use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    TryLockResult,
};
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

/// One file, and the connections to it.
struct Open {
    stamp: Stamp,
    /// `None` if the last attempt to open the file failed.
    set: Option<Set>,
}

struct Set {
    readers: Vec<Mutex<Connection>>,
    /// Held for as long as a disk takes, so no look-up waits for it.
    writer: Mutex<Connection>,
}

impl Connections {
    /// Opens the store. Refuses a file that others than the service can get at,
    /// and one whose structure is damaged.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Open::at(path, Patience::Seconds)?;
        if let Some(set) = opened.set.as_ref().filter(|_| opened.stamp.size() <= CHECKED_BYTES) {
            schema::check_structure(path, &lock(&set.writer))?;
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
        let row = self.with(patience, |set| {
            let reader = set.reader();
            reader.busy_timeout(patience.wait())?;
            find_in(&reader, identity)
        })?;
        row.map(|row| row.into_found(&self.path)).transpose()
    }

    /// Runs `task` with the connection that is meant for changes. May wait, and for a disk.
    ///
    /// # Errors
    /// Why it failed; then nothing was changed.
    pub(super) fn change<T>(
        &self,
        task: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.with(Patience::Seconds, |set| {
            let mut writer = lock(&set.writer);
            writer.busy_timeout(Patience::Seconds.wait())?;
            task(&mut writer)
        })
    }

    /// Opens the file anew if anybody wrote to it. For a change through SQLite
    /// that would not be needed; but nothing tells it from a backup that was
    /// copied over the file, of which SQLite would go on seeing the old pages.
    ///
    /// # Errors
    /// Why it cannot be used now.
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        let now = Stamp::of(&self.path)?;
        let is_current = |open: &Open| open.stamp == now && open.set.is_some();
        if is_current(&*self.read(Patience::Seconds)?) {
            return Ok(());
        }
        let mut open = self.write(Patience::Seconds)?;
        if is_current(&open) {
            return Ok(());
        }
        // Hash threads may wait for us: if the file is locked, the next one of them opens it.
        open.reopen(&self.path, Patience::None)
    }

    /// Runs `task` with connections to the file that is there now.
    fn with<T>(
        &self,
        patience: Patience,
        task: impl FnOnce(&Set) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let now = Stamp::of(&self.path)?;
        let mut open = self.read(patience)?;
        if !open.is_usable_for(&now) {
            drop(open);
            self.replace(&now, patience)?;
            open = self.read(patience)?;
        }
        // Nothing there: another thread has just failed to open it; the next request tries again.
        let set = open.set.as_ref().ok_or_else(|| StoreError::Busy { path: self.path.clone() })?;
        task(set).map_err(|error| StoreError::from_sqlite(&self.path, &error))
    }

    fn replace(&self, now: &Stamp, patience: Patience) -> Result<(), StoreError> {
        let mut open = self.write(patience)?;
        if open.is_usable_for(now) {
            return Ok(());
        }
        open.reopen(&self.path, patience)
    }

    /// # Errors
    /// `Busy`, without patience, while the file is being opened.
    fn read(&self, patience: Patience) -> Result<RwLockReadGuard<'_, Open>, StoreError> {
        match patience {
            Patience::Seconds => Ok(self.open.read().unwrap_or_else(PoisonError::into_inner)),
            Patience::None => self.now_or_busy(self.open.try_read()),
        }
    }

    /// # Errors
    /// `Busy`, without patience, while the file is in use.
    fn write(&self, patience: Patience) -> Result<RwLockWriteGuard<'_, Open>, StoreError> {
        match patience {
            Patience::Seconds => Ok(self.open.write().unwrap_or_else(PoisonError::into_inner)),
            Patience::None => self.now_or_busy(self.open.try_write()),
        }
    }

    fn now_or_busy<G>(&self, attempt: TryLockResult<G>) -> Result<G, StoreError> {
        match attempt {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy { path: self.path.clone() }),
        }
    }
}

impl Open {
    fn at(path: &Path, patience: Patience) -> Result<Self, StoreError> {
        file::check_private(path, file::us())?;
        let stamp = Stamp::of(path)?;
        let connect = || schema::open(path, patience).map(Mutex::new);
        let set = Set {
            readers: (0..READERS).map(|_| connect()).collect::<Result<_, _>>()?,
            writer: connect()?,
        };
        if !Stamp::of(path)?.is_same_file(&stamp) {
            // Replaced meanwhile: the next request opens the new one.
            return Err(StoreError::Busy { path: path.to_owned() });
        }
        Ok(Self { stamp, set: Some(set) })
    }

    fn reopen(&mut self, path: &Path, patience: Patience) -> Result<(), StoreError> {
        self.set = None;
        *self = Self::at(path, patience)?;
        Ok(())
    }

    fn is_usable_for(&self, now: &Stamp) -> bool {
        self.stamp.is_same_file(now) && self.set.is_some()
    }
}

impl Set {
    /// A free connection, or one that will be free in microseconds.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let mut hasher = DefaultHasher::new();
        thread::current().id().hash(&mut hasher);
        let first = usize::try_from(hasher.finish() % READERS as u64).unwrap_or(0);
        let (before, after) = self.readers.split_at(first);
        let free = after.iter().chain(before).find_map(|slot| slot.try_lock().ok());
        free.unwrap_or_else(|| lock(&self.readers[first]))
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
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
const READERS: usize = 4;
/// Files up to this size are read through and checked at start (a second or so at most).
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;
