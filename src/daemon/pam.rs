//! Composition root of `saslgate-pam`: a socket, the supervisor, and the way
//! into a worker. Called by `cli::pam`; single-threaded throughout, because the
//! supervisor forks.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::unistd::{dup2_stdin, dup2_stdout, geteuid};
use tracing::info;

use crate::backend::pam::{Duties, Ending, Reread, Settings, Succession, Supervisor};
use crate::ops::systemd::{self, InheritedSockets};
use crate::sys::local_socket::{self, Occupant};
use crate::sys::users::{self, UserError};

/// Connections that may wait to be accepted; the supervisor takes them at once.
const BACKLOG: i32 = 128;

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
    /// The account of authd cannot be found.
    #[error("authd.user: {0}")]
    User(#[from] UserError),
    /// Something else the system refuses.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Runs the supervisor until it is told to stop, in each process that it
/// forks, a worker (which does not return), and in its standby, the next supervisor.
/// `reread` gives the settings of a service again at SIGHUP.
///
/// # Errors
/// See [`StartError`].
pub fn run(settings: Settings, source: &Source, reread: Reread) -> Result<(), StartError> {
    let socket_file = settings.socket.clone();
    let (mut duties, made) = match source {
        Source::Parent { peer } => (from_parent(settings, *peer)?, None),
        Source::Service { user } => from_service(settings, user.as_deref(), socket_file, reread)?,
    };
    loop {
        let supervisor = Supervisor::new(duties)?;
        info!("saslgate-pam is ready");
        if let Source::Service { .. } = source {
            systemd::ready("ready for requests of authd");
        }
        match supervisor.run() {
            Ending::Worker(worker) => worker.serve(),
            Ending::Standby(standby) => duties = standby.take_over(),
            Ending::Drained => break,
        }
    }
    if let Some(path) = made {
        // Somebody may have removed it already.
        let _ = fs::remove_file(path);
    }
    info!("stopped");
    Ok(())
}

/// Takes socket and pipe from where the parent put them.
fn from_parent(settings: Settings, peer: Option<u32>) -> Result<Duties, StartError> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let pipe = io::stdout().as_fd().try_clone_to_owned()?;
    give_up_stdio()?;
    Ok(Duties {
        settings,
        listener: UnixListener::from(socket),
        peers: allowed(peer),
        parent: Some(pipe),
        // An authd that has another uid by then cannot start us again.
        succession: if peer.is_some() { Succession::Standby } else { Succession::Outside },
        reread: None,
    })
}

/// Takes the socket of systemd, or makes one; gives the file it made.
fn from_service(
    settings: Settings,
    user: Option<&str>,
    path: Option<PathBuf>,
    reread: Reread,
) -> Result<(Duties, Option<PathBuf>), StartError> {
    let owner = user.map(users::account).transpose()?.map(|account| account.uid.as_raw());
    let inherited = InheritedSockets::from_environment().take_unix("pam")?;
    let (listener, made) = match (inherited, path) {
        (Some(listener), _) => (listener, None),
        (None, Some(path)) => (bind(&path, owner)?, Some(path)),
        (None, None) => return Err(StartError::NoSocket),
    };
    give_up_stdio()?;
    let duties = Duties {
        settings,
        listener,
        peers: allowed(owner),
        parent: None,
        succession: Succession::Outside,
        reread: Some(reread),
    };
    Ok((duties, made))
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

/// Makes the socket file, 0600 and of `owner` before anybody can connect.
fn bind(path: &Path, owner: Option<u32>) -> Result<UnixListener, StartError> {
    let failed = |error| StartError::Bind { path: path.to_owned(), error };
    make_way(path)?;
    let bound = local_socket::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    if owner.is_some() {
        chown(path, owner, None).map_err(failed)?;
    }
    local_socket::listen(bound, BACKLOG).map_err(failed)
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
    match local_socket::occupant(path).map_err(failed)? {
        Occupant::Live(_) => Err(StartError::Taken(path.to_owned())),
        Occupant::Nobody => Ok(()),
        Occupant::Stale => fs::remove_file(path).map_err(failed),
    }
}
