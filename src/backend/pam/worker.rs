//! A worker: one process, one connection, one request at a time.
//!
//! The supervisor forks it for a connection of authd. It trusts neither authd
//! (the service is checked again) nor the modules it runs (the supervisor
//! kills it past the deadline on the board). It leaves when authd closes the
//! connection, when it had nothing to do for a while, when it has run as many
//! requests as it may, and when the supervisor stops; before it leaves unasked
//! it says so, and then no request is lost or tried twice.

use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::{Pid, getpid, getppid, setpgid};
use tracing::warn;
use zeroize::Zeroizing;

use super::board::{Board, Task};
use super::ipc::{self, Ask, Response};
use super::service::AllowList;
use super::settings::Settings;
use super::transaction::{self, Warm};
use crate::base::Secret;

/// authd sends a request in one write: a slower one is broken.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker process in the making; see [`Worker::serve`].
pub struct Worker {
    pub(super) connection: UnixStream,
    /// Reads end of file when the supervisor stops, or is no more.
    pub(super) leave: OwnedFd,
    pub(super) board: Rc<Board>,
    pub(super) slot: usize,
    pub(super) settings: Rc<Settings>,
    pub(super) supervisor: Pid,
}

/// Why a worker ends. None of it is a fault of a request.
enum Leave {
    /// authd has closed the connection, or broke the protocol.
    Silently,
    /// The worker's own wish: authd is told.
    WithGoodbye,
}

impl Worker {
    /// Serves the connection, then ends the process. To be called in the forked
    /// process, when all else that the supervisor had open is closed.
    pub fn serve(self) -> ! {
        if let Err(error) = self.settle() {
            warn!("a PAM worker cannot start: {error}");
        } else if let Leave::WithGoodbye = self.run() {
            // authd has gone if this fails, and then needs no goodbye.
            let _ = self.reply(&Response::Goodbye);
        }
        // SAFETY: _exit has no preconditions. Exit handlers of modules are skipped: nobody
        // would end a process that hangs in one.
        unsafe { libc::_exit(0) }
    }

    /// Makes the process what modules expect: default signals, an own process
    /// group (which dies with it), no core file with passwords in it.
    fn settle(&self) -> nix::Result<()> {
        setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        prctl::set_dumpable(false)?;
        let defaults = [
            // pam_exec and helpers such as unix_chkpwd wait for their own children.
            Signal::SIGCHLD,
            Signal::SIGPIPE,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGALRM,
            Signal::SIGUSR1,
            Signal::SIGUSR2,
            Signal::SIGSEGV,
            Signal::SIGBUS,
        ];
        for number in defaults {
            // SAFETY: the default action runs no code of ours.
            unsafe { signal(number, SigHandler::SigDfl) }?;
        }
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        self.die_with_supervisor()
    }

    /// Nobody keeps the deadline when the supervisor is gone.
    fn die_with_supervisor(&self) -> nix::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // It may have gone before the call.
        if getppid() == self.supervisor { Ok(()) } else { Err(nix::errno::Errno::ESRCH) }
    }

    fn run(&self) -> Leave {
        let directory = self.settings.service_dir.as_ref();
        let directory = directory.and_then(|dir| CString::new(dir.as_os_str().as_bytes()).ok());
        let mut desk = Desk {
            services: AllowList::new(&self.settings.services),
            directory,
            warm: Vec::new(),
            pid: getpid(),
        };
        let limit = self.settings.requests_per_worker.max(1);
        for served in 1..=limit {
            if let Err(leave) = self.wait() {
                return leave;
            }
            let Some((ask, password)) = self.receive() else { return Leave::Silently };
            let response = self.answer(&mut desk, &ask, &password, served == limit);
            drop(password);
            if self.reply(&response).is_err() {
                return Leave::Silently;
            }
        }
        Leave::Silently
    }

    /// Waits for a request.
    fn wait(&self) -> Result<(), Leave> {
        let timeout = PollTimeout::try_from(self.settings.idle_timeout).unwrap_or(PollTimeout::MAX);
        loop {
            let mut fds = [
                PollFd::new(self.leave.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.connection.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, timeout) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => return Err(Leave::Silently),
                Ok(0) => return Err(Leave::WithGoodbye),
                Ok(_) => {}
            }
            // Leaving first: the goodbye tells authd that this request was not read.
            return if fds[0].any().unwrap_or(true) { Err(Leave::WithGoodbye) } else { Ok(()) };
        }
    }

    /// Reads one request; `None` at end of file and for what is no request.
    fn receive(&self) -> Option<(Ask, Secret)> {
        match self.read_frame() {
            Ok(None) => None,
            Ok(Some(request)) => Some(request),
            Err(error) => {
                warn!("a PAM worker cannot read its request: {error}");
                None
            }
        }
    }

    fn read_frame(&self) -> io::Result<Option<(Ask, Secret)>> {
        self.connection.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut buffer = Zeroizing::new([0; ipc::HEADER + ipc::MAX_REQUEST]);
        let mut filled = 0;
        loop {
            let body =
                ipc::body_len(&buffer[..filled], ipc::MAX_REQUEST).map_err(io::Error::other)?;
            if let Some(frame) = body.map(|len| ipc::HEADER + len).filter(|len| *len <= filled) {
                let body = &buffer[ipc::HEADER..frame];
                return ipc::decode_request(body).map(Some).map_err(io::Error::other);
            }
            match (&self.connection).read(&mut buffer[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
    }

    fn answer(&self, desk: &mut Desk, ask: &Ask, password: &Secret, is_last: bool) -> Response {
        let Some(service) = desk.services.select(&ask.service).map(str::to_owned) else {
            return Response::Refused { id: ask.id };
        };
        let deadline = self.board.now() + ask.budget.min(self.settings.timeout);
        let task = Task {
            deadline,
            service: service.as_bytes().to_vec(),
            user: ask.user.as_bytes().to_vec(),
        };
        self.board.begin(self.slot, &task);
        desk.warm_up(&service);
        let mut report = transaction::judge(&service, ask, password, desk.directory.as_deref());
        if getpid() != desk.pid {
            // A module forked and both sides came back: one answer is enough.
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(1) }
        }
        self.board.end(self.slot);
        // A module that changes the effective user for a while clears this.
        let is_watched = self.die_with_supervisor().is_ok();
        report.is_last = is_last || !is_watched;
        Response::Report(report)
    }

    /// Sends a response in one write. The process has the default SIGPIPE,
    /// which an authd that has gone must not raise.
    fn reply(&self, response: &Response) -> io::Result<()> {
        let frame = ipc::encode_response(response).map_err(io::Error::other)?;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let sent = send(self.connection.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL)?;
            rest = &rest[sent..];
        }
        Ok(())
    }
}

/// What a worker keeps from request to request.
struct Desk {
    services: AllowList,
    directory: Option<CString>,
    /// One handle a service; the allow-list bounds how many.
    warm: Vec<(String, Warm)>,
    pid: Pid,
}

impl Desk {
    fn warm_up(&mut self, service: &str) {
        if self.warm.iter().any(|(name, _)| name == service) {
            return;
        }
        if let Some(handle) = Warm::up(service, self.directory.as_deref()) {
            self.warm.push((service.to_owned(), handle));
        }
    }
}

/// Tells a connection that was accepted and never read that nobody will.
pub(super) fn turn_away(connection: &UnixStream) {
    let Ok(frame) = ipc::encode_response(&Response::Goodbye) else { return };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    // It has gone, or its buffer is full of what we never sent: nothing to tell.
    let _ = send(connection.as_raw_fd(), &frame, flags);
}
