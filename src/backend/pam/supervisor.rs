//! The supervisor: accepts connections of authd, forks a worker for each, kills
//! the ones that hang.
//!
//! One thread, no async runtime, no libpam: it forks, so nothing else may run
//! in it. As many workers as authd holds connections, at most
//! `pam.max_workers`; further connections wait, accepted and checked, so that
//! strangers cannot fill the backlog. SIGTERM (or the end of the authd that
//! started it) drains: idle workers leave at once, busy ones after their
//! request, and late ones are killed as always. SIGHUP replaces the workers,
//! and with them the modules they have loaded; a service also reads its settings
//! again. A supervisor that nobody could start again forks its own [`Standby`].
//!
//! Called by `daemon::pam`. Logs each worker that died in a request, with the
//! service and the user it was at.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, pipe2, setpgid};
use tracing::{debug, error, info, warn};

use super::board::{Board, Task};
use super::duties::{Duties, Reread, Succession};
use super::settings::Settings;
use super::standby::Standby;
use super::worker::{self, Worker};
use crate::base::Printable;
use crate::sys::local_socket;

/// How late an answer may be before its worker is killed: authd's own deadline
/// has passed by then, and says *timeout* rather than *broken off*.
const GRACE: Duration = Duration::from_millis(250);
/// What draining may take beyond the deadline of the last request.
const DRAIN_GRACE: Duration = Duration::from_secs(5);
/// Connections that may wait, accepted, for a free worker.
const MAX_WAITING: usize = 256;

/// How [`Supervisor::run`] returns.
pub enum Ending {
    /// It was told to stop, and all workers have gone.
    Drained,
    /// This is a new process, forked to be this worker: call [`Worker::serve`].
    Worker(Worker),
    /// This is a new process, forked to wait for the end of the supervisor.
    Standby(Standby),
}

/// The supervisor of PAM workers.
pub struct Supervisor {
    settings: Rc<Settings>,
    peers: Vec<u32>,
    parent: Option<OwnedFd>,
    reread: Option<Reread>,
    succession: Succession,
    /// The standby, if there is to be one and it lives.
    standby: Option<Pid>,
    /// Closed with this process, whoever ends it: the standby reads the first.
    alive: (OwnedFd, OwnedFd),
    /// `None` once it stops.
    listener: Option<UnixListener>,
    signals: SignalFd,
    board: Rc<Board>,
    /// One place a slot of the board.
    workers: Vec<Option<Running>>,
    waiting: VecDeque<UnixStream>,
    /// Closing the second asks all workers of this generation to leave.
    leave: (OwnedFd, OwnedFd),
    /// When whoever is left is killed, on the board's clock; set once it stops.
    drain_until: Option<Duration>,
    /// The stranger last turned away: each is worth one warning.
    last_stranger: Option<u32>,
}

/// A worker process as the supervisor knows it.
struct Running {
    pid: Pid,
    is_killed: bool,
}

/// What poll(2) found.
#[derive(Default)]
struct Woken {
    by_signal: bool,
    by_parent: bool,
    by_listener: bool,
}

