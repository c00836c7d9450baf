//! A `saslgate-pam` of our own: starts it, starts it again when it died, ends it.
//!
//! For an authd that was given no socket of a running one. The child gets a
//! listening socket as its standard input and the write end of a pipe as its
//! standard output; it drains and ends when nobody reads that pipe any more,
//! so also when authd is killed. The socket is an abstract one with a name
//! nobody can guess: it needs no directory, works in a private file system and
//! leaves nothing behind; the supervisor checks the uid of who connects.
//!
//! A thread of its own waits for the child, so that it can be started before
//! the async runtime and before privileges are dropped. Afterwards it cannot
//! be started again: without root, modules would fail for the wrong reason. The
//! supervisor keeps a standby of its own then (`standby`).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Uid, geteuid, pipe2};
use tracing::{error, info, warn};

use super::settings::Settings;
use crate::ops::log;

/// Pause before the first restart; doubles with each that follows soon.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a restart: whoever is killed again and again is back within a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(700);
/// A child that lived this long did start well: the next pause is short again.
const STEADY: Duration = Duration::from_secs(60);
/// What a child may take to end beyond its longest request.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What the settings do not say about a helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperOptions {
    /// The `saslgate-pam` binary.
    pub program: PathBuf,
    /// Uid that authd will have when it asks, if not the present one.
    pub peer_uid: Option<u32>,
    /// How it logs, to our standard error.
    pub log: log::Settings,
}

/// Where `saslgate-pam` is looked for where it is not beside us: a copy of the
/// program as `/usr/sbin/saslauthd` has it elsewhere.
const ELSEWHERE: &[&str] =
    &["/usr/local/bin/saslgate-pam", "/usr/bin/saslgate-pam", "/usr/libexec/saslgate-pam"];

impl HelperOptions {
    /// The `saslgate-pam` beside the running program, else where it is installed.
    ///
    /// # Errors
    /// [`HelperError::NotFound`] if there is none.
    pub fn beside_us(peer_uid: Option<u32>, log: log::Settings) -> Result<Self, HelperError> {
        let us = std::env::current_exe().map_err(HelperError::Socket)?;
        let beside = us.with_file_name("saslgate-pam");
        let installed = ELSEWHERE.iter().map(PathBuf::from);
        let found = std::iter::once(beside.clone()).chain(installed).find(|path| path.is_file());
        let program = found.ok_or(HelperError::NotFound(beside))?;
        Ok(Self { program, peer_uid, log })
    }
}

/// Why a helper could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// No such binary.
    #[error("{} is not there, nor in /usr/local/bin, /usr/bin, /usr/libexec: install it, or set pam.socket", .0.display())]
    NotFound(PathBuf),
    /// It would not start.
    #[error("cannot start {}: {error}", .program.display())]
    Spawn {
        /// The binary.
        program: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No socket, pipe or thread to be had.
    #[error("cannot prepare a socket for saslgate-pam: {0}")]
    Socket(io::Error),
}

/// A running `saslgate-pam` of our own. Dropping it ends the child, which first
/// finishes what it is at.
pub struct Helper {
    /// Path form of an abstract address: starts with a NUL.
    address: PathBuf,
    /// Closed on drop: the keeper ends.
    _stop: OwnedFd,
}

impl Helper {
    /// Starts a supervisor with `settings`, and a thread that keeps it running.
    /// Needs no async runtime.
    ///
    /// # Errors
    /// See [`HelperError`]; a child that dies after its start is restarted instead.
    pub fn spawn(settings: &Settings, options: &HelperOptions) -> Result<Self, HelperError> {
        let name = socket_name().map_err(HelperError::Socket)?;
        let listener = SocketAddr::from_abstract_name(&name)
            .and_then(|address| UnixListener::bind_addr(&address))
            .map_err(HelperError::Socket)?;
        let (stopped, stop) =
            pipe2(OFlag::O_CLOEXEC).map_err(|error| HelperError::Socket(error.into()))?;
        let mut keeper = Keeper {
            recipe: Recipe::new(settings, options),
            listener,
            stopped,
            patience: settings.timeout + STOP_GRACE,
            euid: geteuid(),
        };
        let first = keeper.start()?;
        thread::Builder::new()
            .name("pam-helper".to_owned())
            .spawn(move || keeper.keep(first))
            .map_err(HelperError::Socket)?;
        Ok(Self { address: PathBuf::from(format!("\0{name}")), _stop: stop })
    }

    /// Where it listens, as tokio's `UnixStream::connect` takes it.
    pub(super) fn address(&self) -> &Path {
        &self.address
    }
}

/// 128 random bits: who cannot guess the name cannot take it before us.
fn socket_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = "saslgate-pam/".to_owned();
    for byte in random {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    Ok(name)
}

