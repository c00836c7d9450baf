//! Composition root of `saslgate-pam`: a socket, the supervisor, and the way
//! into a worker. Called by `cli::pam`; single-threaded throughout, because the
//! supervisor forks.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{User, dup2_stdin, dup2_stdout, geteuid};
use sd_notify::NotifyState;
use tracing::{info, warn};

use crate::backend::pam::{Duties, Ending, Settings, Supervisor};

/// Where the connections of authd come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From an authd that started us: standard input is the listening socket,
    /// standard output a pipe that tells whether it is still there.
    Parent {
        /// Uid that authd has when it connects, if not ours.
        peer: Option<u32>,
    },
    /// From a socket of systemd, or else one made at `pam.socket`.
    Service {
        /// Account authd runs as; it owns the socket file and may connect.
        user: Option<String>,
    },
}

/// Why `saslgate-pam` does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Neither systemd nor the configuration gives a socket.
    #[error(
        "no socket to listen on: set pam.socket, start the systemd unit, \
         or leave it to authd, which starts its own saslgate-pam if pam.socket is not set"
    )]
    NoSocket,
    /// Somebody listens there.
    #[error("{}: another saslgate-pam is running", .0.display())]
    Taken(PathBuf),
    /// What is there is no socket, and is not ours to remove.
    #[error("{}: is in the way and no socket: remove it, or set pam.socket", .0.display())]
    InTheWay(PathBuf),
    /// The socket file cannot be made.
    #[error("{}: {error}", .path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// `service_user` is not in the user database.
    #[error("the account \"{0}\" (service_user) does not exist")]
    NoSuchUser(String),
    /// Something else the system refuses.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Runs the supervisor until it is told to stop, and in each process that it
/// forks, a worker (which does not return).
///
/// # Errors
/// See [`StartError`].
pub fn run(settings: Settings, source: &Source) -> Result<(), StartError> {
    let socket_file = settings.socket.clone();
    let (duties, made) = match source {
        Source::Parent { peer } => (from_parent(settings, *peer)?, None),
        Source::Service { user } => from_service(settings, user.as_deref(), socket_file)?,
    };
    let supervisor = Supervisor::new(duties)?;
    announce(source);
    match supervisor.run() {
        Ending::Worker(worker) => worker.serve(),
        Ending::Drained => {
            if let Some(path) = made {
                // Somebody may have removed it already.
                let _ = fs::remove_file(path);
            }
            info!("stopped");
            Ok(())
        }
    }
}

fn announce(source: &Source) {
    info!("saslgate-pam is ready");
    if matches!(source, Source::Service { .. })
        && let Err(error) = sd_notify::notify(&[NotifyState::Ready])
    {
        warn!("cannot tell systemd that we are ready: {error}");
    }
}

/// Takes socket and pipe from where the parent put them.
fn from_parent(settings: Settings, peer: Option<u32>) -> Result<Duties, StartError> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let pipe = io::stdout().as_fd().try_clone_to_owned()?;
    give_up_stdio()?;
    let peers = allowed(peer);
    Ok(Duties { settings, listener: UnixListener::from(socket), peers, parent: Some(pipe) })
}

/// Takes the socket of systemd, or makes one; gives the file it made.
fn from_service(
    settings: Settings,
    user: Option<&str>,
    path: Option<PathBuf>,
) -> Result<(Duties, Option<PathBuf>), StartError> {
    let owner = user.map(uid_of).transpose()?;
    let inherited = listenfd::ListenFd::from_env().take_unix_listener(0)?;
    let (listener, made) = match (inherited, path) {
        (Some(listener), _) => (listener, None),
        (None, Some(path)) => (bind(&path, owner)?, Some(path)),
        (None, None) => return Err(StartError::NoSocket),
    };
    give_up_stdio()?;
    Ok((Duties { settings, listener, peers: allowed(owner), parent: None }, made))
}

/// Modules that print or read must not reach anything of ours.
fn give_up_stdio() -> io::Result<()> {
    let null = OwnedFd::from(fs::OpenOptions::new().read(true).write(true).open("/dev/null")?);
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    Ok(())
}

/// Root, ourselves and the account of authd.
fn allowed(authd: Option<u32>) -> Vec<u32> {
    let mut uids = vec![0, geteuid().as_raw()];
    uids.extend(authd);
    uids.sort_unstable();
    uids.dedup();
    uids
}

fn uid_of(name: &str) -> Result<u32, StartError> {
    let user = User::from_name(name).map_err(io::Error::from)?;
    user.map(|user| user.uid.as_raw()).ok_or_else(|| StartError::NoSuchUser(name.to_owned()))
}

/// Makes the socket file, 0600 from the first moment, for `owner`.
fn bind(path: &Path, owner: Option<u32>) -> Result<UnixListener, StartError> {
    let failed = |error| StartError::Bind { path: path.to_owned(), error };
    make_way(path)?;
    // The umask is the process's, and this process has one thread.
    let old = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(old);
    let listener = bound.map_err(failed)?;
    if owner.is_some() {
        chown(path, owner, None).map_err(failed)?;
    }
    Ok(listener)
}

/// Removes the socket of one that died, and nothing else.
fn make_way(path: &Path) -> Result<(), StartError> {
    let failed = |error| StartError::Bind { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(StartError::InTheWay(path.to_owned()));
        }
        Ok(_) => {}
    }
    if UnixStream::connect(path).is_ok() {
        return Err(StartError::Taken(path.to_owned()));
    }
    fs::remove_file(path).map_err(failed)
}
