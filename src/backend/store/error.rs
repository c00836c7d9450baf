//! What can go wrong with the store, in words an administrator can act on.
//!
//! Every variant names the file or the user. None of them means "no": on the
//! verifying side each becomes *unavailable* ([`StoreError::reason`]), so a
//! damaged or missing file is never taken for an unknown user.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use super::policy::Weakness;
use crate::backend::sasldb::Format;
use crate::base::{Identity, Reason, ReasonCode};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no file.
    #[error(
        "the password store {} does not exist: add a first user with \"saslgate user add\", \
         or restore it from a backup", .path.display()
    )]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// There is no directory to create the file in.
    #[error("the directory of the password store {} does not exist: create it first", .path.display())]
    NoDirectory {
        /// The database.
        path: PathBuf,
    },
    /// The file is gone, its write-ahead log is not: whatever is created now would mix with it.
    #[error(
        "the password store {path} is gone but its log {path}-wal is still there: restore the \
         store, or remove the log to begin with an empty one", path = .path.display()
    )]
    LeftoverLog {
        /// The database.
        path: PathBuf,
    },
    /// The operating system does not let us.
    #[error(
        "no permission to use the password store {} or its directory: run this as root or as \
         the owner of the file", .path.display()
    )]
    Denied {
        /// The database.
        path: PathBuf,
    },
    /// Others than the owner may read or write the file.
    #[error(
        "the password store {path} has mode {mode:04o}, so others can get at it: type \
         \"chmod 600 {path}\"", path = .path.display()
    )]
    TooOpen {
        /// The database.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to somebody else than the service.
    #[error(
        "the password store {path} belongs to uid {owner}, but the service runs as uid {service}: \
         type \"chown {service} {path}\"", path = .path.display()
    )]
    WrongOwner {
        /// The database.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        service: u32,
    },
    /// A directory, a device, a pipe.
    #[error("the password store {} is no regular file: name another one in store.path", .path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Whoever may write to the directory can put another store, or a forged log, in place of ours.
    #[error(
        "others may write to the directory {directory} of the password store (mode {mode:04o}): \
         type \"chmod go-w {directory}\"", directory = .directory.display()
    )]
    OpenDirectory {
        /// Where the database is, links followed.
        directory: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The same, of an account that is neither root nor the service.
    #[error(
        "the directory {directory} of the password store belongs to uid {owner}, but the service \
         runs as uid {service}: type \"chown {service} {directory}\"",
        directory = .directory.display()
    )]
    ForeignDirectory {
        /// Where the database is, links followed.
        directory: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who we are.
        service: u32,
    },
    /// A sasldb2 of Cyrus SASL.
    #[error(
        "{} is a Cyrus sasldb2 ({format}), which is never written: leave it as it is, and add \
         its users to the password store with \"saslpasswd2 -c\" or \"saslgate user add\"",
        .path.display()
    )]
    Sasldb2 {
        /// The file.
        path: PathBuf,
        /// What it is written in.
        format: Format,
    },
    /// Some other SQLite database.
    #[error("{} is an SQLite database, but not a password store: name another file", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error(
        "the password store {} has format {found}, and this saslgate knows formats up to {known}: \
         install the newer saslgate that wrote it", .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The last format we know.
        known: i64,
    },
    /// The file is not what was written.
    #[error(
        "the password store {path} is damaged ({detail}): stop saslgate and restore a backup, \
         or save what can be read with \"sqlite3 {path} .recover | sqlite3 NEWFILE\"",
        path = .path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite or we found.
        detail: String,
    },
    /// The stored verifier of one user cannot be used.
    #[error(
        "the stored password of {identity} is damaged ({detail}): set a new one with \
         \"saslgate user passwd {identity}\""
    )]
    BadVerifier {
        /// Whose it is.
        identity: Identity,
        /// What is wrong with it.
        detail: String,
    },
    /// The stored digest of one app password cannot be used.
    #[error(
        "the stored app password {label:?} of {identity} is damaged: remove it with \
         \"saslgate user app-password revoke {identity} {label:?}\""
    )]
    BadAppPassword {
        /// Whose it is.
        identity: Identity,
        /// Its label.
        label: String,
    },
    /// No space.
    #[error(
        "the disk or quota of the password store {} is full: nothing was changed; free some \
         space and try again", .path.display()
    )]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Another process holds the file for longer than we wait.
    #[error(
        "the password store {} is in use by another process for too long: try again, and look \
         for a stopped process that has it open", .path.display()
    )]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Input or output failed.
    #[error(
        "reading or writing the password store {} failed ({detail}): the change is not \
         acknowledged; look at the system log for disk errors", .path.display()
    )]
    Io {
        /// The database.
        path: PathBuf,
        /// What the operating system said.
        detail: String,
    },
    /// A user of that name is there already.
    #[error("{0} already exists: use \"saslgate user passwd\" to set a new password")]
    UserExists(Identity),
    /// No user of that name.
    #[error("{0} does not exist: see \"saslgate user list\"")]
    NoSuchUser(Identity),
    /// An empty password.
    #[error("an empty password is refused")]
    EmptyPassword,
    /// A new password that is not good enough.
    #[error("the password is too weak: {0}")]
    Weak(#[from] Weakness),
    /// An app password of that label is there already.
    #[error(
        "{identity} already has an app password {label:?}: revoke it first, or take another label"
    )]
    LabelExists {
        /// Whose.
        identity: Identity,
        /// Its label.
        label: String,
    },
    /// No app password of that label.
    #[error(
        "{identity} has no app password {label:?}: see \"saslgate user app-password list {identity}\""
    )]
    NoSuchLabel {
        /// Whose.
        identity: Identity,
        /// The label.
        label: String,
    },
    /// argon2id cannot be run with the settings.
    #[error("hashing passwords with the settings of [store] is not possible: {0}")]
    Hash(String),
}

