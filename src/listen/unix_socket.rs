//! A Unix socket file that is ours: made without a window, guarded, and removed only by us.
//!
//! The original unlinks whatever stands at its path, so that a second instance
//! steals the socket of the first. Here a lock file (`PATH.lock`, held as long
//! as we serve) and a connection attempt decide: somebody listens, and we
//! refuse to start; nobody does, and the file is a left-over to be removed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;

use crate::sys::local_socket::{self, MAX_PATH_BYTES, Occupant};
use crate::sys::users::{self, Owner, UserError};

/// Connections that wait to be accepted. The original has 32, and its clients
/// hang in `connect` beyond that; the kernel cuts ours at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How a socket file is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocketOptions {
    /// Permission bits of the socket file; clients need `w`.
    pub mode: u32,
    /// `user`, `user:group` or `:group`; `None` leaves the file as created.
    pub owner: Option<String>,
    /// Mode of the directory where it has to be created. An existing one is left as it is.
    pub directory_mode: u32,
}

/// Why a socket could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody serves this path already.
    #[error("another instance is running on {}{}", path.display(), pid_text(*pid))]
    AnotherInstance {
        /// The socket.
        path: PathBuf,
        /// Its process, where the kernel says it.
        pid: Option<i32>,
    },
    /// The path does not fit a socket address.
    #[error(
        "the socket path {} has {} bytes; a Unix socket path has at most {MAX_PATH_BYTES}",
        .0.display(), .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// The path is relative, or has no directory.
    #[error("the socket path {} must be absolute", .0.display())]
    NotAbsolute(PathBuf),
    /// The lock file is somebody else's, and so is the directory.
    #[error(
        "the lock file {} belongs to another account, perhaps from a start as root: remove it",
        .0.display()
    )]
    LockNotOurs(PathBuf),
    /// Something else stands there, and is not ours to remove.
    #[error("{} exists and is not a socket: move it away", .0.display())]
    NotASocket(PathBuf),
    /// The owner that was asked for does not exist.
    #[error("owner of the socket {}: {source}", path.display())]
    Owner {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the owner.
        source: UserError,
    },
    /// A system call failed.
    #[error("cannot {action} {}: {source}", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

fn pid_text(pid: Option<i32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

/// A listening Unix socket, and the duty to remove its file when it is closed.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    file: Option<SocketFile>,
}

/// The file of a socket that we made; removed when dropped, if it is still ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    _lock: Flock<File>,
}

impl UnixSocket {
    /// Makes and listens on the socket file `path` (absolute, at most 107 bytes). Nobody can
    /// connect before owner and mode are set. Call it before privileges are dropped.
    ///
    /// # Errors
    /// See [`ListenError`]; nothing that was there is removed unless it is a stale socket.
    pub fn bind(path: &Path, options: &UnixSocketOptions) -> Result<Self, ListenError> {
        let directory = directory_of(path)?;
        let owner = options.owner.as_deref().map(users::owner).transpose();
        let owner = owner.map_err(|source| ListenError::Owner { path: path.into(), source })?;
        create_directory(directory, options.directory_mode)?;
        let lock = take_lock(path)?;
        clear(path)?;
        let (listener, made) = make(path, options.mode, owner)?;
        let file = SocketFile {
            path: path.to_owned(),
            device: made.dev(),
            inode: made.ino(),
            _lock: lock,
        };
        Ok(Self { listener, file: Some(file) })
    }