impl Supervisor {
    /// Prepares a supervisor: blocks the signals it waits for, makes the board.
    ///
    /// # Errors
    /// The system refuses memory or descriptors.
    pub fn new(duties: Duties) -> io::Result<Self> {
        let Duties { settings, listener, peers, parent, succession, reread } = duties;
        listener.set_nonblocking(true)?;
        let mut awaited = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            awaited.add(signal);
        }
        awaited.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let slots = settings.max_workers.max(1);
        Ok(Self {
            settings: Rc::new(settings),
            peers,
            parent,
            reread,
            succession,
            standby: None,
            alive: pipe2(OFlag::O_CLOEXEC)?,
            listener: Some(listener),
            signals: SignalFd::with_flags(&awaited, flags)?,
            board: Rc::new(Board::new(slots)?),
            workers: (0..slots).map(|_| None).collect(),
            waiting: VecDeque::new(),
            leave: pipe2(OFlag::O_CLOEXEC)?,
            drain_until: None,
            last_stranger: None,
        })
    }

    /// Supervises until told to stop. Returns in a worker, too: the way back
    /// closes everything there that is not the worker's.
    pub fn run(mut self) -> Ending {
        while !self.is_drained() {
            if let Some(standby) = self.keep_standby() {
                return Ending::Standby(standby);
            }
            let woken = self.wait();
            if woken.by_parent {
                info!("authd has gone: stopping");
                self.stop();
            }
            if woken.by_signal {
                self.take_signals();
            }
            self.reap();
            self.kill_late();
            if woken.by_listener {
                self.accept();
            }
            if let Some(worker) = self.start_workers() {
                return Ending::Worker(worker);
            }
        }
        if let Some(standby) = self.standby.take() {
            // It is our child and not waited for yet, so this is its number.
            let _ = kill(standby, Signal::SIGKILL);
            let _ = waitpid(standby, None);
        }
        Ending::Drained
    }

    /// Forks the standby if it is missing. `Some` in the standby.
    fn keep_standby(&mut self) -> Option<Standby> {
        if self.succession == Succession::Outside || self.standby.is_some() {
            return None;
        }
        self.listener.as_ref()?;
        let alive = self.alive.0.try_clone();
        // SAFETY: this process has one thread, so the child may run any code.
        match (alive, unsafe { fork() }) {
            (Ok(alive), Ok(ForkResult::Child)) => {
                let duties = Duties {
                    settings: Settings::clone(&self.settings),
                    listener: self.listener.take()?,
                    peers: std::mem::take(&mut self.peers),
                    parent: self.parent.take(),
                    succession: self.succession,
                    reread: self.reread.take(),
                };
                Some(Standby { duties, alive })
            }
            (_, Ok(ForkResult::Child)) => std::process::exit(1),
            (_, Ok(ForkResult::Parent { child })) => {
                debug!("standby started: pid={child}");
                self.standby = Some(child);
                None
            }
            (_, Err(error)) => {
                warn!("cannot fork a standby, the next kill of saslgate-pam ends it: {error}");
                None
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.listener.is_none() && self.workers.iter().all(Option::is_none)
    }

    fn wait(&self) -> Woken {
        let accepting = self.listener.as_ref().filter(|_| self.waiting.len() < MAX_WAITING);
        let parent = self.parent.as_ref().filter(|_| self.listener.is_some());
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(accepting.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        fds.extend(parent.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::empty())));
        if poll(&mut fds, self.patience()).is_err() {
            return Woken::default();
        }
        let mut hits = fds.iter().map(|fd| fd.any().unwrap_or(false));
        Woken {
            by_signal: hits.next().unwrap_or(false),
            by_listener: accepting.is_some() && hits.next().unwrap_or(false),
            by_parent: parent.is_some() && hits.next().unwrap_or(false),
        }
    }

    /// How long to sleep. A worker notes its deadline without waking anybody,
    /// so with workers the board is looked at every so often; without, never.
    fn patience(&self) -> PollTimeout {
        if self.workers.iter().all(Option::is_none) && self.waiting.is_empty() {
            return PollTimeout::NONE;
        }
        let tick = (self.settings.timeout / 4)
            .clamp(Duration::from_millis(20), Duration::from_millis(500));
        PollTimeout::try_from(tick).unwrap_or(PollTimeout::MAX)
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                Ok(Ok(Signal::SIGTERM | Signal::SIGINT)) => {
                    info!("stopping");
                    self.stop();
                }
                Ok(Ok(Signal::SIGHUP)) => {
                    self.reread();
                    self.replace_workers();
                }
                // SIGCHLD: the caller reaps.
                _ => {}
            }
        }
    }

    /// Takes new settings over for workers to come; bad ones change nothing.
    fn reread(&mut self) {
        let Some(reread) = &self.reread else { return };
        match reread() {
            Ok(mut settings) => {
                if settings.max_workers != self.settings.max_workers {
                    warn!("reloaded, but pam.max_workers only changes with a restart");
                    settings.max_workers = self.settings.max_workers;
                } else {
                    info!("reloaded");
                }
                self.settings = Rc::new(settings);
            }
            Err(problems) => {
                error!("reload refused, the old configuration stays in force:");
                for line in problems.lines().filter(|line| !line.trim().is_empty()) {
                    error!("{line}");
                }
            }
        }
    }

    fn stop(&mut self) {
        if self.listener.take().is_none() {
            return;
        }
        self.waiting.drain(..).for_each(|connection| worker::turn_away(&connection));
        self.drain_until = Some(self.board.now() + self.settings.timeout + DRAIN_GRACE);
        self.replace_workers();
    }

    /// Asks all workers to leave when they are done.
    fn replace_workers(&mut self) {
        match pipe2(OFlag::O_CLOEXEC) {
            Ok(pipe) => self.leave = pipe,
            Err(error) => warn!("cannot replace the PAM workers: {error}"),
        }
    }

    /// Buries workers that have ended, and what they left running.
    fn reap(&mut self) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, look) {
            let Some(pid) = status.pid() else { return };
            // Until it is waited for, its number names this group and no other.
            kill_group(pid);
            // It has ended: this does not block.
            let _ = waitpid(pid, None);
            if self.standby == Some(pid) {
                self.standby = None;
                continue;
            }
            let is_it = |worker: &Option<Running>| worker.as_ref().is_some_and(|it| it.pid == pid);
            let Some(slot) = self.workers.iter().position(is_it) else { continue };
            let is_killed = self.workers[slot].take().is_some_and(|worker| worker.is_killed);
            if let Some(task) = self.board.task(slot) {
                report_death(&task, &status, is_killed);
            } else {
                debug!("PAM worker ended: pid={pid}");
            }
            self.board.end(slot);
        }
    }

    fn kill_late(&mut self) {
        let now = self.board.now();
        let is_over = self.drain_until.is_some_and(|until| until < now);
        // Beyond it only a module that scribbled on the board can have put a deadline.
        let furthest = now + self.settings.timeout + GRACE;
        for (slot, worker) in self.workers.iter_mut().enumerate() {
            let Some(worker) = worker else { continue };
            let deadline = self.board.task(slot).map(|task| task.deadline);
            let is_late = deadline.is_some_and(|at| at + GRACE < now || at > furthest);
            if is_late || is_over {
                worker.is_killed = true;
                kill_group(worker.pid);
            }
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        while self.waiting.len() < MAX_WAITING {
            match listener.accept() {
                Ok((connection, _)) => match local_socket::peer(&connection).map(|peer| peer.uid) {
                    Some(uid) if self.peers.contains(&uid) => self.waiting.push_back(connection),
                    uid => note_stranger(&mut self.last_stranger, uid, &self.peers),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_peer_fault(&error) => {}
                Err(error) => {
                    error!("cannot accept connections of authd: {error}");
                    // Out of descriptors or memory: the next look is soon enough, not at once.
                    std::thread::sleep(Duration::from_millis(100));
                    return;
                }
            }
        }
    }

    /// Forks workers for who waits, as long as there is room. `Some` in a worker.
    fn start_workers(&mut self) -> Option<Worker> {
        while let Some(slot) = self.workers.iter().position(Option::is_none) {
            let connection = self.waiting.pop_front()?;
            match self.fork_worker(slot, connection) {
                Ok(None) => {}
                Ok(worker) => return worker,
                // The connection is closed by now: authd reports an outage, not a denial.
                Err(error) => error!("cannot start a PAM worker: {error}"),
            }
        }
        None
    }

    fn fork_worker(&mut self, slot: usize, connection: UnixStream) -> io::Result<Option<Worker>> {
        let worker = Worker {
            connection,
            leave: self.leave.0.try_clone()?,
            board: Rc::clone(&self.board),
            slot,
            settings: Rc::clone(&self.settings),
            supervisor: getpid(),
        };
        self.board.end(slot);
        // SAFETY: this process has one thread, so the child may run any code.
        match unsafe { fork() }? {
            ForkResult::Child => Ok(Some(worker)),
            ForkResult::Parent { child } => {
                // Both sides do this, whoever comes first; the worker may have gone already.
                let _ = setpgid(child, child);
                debug!("PAM worker started: pid={child}");
                self.workers[slot] = Some(Running { pid: child, is_killed: false });
                Ok(None)
            }
        }
    }
}

/// A local user can cause this at will: one warning each, then silence.
fn note_stranger(last: &mut Option<u32>, uid: Option<u32>, peers: &[u32]) {
    if uid != *last {
        let uid = uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
        warn!("turned away a connection of uid {uid}: only {peers:?} may ask (authd.user)");
    }
    *last = uid;
}

fn is_peer_fault(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::ECONNABORTED | Errno::EINTR))
}

fn kill_group(pid: Pid) {
    // Nobody may be left in it, or the worker has not made it yet and dies at the next look.
    let _ = killpg(pid, Signal::SIGKILL);
}

/// One line for each request that ended with its worker.
fn report_death(task: &Task, status: &WaitStatus, is_killed: bool) {
    let (service, user) = (Printable(&task.service), Printable(&task.user));
    match status {
        WaitStatus::Signaled(pid, ..) if is_killed => warn!(
            "PAM worker killed, a module did not end in time: \
             service={service} user={user} pid={pid}"
        ),
        WaitStatus::Signaled(pid, signal, _) => warn!(
            "PAM worker crashed in a module: \
             service={service} user={user} pid={pid} signal={signal}"
        ),
        WaitStatus::Exited(pid, code) => warn!(
            "PAM worker was ended by a module: \
             service={service} user={user} pid={pid} status={code}"
        ),
        _ => {}
    }
}
