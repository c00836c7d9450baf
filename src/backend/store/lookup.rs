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
//!
//! What is remembered elsewhere is compared by [`Connections::revision`]: the
//! stamp of the file, and a count of the changes that any of the readers has
//! noticed (`PRAGMA data_version`, which each connection counts on its own).
//! Two system calls for the one, one for the other; no descriptor of our own,
//! whose closing would drop the locks of SQLite.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    TryLockResult,
};
use std::thread;

use rusqlite::{Connection, Row, params};

use super::error::StoreError;
use super::file::{self, Stamp};
use super::record::{Kind, Moment, State};
use super::schema::{self, Patience};
use super::scope::Scope;
use crate::base::Identity;

/// What a look-up found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Found {
    /// Whether the account may be used.
    pub(super) state: State,
    /// All that a login could be checked against, and more.
    pub(super) credentials: Vec<Credential>,
}

/// A credential of a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Credential {
    pub(super) kind: Kind,
    /// Empty for the password of the account.
    pub(super) label: Box<str>,
    pub(super) verifier: Box<str>,
    pub(super) scope: Scope,
    pub(super) expires: Option<Moment>,
}

/// The open store, as authd uses it.
pub(super) struct Connections {
    path: PathBuf,
    open: RwLock<Open>,
    /// Goes up when a reader notices a change, and when the file is opened anew.
    changes: AtomicU64,
}

/// One file, and the connections to it.
struct Open {
    stamp: Stamp,
    /// `None` if the last attempt to open the file failed.
    set: Option<Set>,
}

struct Set {
    readers: Vec<Mutex<Reader>>,
    /// Held for as long as a disk takes, so no look-up waits for it.
    writer: Mutex<Connection>,
}

/// A connection for look-ups.
struct Reader {
    connection: Connection,
    /// `data_version` at the last [`Reader::has_news`].
    seen: i64,
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
        let (open, changes) = (RwLock::new(opened), AtomicU64::new(0));
        Ok(Self { path: path.to_owned(), open, changes })
    }

    /// The state of the file. Two equal ones mean that nobody has changed it in
    /// between; a change that was committed when this is called always shows.
    /// What cannot be told now counts as changed. Microseconds, no waiting.
    pub(super) fn revision(&self) -> u64 {
        let looked = self.look();
        let changes = looked.unwrap_or_else(|_| self.changes.fetch_add(1, Ordering::SeqCst) + 1);
        let mut hasher = DefaultHasher::new();
        // Behind the look at the database: a file put in place meanwhile has another stamp.
        (Stamp::of(&self.path).ok(), changes).hash(&mut hasher);
        hasher.finish()
    }

    /// The changes that were noticed until now, those that a reader sees now included.
    fn look(&self) -> Result<u64, StoreError> {
        let open = self.read(Patience::None)?;
        let set = open.set.as_ref().ok_or_else(|| StoreError::Busy { path: self.path.clone() })?;
        let mut reader = set.reader();
        let has_news =
            reader.has_news().map_err(|error| StoreError::from_sqlite(&self.path, &error))?;
        // Counted under the lock of the reader: whoever asks it next finds no news there.
        Ok(self.changes.fetch_add(has_news.into(), Ordering::SeqCst) + u64::from(has_news))
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
        let (state, credentials) = self.with(patience, |set| {
            let reader = set.reader();
            reader.connection.busy_timeout(patience.wait())?;
            find_in(&reader.connection, identity)
        })?;
        let Some(word) = state else { return Ok(None) };
        let Some(state) = State::from_word(&word) else {
            let detail = format!("{identity} has an unknown state");
            return Err(StoreError::Damaged { path: self.path.clone(), detail });
        };
        Ok(Some(Found { state, credentials }))
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
        self.reopen(&mut open, Patience::None)
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
        self.reopen(&mut open, patience)
    }

    fn reopen(&self, open: &mut Open, patience: Patience) -> Result<(), StoreError> {
        // The new connections know nothing of what the old ones had seen.
        self.changes.fetch_add(1, Ordering::SeqCst);
        open.set = None;
        *open = Open::at(&self.path, patience)?;
        Ok(())
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
        let connect = || schema::open(path, patience);
        let reader = || connect().map(|connection| Mutex::new(Reader { connection, seen: -1 }));
        let set = Set {
            readers: (0..READERS).map(|_| reader()).collect::<Result<_, _>>()?,
            writer: Mutex::new(connect()?),
        };
        if !Stamp::of(path)?.is_same_file(&stamp) {
            // Replaced meanwhile: the next request opens the new one.
            return Err(StoreError::Busy { path: path.to_owned() });
        }
        Ok(Self { stamp, set: Some(set) })
    }

    fn is_usable_for(&self, now: &Stamp) -> bool {
        self.stamp.is_same_file(now) && self.set.is_some()
    }
}

impl Set {
    /// A free connection, or one that will be free in microseconds.
    fn reader(&self) -> MutexGuard<'_, Reader> {
        let mut hasher = DefaultHasher::new();
        thread::current().id().hash(&mut hasher);
        let first = usize::try_from(hasher.finish() % READERS as u64).unwrap_or(0);
        let (before, after) = self.readers.split_at(first);
        let free = after.iter().chain(before).find_map(|slot| slot.try_lock().ok());
        free.unwrap_or_else(|| lock(&self.readers[first]))
    }
}

impl Reader {
    /// True if anybody has changed the database since this was asked last; the first time, too.
    fn has_news(&mut self) -> rusqlite::Result<bool> {
        self.connection.busy_timeout(Patience::None.wait())?;
        let now: i64 = self
            .connection
            .prepare_cached("PRAGMA data_version")?
            .query_row([], |row| row.get(0))?;
        Ok(std::mem::replace(&mut self.seen, now) != now)
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state of a user as it is written, if there is such a user, and the credentials.
pub(super) fn find_in(
    connection: &Connection,
    identity: &Identity,
) -> rusqlite::Result<(Option<Box<str>>, Vec<Credential>)> {
    let mut statement = connection.prepare_cached(
        "SELECT u.state, c.kind, c.label, c.verifier, c.services, c.expires FROM users u
         LEFT JOIN credentials c ON c.realm = u.realm AND c.user = u.user
         WHERE u.realm = ?1 AND u.user = ?2",
    )?;
    let mut rows = statement.query(params![identity.realm(), identity.user()])?;
    let (mut state, mut credentials) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        if state.is_none() {
            state = Some(row.get(0)?);
        }
        credentials.extend(credential(row)?);
    }
    Ok((state, credentials))
}

/// The credential in a row; none if the user has none, or one of a later version.
fn credential(row: &Row<'_>) -> rusqlite::Result<Option<Credential>> {
    let word = row.get_ref(1)?.as_str_or_null()?;
    let Some(kind) = word.and_then(Kind::from_word) else { return Ok(None) };
    Ok(Some(Credential {
        kind,
        label: row.get(2)?,
        verifier: row.get(3)?,
        scope: Scope::from_column(row.get_ref(4)?.as_str()?),
        expires: row.get::<_, Option<i64>>(5)?.map(Moment::from_unix),
    }))
}

/// Look-ups at once; each takes microseconds, so few are enough for many cores.
const READERS: usize = 4;
/// Files up to this size are read through and checked at start (a second or so at most).
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;