    /// Takes a listening socket that the service manager made; its file stays its business.
    ///
    /// # Errors
    /// Those of `fcntl(2)`.
    pub fn inherited(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, file: None })
    }

    /// Name for log lines: the path, or that the socket was inherited.
    #[must_use]
    pub fn place(&self) -> String {
        if let Some(file) = &self.file {
            return file.path.display().to_string();
        }
        let address = self.listener.local_addr();
        match address.as_ref().ok().and_then(|address| address.as_pathname()) {
            Some(path) => format!("{} (inherited)", path.display()),
            None => "the inherited socket".to_owned(),
        }
    }

    /// The listener, and the file that goes when the second part is dropped
    /// (`None`: inherited, not ours to remove).
    pub(super) fn into_parts(self) -> (UnixListener, Option<SocketFile>) {
        (self.listener, self.file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have put another socket there since: that one is theirs.
        let Ok(there) = fs::symlink_metadata(&self.path) else {
            return; // Gone already, perhaps with its directory.
        };
        if (there.dev(), there.ino()) != (self.device, self.inode) {
            tracing::warn!("{} is no longer ours and stays", self.path.display());
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            // As a service user in root's directory; the next start removes it.
            tracing::debug!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn directory_of(path: &Path) -> Result<&Path, ListenError> {
    if path.as_os_str().len() > MAX_PATH_BYTES {
        return Err(ListenError::PathTooLong(path.to_owned()));
    }
    match path.parent() {
        Some(directory) if path.is_absolute() => Ok(directory),
        _ => Err(ListenError::NotAbsolute(path.to_owned())),
    }
}

/// Creates the last directory of the path; its parents must exist, as with the original.
fn create_directory(directory: &Path, mode: u32) -> Result<(), ListenError> {
    match DirBuilder::new().mode(mode).create(directory) {
        // The mode again, since the umask has cut it.
        Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(mode))
            .map_err(system("set the mode of", directory)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(system("create the directory", directory)(error)),
    }
}

fn take_lock(path: &Path) -> Result<Flock<File>, ListenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let lock = match local_socket::lock(&lock_path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && lock_path.exists() => {
            remove_foreign(&lock_path, path)?;
            local_socket::lock(&lock_path)
        }
        taken_or_not => taken_or_not,
    };
    let lock = lock.map_err(system("create the lock file", &lock_path))?;
    lock.ok_or_else(|| {
        let pid = match local_socket::occupant(path) {
            Ok(Occupant::Live(pid)) => pid,
            _ => None,
        };
        ListenError::AnotherInstance { path: path.to_owned(), pid }
    })
}

/// Removes a lock file that we may not open, if the directory lets us: one try
/// of the service as root would else keep the service account out for ever.
/// Whoever holds that lock listens as well, or will not within milliseconds.
fn remove_foreign(lock_path: &Path, path: &Path) -> Result<(), ListenError> {
    if let Ok(Occupant::Live(pid)) = local_socket::occupant(path) {
        return Err(ListenError::AnotherInstance { path: path.to_owned(), pid });
    }
    match fs::remove_file(lock_path) {
        Ok(()) => {
            tracing::info!("removed {}, which another account left", lock_path.display());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Err(ListenError::LockNotOurs(lock_path.to_owned())),
    }
}

/// Removes a left-over socket; refuses whatever is alive or no socket.
fn clear(path: &Path) -> Result<(), ListenError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system("look at", path)(error)),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match local_socket::occupant(path).map_err(system("connect to", path))? {
        Occupant::Live(pid) => Err(ListenError::AnotherInstance { path: path.to_owned(), pid }),
        Occupant::Nobody => Ok(()),
        Occupant::Stale => fs::remove_file(path).map_err(system("remove the stale socket", path)),
    }
}

/// Binds, sets owner and mode, and only then listens: between the first and
/// the last step a connection is refused by the kernel.
fn make(
    path: &Path,
    mode: u32,
    owner: Option<Owner>,
) -> Result<(UnixListener, fs::Metadata), ListenError> {
    let bound = local_socket::bind(path).map_err(system("create the socket", path))?;
    let prepared = prepare(path, mode, owner).and_then(|made| {
        let listener = local_socket::listen(bound, BACKLOG).map_err(system("listen on", path))?;
        Ok((listener, made))
    });
    if prepared.is_err() {
        let _ = fs::remove_file(path);
    }
    prepared
}

fn prepare(path: &Path, mode: u32, owner: Option<Owner>) -> Result<fs::Metadata, ListenError> {
    if let Some(Owner { uid, gid }) = owner {
        std::os::unix::fs::lchown(path, uid.map(Into::into), gid.map(Into::into))
            .map_err(system("set the owner of", path))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))
        .map_err(system("set the mode of", path))?;
    fs::symlink_metadata(path).map_err(system("look at", path))
}

fn system(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ListenError {
    move |source| ListenError::System { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn options() -> UnixSocketOptions {
        UnixSocketOptions { mode: 0o666, owner: None, directory_mode: 0o710 }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn makes_the_directory_and_the_socket_and_removes_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/mux");
        let socket = UnixSocket::bind(&path, &options()).unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o710);
        assert_eq!(mode(&path), 0o666);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn leaves_an_existing_directory_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let before = mode(dir.path());
        let _socket = UnixSocket::bind(&dir.path().join("mux"), &options()).unwrap();
        assert_eq!(mode(dir.path()), before);
    }

    #[test]
    fn refuses_to_steal_a_live_socket_and_says_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let _first = UnixSocket::bind(&path, &options()).unwrap();
        let error = UnixSocket::bind(&path, &options()).unwrap_err().to_string();
        let pid = std::process::id();
        assert_eq!(error, format!("another instance is running on {} (pid {pid})", path.display()));
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn refuses_a_live_socket_of_a_program_that_takes_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let _original = UnixListener::bind(&path).unwrap();
        let error = UnixSocket::bind(&path, &options()).unwrap_err();
        assert!(matches!(error, ListenError::AnotherInstance { .. }), "{error}");
    }

    #[test]
    fn replaces_a_stale_socket_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        drop(UnixListener::bind(&path).unwrap());
        drop(UnixSocket::bind(&path, &options()).unwrap());
        fs::write(&path, "precious").unwrap();
        let error = UnixSocket::bind(&path, &options()).unwrap_err();
        assert!(matches!(error, ListenError::NotASocket(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn leaves_a_socket_that_somebody_else_put_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let ours = UnixSocket::bind(&path, &options()).unwrap();
        fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists());
    }

    #[test]
    fn says_nothing_of_a_socket_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let logged = crate::ops::log::capture::journal(crate::ops::log::Level::Info, || {
            let gone = UnixSocket::bind(&path, &options()).unwrap();
            fs::remove_file(&path).unwrap();
            drop(gone);
            let replaced = UnixSocket::bind(&path, &options()).unwrap();
            fs::remove_file(&path).unwrap();
            fs::write(&path, "").unwrap();
            drop(replaced);
        });
        assert_eq!(logged, format!("<4>{} is no longer ours and stays\n", path.display()));
    }

    #[test]
    fn refuses_paths_that_the_kernel_would_cut() {
        let path = PathBuf::from(format!("/{}/mux", "x".repeat(MAX_PATH_BYTES)));
        let error = UnixSocket::bind(&path, &options()).unwrap_err().to_string();
        assert!(error.contains("has 112 bytes") && error.contains("at most 107"), "{error}");
    }

    #[test]
    fn names_an_owner_that_does_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let wanted = UnixSocketOptions { owner: Some("no-such-user".to_owned()), ..options() };
        let error = UnixSocket::bind(&path, &wanted).unwrap_err().to_string();
        assert!(error.contains("there is no account `no-such-user`"), "{error}");
        assert!(!path.exists());
    }
}