impl StoreError {
    /// What this means for somebody who wanted a password checked: a reason for *unavailable*.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Busy { .. } => ReasonCode::Busy,
            Self::Missing { .. } | Self::NoDirectory { .. } | Self::Hash(_) => {
                ReasonCode::BackendDown
            }
            _ => ReasonCode::Damaged,
        };
        Reason::new(code, self.to_string())
    }

    pub(super) fn from_io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, detail: error.to_string() },
        }
    }

    pub(super) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let Some(code) = error.sqlite_error_code() else {
            // A column that is not there or not of its type: not the tables we made.
            return Self::Damaged { path: path.to_owned(), detail: error.to_string() };
        };
        let (path, detail) = (path.to_owned(), error.to_string());
        match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
            ErrorCode::DiskFull => Self::Full { path },
            ErrorCode::SystemIoFailure if is_lack_of_space(&path, error) => Self::Full { path },
            ErrorCode::CannotOpen if !path.exists() => Self::Missing { path },
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => {
                Self::Denied { path }
            }
            ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport => Self::Io { path, detail },
            _ => Self::Damaged { path, detail },
        }
    }
}

/// SQLite says "full" only of the database and its log. A shared memory file
/// that finds no space is an I/O error like any other, so we look ourselves.
/// Errors of a sync are left alone: after those a change may or may not be there.
fn is_lack_of_space(path: &Path, error: &rusqlite::Error) -> bool {
    let growing = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    let is_growth =
        error.sqlite_error().is_some_and(|error| growing.contains(&error.extended_code));
    let free = |path: &Path| {
        let space = nix::sys::statvfs::statvfs(path).ok()?;
        Some(space.blocks_available().saturating_mul(space.fragment_size()))
    };
    is_growth && free(path).is_some_and(|bytes| bytes < SHARED_MEMORY_BYTES)
}

/// What the shared memory file takes at least.
const SHARED_MEMORY_BYTES: u64 = 32 * 1024;
