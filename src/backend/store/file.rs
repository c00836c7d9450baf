//! The database as a file: made at once and complete, owned by the service.
//!
//! A new store is built under a temporary name (0600 from the first moment,
//! whatever the umask), synced, and then linked to its name: nobody ever sees
//! half a store, and of two processes that create it one simply wins. SQLite
//! gives `-wal` and `-shm` the mode and, as root, the owner of the database.
//!
//! The daemon never opens the database by itself: closing any descriptor of a
//! file drops the POSIX locks that SQLite holds on it in this process. `stat`
//! by path is all it does.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::schema;

/// The directory that is made (0700) if it is missing; any other must be there.
const DEFAULT_DIRECTORY: &str = "/var/lib/saslgate";

/// Which file a path names at the moment, and whether somebody wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
/// `Missing`, `NoDirectory`, `NotAFile`, `TooOpen`, `WrongOwner`, `OpenDirectory`,
/// `ForeignDirectory`, or what `stat` said.
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

/// Makes an empty store at `path` unless there is a file already.
///
/// # Errors
/// `NoDirectory`, `LeftoverLog`, `Denied`, `Full`, `Io`; then there is no file either.
pub(super) fn create_if_missing(path: &Path) -> Result<Creation, StoreError> {
    if path.exists() {
        return Ok(Creation::WasThere);
    }
    let directory = existing_directory(path)?;
    let log = with_suffix(path, "-wal");
    if fs::metadata(&log).is_ok_and(|meta| meta.len() > 0) {
        return Err(StoreError::LeftoverLog { path: path.to_owned() });
    }
    let on_io = |error: io::Error| StoreError::from_io(path, &error);
    let new = Unfinished::make(path, &directory).map_err(on_io)?;
    schema::initialise(&new.0).map_err(|error| match error {
        // It is not the temporary name that the administrator knows.
        StoreError::Full { .. } => StoreError::Full { path: path.to_owned() },
        other => other,
    })?;
    // link(2), unlike rename(2), never replaces a store that somebody else just made.
    let creation = match fs::hard_link(&new.0, path) {
        Ok(()) => Creation::Made,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Creation::WasThere,
        Err(error) => return Err(on_io(error)),
    };
    drop(new);
    File::open(&directory).and_then(|opened| opened.sync_all()).map_err(on_io)?;
    Ok(creation)
}

/// What [`create_if_missing`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creation {
    /// There is a new, empty store.
    Made,
    /// There was one.
    WasThere,
}

/// A store that is being made; its files go away with this.
struct Unfinished(PathBuf);

impl Unfinished {
    fn make(path: &Path, directory: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random = u64::from_ne_bytes(random);
        let name = with_suffix(path, &format!(".new-{random:016x}"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
        let new = Self(name);
        // The umask may have taken bits away.
        file.set_permissions(Permissions::from_mode(0o600))?;
        if nix::unistd::geteuid().is_root() {
            // Root often adds the first user before the service has run: the
            // store belongs to whom its directory belongs to.
            let owner = fs::metadata(directory)?;
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(new)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // Mostly not there; nothing depends on it.
            drop(fs::remove_file(with_suffix(&self.0, suffix)));
        }
    }
}

fn existing_directory(path: &Path) -> Result<PathBuf, StoreError> {
    let directory = directory_of(path);
    if directory == Path::new(DEFAULT_DIRECTORY) && !directory.exists() {
        let made = fs::DirBuilder::new().mode(0o700).create(directory);
        made.map_err(|error| StoreError::from_io(path, &error))?;
    }
    if !directory.is_dir() {
        return Err(StoreError::NoDirectory { path: path.to_owned() });
    }
    Ok(directory.to_owned())
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