/// The command line of the child. No secret is in it.
struct Recipe {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Recipe {
    fn new(settings: &Settings, options: &HelperOptions) -> Self {
        let mut arguments: Vec<OsString> = vec!["--inherited".into()];
        let mut flag = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        flag("--services", settings.services.join(",").into());
        flag("--timeout-ms", settings.timeout.as_millis().to_string().into());
        flag("--max-workers", settings.max_workers.to_string().into());
        flag("--idle-timeout-ms", settings.idle_timeout.as_millis().to_string().into());
        flag("--requests-per-worker", settings.requests_per_worker.to_string().into());
        if let Some(directory) = &settings.service_dir {
            flag("--service-dir", directory.into());
        }
        if let Some(uid) = options.peer_uid {
            flag("--peer-uid", uid.to_string().into());
        }
        flag("--log-level", options.log.level.as_str().into());
        flag("--log-target", options.log.target.as_str().into());
        flag("--log-format", options.log.format.as_str().into());
        Self { program: options.program.clone(), arguments }
    }
}

/// A child, and the pipe that tells it that we are there.
struct Ward {
    child: Child,
    pipe: OwnedFd,
    started: Instant,
}

/// Runs in a thread of its own and waits for the child.
struct Keeper {
    recipe: Recipe,
    listener: UnixListener,
    /// Reads end of file once the [`Helper`] is dropped.
    stopped: OwnedFd,
    /// How long a child may take to end before it is killed.
    patience: Duration,
    euid: Uid,
}

impl Keeper {
    fn start(&mut self) -> Result<Ward, HelperError> {
        let (pipe, theirs) =
            pipe2(OFlag::O_CLOEXEC).map_err(|error| HelperError::Socket(error.into()))?;
        let listener = self.listener.try_clone().map_err(HelperError::Socket)?;
        let mut command = Command::new(&self.recipe.program);
        command
            .args(&self.recipe.arguments)
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::from(theirs))
            // A Ctrl-C is for us; the child ends when we do.
            .process_group(0);
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC"]
        {
            command.env_remove(name);
        }
        let child = command
            .spawn()
            .map_err(|error| HelperError::Spawn { program: self.recipe.program.clone(), error })?;
        info!("started {}: pid={}", self.recipe.program.display(), child.id());
        Ok(Ward { child, pipe, started: Instant::now() })
    }

    fn keep(mut self, first: Ward) {
        let mut ward = first;
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(status) = self.watch(&mut ward) else {
                return end(ward, self.patience);
            };
            if ward.started.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            warn!("saslgate-pam (pid {}) ended: {status}", ward.child.id());
            if geteuid() != self.euid {
                // Who connects from now on is refused at once: the listener goes with us.
                error!(
                    "saslgate-pam and its standby have ended, and only root can start them again: restart authd"
                );
                return;
            }
            let Some(next) = self.restart(&mut pause) else { return };
            ward = next;
        }
    }

    /// Starts the child again, after a pause; `None` if we shall stop before that.
    fn restart(&mut self, pause: &mut Duration) -> Option<Ward> {
        loop {
            if self.sleep(*pause) {
                return None;
            }
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            match self.start() {
                Ok(ward) => return Some(ward),
                Err(error) => error!("{error}"),
            }
        }
    }

    /// Waits until the child has ended; `None` if we shall stop before that.
    fn watch(&self, ward: &mut Ward) -> Option<ExitStatus> {
        loop {
            let mut fds = [
                PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
                // Nobody writes there: it ends when the child does.
                PollFd::new(ward.pipe.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Ok(_) if !fds[0].any().unwrap_or(true) => {}
                _ => return None,
            }
            match ward.child.wait() {
                Ok(status) => return Some(status),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    /// Sleeps; true if we shall stop.
    fn sleep(&self, pause: Duration) -> bool {
        let mut fds = [PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
        poll(&mut fds, pause).is_ok_and(|hits| hits > 0)
    }
}

/// Lets the child finish, and kills it if it does not.
fn end(ward: Ward, patience: Duration) {
    let Ward { mut child, pipe, .. } = ward;
    drop(pipe);
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
    warn!("saslgate-pam (pid {}) does not end: killed", child.id());
    // It may have ended this moment; either way it is gone, and reaped.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_started_again_as_somebody_else() {
        let name = socket_name().unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let (stopped, _stop) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut keeper = Keeper {
            recipe: Recipe { program: "/bin/false".into(), arguments: Vec::new() },
            listener: UnixListener::bind_addr(&address).unwrap(),
            stopped,
            patience: Duration::from_secs(10),
            euid: Uid::from_raw(geteuid().as_raw() + 1),
        };
        let first = keeper.start().unwrap();
        // Comes back, although nobody stops it, and takes the socket with it.
        keeper.keep(first);
        let refused = std::os::unix::net::UnixStream::connect_addr(&address).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn socket_names_are_never_the_same() {
        assert_ne!(socket_name().unwrap(), socket_name().unwrap());
    }
}
