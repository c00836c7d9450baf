//! The tables, and what every connection is told before it is used.
//!
//! ```text
//! users        realm, user               -> state, created, changed, last_used
//! credentials  realm, user, kind, label  -> verifier, created, changed, last_used,
//!                                           services, expires
//! ```
//!
//! | `kind` | `label` | the verifier is |
//! |---|---|---|
//! | `argon2id` | empty | a PHC string: the password of the account |
//! | `crypt` | empty | an imported hash, in its place until the first login |
//! | `scram-sha-256` | empty | StoredKey and ServerKey of the same password (RFC 5802) |
//! | `app-password` | its name | a digest of a password that we have drawn |
//!
//! Dates are seconds since 1970 UTC; `services` are words with a blank between
//! them, none meaning all. Realm first, so that a realm is one range of the tree.
//!
//! Format 1 had neither `services` nor `expires`. It is upgraded when it is
//! opened, in one transaction. A program of that time that has the file open
//! goes on until it opens the file anew, within a second or two, and refuses
//! it as newer from then on: everybody is *unavailable* until it is restarted.
//!
//! WAL, so that readers and the writer never wait for each other; FULL, so that
//! a commit is on the disk when it returns; no mmap, so that a truncated file is
//! an error and not a SIGBUS. Every change ends with a truncating checkpoint:
//! in quiet times the log is empty, so a plain copy of the file is a whole
//! backup and a restored file meets no stale log.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::error::StoreError;
use super::file;
use crate::backend::sasldb;
use crate::sys::sqlite;

/// `PRAGMA application_id`: "SLGT".
pub(super) const APPLICATION_ID: i64 = 0x534c_4754;
/// `PRAGMA user_version`: the format this code reads and writes.
pub(super) const VERSION: i64 = 2;

/// How long a connection waits for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all: the caller is on an async thread.
    None,
    /// As long as a person or a hash thread can.
    Seconds,
}

impl Patience {
    /// The longest wait for a lock.
    pub(super) fn wait(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Seconds => LOCK_WAIT,
        }
    }
}

/// Builds an empty store in the empty file at `path` and syncs it.
pub(super) fn initialise(path: &Path) -> Result<(), StoreError> {
    let on_error = |error: rusqlite::Error| StoreError::from_sqlite(path, &error);
    let connection = connect(path, Patience::Seconds)?;
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             BEGIN IMMEDIATE;
             {TABLES}
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {VERSION};
             COMMIT;"
        ))
        .map_err(on_error)?;
    // The last connection checkpoints the log into the file and removes it.
    connection.close().map_err(|(_, error)| on_error(error))
}

/// Opens an existing store and makes sure that it is one.
///
/// # Errors
/// `Missing`, `NotAFile`, `Denied`, `Sasldb2`, `Foreign`, `Newer`, `Damaged`, `Busy`, `Io`.
pub(super) fn open(path: &Path, patience: Patience) -> Result<Connection, StoreError> {
    file::check_regular(path)?;
    let opened = connect(path, patience).and_then(|connection| {
        recognise(path, &connection)?;
        Ok(connection)
    });
    opened.map_err(|error| match error {
        StoreError::Damaged { path, detail } => match sasldb::format_of(&path) {
            Some(format) => StoreError::Sasldb2 { path, format },
            None => StoreError::Damaged { path, detail },
        },
        other => other,
    })
}

/// Reads the whole file and checks that it hangs together.
///
/// # Errors
/// `Damaged`, with the first thing that does not.
pub(super) fn check_structure(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::from_sqlite(path, &error))?;
    if found == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged { path: path.to_owned(), detail: found })
}

/// Moves what the log holds into the file and empties the log, as far as
/// readers let it. Failure is harmless: the log is as durable as the file.
pub(super) fn settle(connection: &Connection) {
    drop(connection.busy_timeout(CHECKPOINT_WAIT));
    drop(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    drop(connection.busy_timeout(LOCK_WAIT));
}

fn connect(path: &Path, patience: Patience) -> Result<Connection, StoreError> {
    let on_error = |error: rusqlite::Error| StoreError::from_sqlite(path, &error);
    sqlite::allocate_as_needed();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(on_error)?;
    connection.busy_timeout(patience.wait()).map_err(on_error)?;
    // Built with STAT4, SQLite parses and plans a statement anew for each value that is bound
    // to it, which costs twice the look-up; with this it keeps the plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(on_error)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA mmap_size = 0;
             PRAGMA cache_size = -8192;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;
             PRAGMA secure_delete = ON;",
        )
        .map_err(on_error)?;
    Ok(connection)
}

fn recognise(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let pragma = |name: &str| -> Result<i64, StoreError> {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
            .map_err(|error| StoreError::from_sqlite(path, &error))
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application == APPLICATION_ID && version > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known: VERSION });
    }
    if application != APPLICATION_ID {
        // An empty file is an empty database to SQLite. To us it is a store that was lost.
        if pragma("page_count")? == 0 {
            let detail = "the file is empty".to_owned();
            return Err(StoreError::Damaged { path: path.to_owned(), detail });
        }
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    use_log(path, connection)?;
    if version < VERSION {
        upgrade(connection).map_err(|error| StoreError::from_sqlite(path, &error))?;
    }
    Ok(())
}

/// Makes format 2 of format 1, unless another process has done so meanwhile.
fn upgrade(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 1 {
        transaction.execute_batch(UPGRADE)?;
        transaction.commit()?;
        settle(connection);
    }
    Ok(())
}

fn use_log(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| StoreError::from_sqlite(path, &error))?;
    if mode != "wal" {
        let detail = format!("its file system allows journal mode {mode} only, WAL is needed");
        return Err(StoreError::Io { path: path.to_owned(), detail });
    }
    Ok(())
}

/// How long a command waits for another writer. Writes take milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How long a checkpoint waits for readers. They take microseconds, or they are stopped.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(250);

const TABLES: &str = "
    CREATE TABLE users (
        realm     TEXT    NOT NULL,
        user      TEXT    NOT NULL CHECK (user <> ''),
        state     TEXT    NOT NULL CHECK (state IN ('active', 'locked')),
        created   INTEGER NOT NULL,
        changed   INTEGER NOT NULL,
        last_used INTEGER,
        PRIMARY KEY (realm, user)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credentials (
        realm     TEXT    NOT NULL,
        user      TEXT    NOT NULL,
        kind      TEXT    NOT NULL CHECK (kind <> ''),
        label     TEXT    NOT NULL DEFAULT '',
        verifier  TEXT    NOT NULL,
        created   INTEGER NOT NULL,
        changed   INTEGER NOT NULL,
        last_used INTEGER,
        services  TEXT    NOT NULL DEFAULT '',
        expires   INTEGER,
        PRIMARY KEY (realm, user, kind, label),
        FOREIGN KEY (realm, user) REFERENCES users (realm, user) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
";

const UPGRADE: &str = "
    ALTER TABLE credentials ADD COLUMN services TEXT NOT NULL DEFAULT '';
    ALTER TABLE credentials ADD COLUMN expires INTEGER;
    PRAGMA user_version = 2;
";
