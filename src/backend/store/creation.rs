//! Makes a new store: at once and complete, owned by the service.
//!
//! It is built under a temporary name (0600 from the first moment, whatever the
//! umask), synced, and then linked to its name: nobody ever sees half a store,
//! and of two processes that create it one simply wins. SQLite gives `-wal` and
//! `-shm` the mode and, as root, the owner of the database.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::{file, schema};

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
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
        let new = Self(name);
        // The umask may have taken bits away.
        opened.set_permissions(Permissions::from_mode(0o600))?;
        if nix::unistd::geteuid().is_root() {
            // Root often adds the first user before the service has run: the
            // store belongs to whom its directory belongs to.
            let owner = fs::metadata(directory)?;
            fchown(&opened, Some(owner.uid()), Some(owner.gid()))?;
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
    let directory = file::directory_of(path);
    if directory == Path::new(file::DEFAULT_DIRECTORY) && !directory.exists() {
        let made = fs::DirBuilder::new().mode(0o700).create(directory);
        made.map_err(|error| StoreError::from_io(path, &error))?;
    }
    if !directory.is_dir() {
        return Err(StoreError::NoDirectory { path: path.to_owned() });
    }
    Ok(directory.to_owned())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
