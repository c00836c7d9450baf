//! A service manager in small: holds the listening socket of an authd, starts
//! it with that socket, and starts it again whenever it ended. And a load of
//! clients that know what each of their answers must be.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::process::{self, PATIENCE, wait_until};
use super::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, WRONG, request};

/// An authd with socket activation and `Restart=always`. Ends when dropped.
pub(crate) struct Activated {
    pub(crate) subject: Subject,
    pid: Arc<AtomicU32>,
    is_over: Arc<AtomicBool>,
    manager: Option<JoinHandle<()>>,
}

impl Activated {
    /// Starts one of `kind`, with more lines for its `[authd]`.
    pub(crate) fn start(kind: Kind, authd: &str) -> Self {
        // Its files; its own authd makes room for ours.
        let mut subject = Subject::start_with(kind, authd);
        process::stop(&mut subject.child);
        let listener = UnixListener::bind(subject.socket()).unwrap();
        // As `SocketMode=` of the unit has it.
        fs::set_permissions(subject.socket(), PermissionsExt::from_mode(0o777)).unwrap();
        let pid = Arc::new(AtomicU32::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut child = start_with(&listener, &subject.config(), &subject.dir().join("log"));
        pid.store(child.id(), Ordering::SeqCst);
        let (current, over) = (Arc::clone(&pid), Arc::clone(&is_over));
        let (config, log) = (subject.config(), subject.dir().join("log"));
        let manager = thread::spawn(move || {
            loop {
                // A dead child keeps its pid until the next one is known.
                child.wait().unwrap();
                if over.load(Ordering::SeqCst) {
                    return;
                }
                child = start_with(&listener, &config, &log);
                current.store(child.id(), Ordering::SeqCst);
            }
        });
        Self { subject, pid, is_over, manager: Some(manager) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Ends the present authd with `signal`, and waits until the next one has been started.
    pub(crate) fn replace(&self, signal: Signal) {
        let old = self.pid();
        process::send(old, signal);
        let is_another = wait_until(PATIENCE, || self.pid() != old);
        assert!(is_another, "authd did not end:\n{}", self.subject.log());
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        process::send(self.pid(), Signal::SIGTERM);
        let manager = self.manager.take().unwrap();
        if !wait_until(PATIENCE, || manager.is_finished()) {
            process::send(self.pid(), Signal::SIGKILL);
        }
        let _ = manager.join();
    }
}

/// As systemd starts it: the socket is descriptor 3.
fn start_with(listener: &UnixListener, config: &Path, log: &Path) -> Child {
    let log = File::options().append(true).open(log).unwrap();
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ \
                  exec \"$0\" --config \"$1\" authd";
    Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_saslgate")])
        .arg(config)
        .stdin(OwnedFd::from(listener.try_clone().unwrap()))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Clients that ask without a pause: right, wrong, unknown, and field by field.
pub(crate) struct Load {
    count: Arc<Count>,
    clients: Vec<JoinHandle<()>>,
}

/// What the clients were told.
#[derive(Default)]
struct Count {
    is_over: AtomicBool,
    answered: AtomicU64,
    /// Closed without an answer, refused, or hung.
    lost: AtomicU64,
    /// An answer that belongs to another password; the first of each kind is kept.
    false_answers: Mutex<Vec<String>>,
    losses: Mutex<Vec<String>>,
}

impl Load {
    pub(crate) fn start(socket: &Path, clients: usize) -> Self {
        let count = Arc::new(Count::default());
        let client = |number: usize| {
            let (count, socket) = (Arc::clone(&count), socket.to_owned());
            thread::spawn(move || {
                let mut turn = number;
                while !count.is_over.load(Ordering::Relaxed) {
                    count.note(turn, ask(&socket, turn));
                    turn += 1;
                }
            })
        };
        let clients = (0..clients).map(client).collect();
        Self { count, clients }
    }

    /// Waits until `more` requests were answered from now on; gives the time of the first.
    pub(crate) fn wait_for_answers(&self, more: u64) -> Duration {
        let (started, before) = (Instant::now(), self.answered());
        assert!(wait_until(PATIENCE, || self.answered() > before), "no answer any more");
        let first = started.elapsed();
        assert!(wait_until(PATIENCE, || self.answered() >= before + more), "too few answers");
        first
    }

    pub(crate) fn answered(&self) -> u64 {
        self.count.answered.load(Ordering::Relaxed)
    }

    /// Ends the load; panics if an answer was false. Gives how many were answered and
    /// how many were not, and what became of the first of those.
    pub(crate) fn stop(self) -> (u64, u64, Vec<String>) {
        self.count.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        let false_answers = self.count.false_answers.lock().unwrap();
        assert!(false_answers.is_empty(), "answered wrongly: {false_answers:?}");
        let losses = self.count.losses.lock().unwrap().clone();
        let lost = self.count.lost.load(Ordering::Relaxed);
        (self.count.answered.load(Ordering::Relaxed), lost, losses)
    }
}

impl Count {
    fn note(&self, turn: usize, told: Result<Vec<u8>, String>) {
        let is_right = turn.is_multiple_of(2);
        let loss = match told {
            Ok(reply) if reply.len() > 3 => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                if (&reply[2..4] == b"OK") != is_right {
                    self.false_answers.lock().unwrap().push(format!("turn {turn}: {reply:?}"));
                }
                return;
            }
            Ok(reply) => format!("turn {turn}: {reply:?}"),
            Err(error) => format!("turn {turn}: {error}"),
        };
        self.lost.fetch_add(1, Ordering::Relaxed);
        let mut losses = self.losses.lock().unwrap();
        if losses.len() < 20 {
            losses.push(loss);
        }
    }
}

/// One request; every second one is of the right password.
fn ask(socket: &Path, turn: usize) -> Result<Vec<u8>, String> {
    let (login, password) = match turn % 8 {
        0 | 2 | 4 | 6 => (USER, PASSWORD),
        1 | 5 => (USER, WRONG),
        _ => ("nobody-here", WRONG),
    };
    let bytes = request(&[login, password, "smtp", REALM]);
    let mut stream = UnixStream::connect(socket).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // As Exim: a write a field, so that a stop may find it half read.
    let parts = if turn.is_multiple_of(3) { 4 } else { 1 };
    for part in bytes.chunks(bytes.len().div_ceil(parts)) {
        stream.write_all(part).map_err(|error| format!("write: {error}"))?;
        if parts > 1 {
            thread::yield_now();
        }
    }
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Ok(_) => Ok(reply),
        Err(error) if error.kind() == ErrorKind::ConnectionReset && !reply.is_empty() => Ok(reply),
        Err(error) => Err(format!("read: {error}")),
    }
}
