//! The database as a file: which one it is, whose, and whether it can be trusted.
//!
//! The daemon never opens the database by itself: closing any descriptor of a
//! file drops the POSIX locks that SQLite holds on it in this process. `stat`
//! by path is all it does. Making a store is in `creation`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::StoreError;

/// The directory that is made (0700) if it is missing; any other must be there.
pub(super) const DEFAULT_DIRECTORY: &str = "/var/lib/saslgate";

/// Which file a path names at the moment, and whether somebody wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Asks the file system. A microsecond.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let meta = fs::metadata(path).map_err(|error| StoreError::from_io(path, &error))?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// True if `other` is the same file, whatever was written to it since.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Says what would keep the uid `service` from using the store at `path`, as far as
/// that can be seen without opening it. For `saslgate check`.
///
/// # Errors
/// `Missing`, `NoDirectory`, `NotAFile`, `TooOpen`, `WrongOwner`, `OpenDirectory`, `ForeignDirectory`,
/// or what `stat` said.
pub fn inspect(path: &Path, service: u32) -> Result<(), StoreError> {
    match check_private(path, service) {
        Err(StoreError::Missing { path })
            if !directory_of(&path).is_dir() && directory_of(&path) != DEFAULT_DIRECTORY =>
        {
            Err(StoreError::NoDirectory { path })
        }
        outcome => outcome,
    }
}

/// Refuses a file that anybody but root and `service` could get at, or put another in place of.
///
/// # Errors
/// `NotAFile`, `TooOpen`, `WrongOwner`, `OpenDirectory`, `ForeignDirectory`, or what `stat` said.
pub(super) fn check_private(path: &Path, service: u32) -> Result<(), StoreError> {
    let on_io = |error: io::Error| StoreError::from_io(path, &error);
    check_regular(path)?;
    let meta = fs::metadata(path).map_err(on_io)?;
    if meta.uid() != service {
        return Err(StoreError::WrongOwner { path: path.to_owned(), owner: meta.uid(), service });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StoreError::TooOpen { path: path.to_owned(), mode });
    }
    // SQLite follows links, and keeps the log beside what they lead to.
    let real = fs::canonicalize(path).map_err(on_io)?;
    let directory = real.parent().unwrap_or(Path::new("/")).to_owned();
    let meta = fs::metadata(&directory).map_err(on_io)?;
    let (mode, owner) = (meta.mode() & 0o7777, meta.uid());
    if mode & 0o022 != 0 {
        return Err(StoreError::OpenDirectory { directory, mode });
    }
    if owner != 0 && owner != service {
        return Err(StoreError::ForeignDirectory { directory, owner, service });
    }
    Ok(())
}

/// Refuses what SQLite would wait at or read nonsense from.
///
/// # Errors
/// `NotAFile`, or what `stat` said.
pub(super) fn check_regular(path: &Path) -> Result<(), StoreError> {
    let meta = fs::metadata(path).map_err(|error| StoreError::from_io(path, &error))?;
    if meta.is_file() { Ok(()) } else { Err(StoreError::NotAFile { path: path.to_owned() }) }
}

/// Our effective uid: the account of the service, in the service.
pub(super) fn us() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The directory a path is in; `.` for a bare name.
pub(super) fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}
