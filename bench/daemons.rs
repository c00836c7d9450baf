//! The daemons under test: Cyrus saslauthd, ours, and a server that only echoes.
//!
//! Each runs in a mount namespace of its own, where `/etc/pam.d`, `/etc/passwd`,
//! `/etc/shadow` and `/etc/sasldb2` are the benchmark's: the host's are not touched.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::usage::Usage;

/// The original.
pub(crate) const CYRUS: &str = "/usr/sbin/saslauthd";
/// First argument with which this program is the echo server.
pub(crate) const ECHO: &str = "--echo-server";

/// A daemon that answers on a saslauthd socket.
pub(crate) struct Daemon {
    /// Where it listens.
    pub(crate) socket: PathBuf,
    pid: Pid,
}

impl Daemon {
    /// Cyrus saslauthd as the distribution starts it: five processes, no debug output.
    pub(crate) fn cyrus(dir: &Path, flags: &[&str]) -> Self {
        let run = dir.join("cyrus");
        fs::create_dir_all(&run).expect("a directory");
        let command = format!("{CYRUS} -m {} -n 5 {}", run.display(), flags.join(" "));
        let status = apart(dir, &command).status().expect("unshare");
        assert!(status.success(), "Cyrus saslauthd did not start");
        let socket = run.join("mux");
        wait_for(&socket, None).expect("Cyrus saslauthd");
        let pid = fs::read_to_string(run.join("saslauthd.pid")).expect("a pid file");
        Self { socket, pid: Pid::from_raw(pid.trim().parse().expect("a pid")) }
    }

    /// `saslgate authd` with the settings in `config`; its log goes to a file.
    ///
    /// # Errors
    /// Its log, if it ends instead of listening.
    pub(crate) fn ours(dir: &Path, config: &str) -> Result<Self, String> {
        let file = dir.join("saslgate.toml");
        fs::write(&file, config).expect("a configuration");
        let log = dir.join("authd.log");
        let output = File::create(&log).expect("a log file");
        let program = env!("CARGO_BIN_EXE_saslgate");
        let child = apart(dir, &format!("{program} authd --config {}", file.display()))
            .stderr(output)
            .spawn()
            .expect("unshare");
        let socket = dir.join("ours/mux");
        let daemon = Self::of(&child, socket);
        match wait_for(&daemon.socket, Some(child)) {
            Ok(()) => Ok(daemon),
            Err(()) => Err(fs::read_to_string(log).unwrap_or_default()),
        }
    }

    /// A server that reads and says OK: what sockets and processes cost alone.
    pub(crate) fn echo(dir: &Path) -> Self {
        let socket = dir.join("echo");
        let this = std::env::current_exe().expect("our own path");
        let child = Command::new(this).arg(ECHO).arg(&socket).spawn().expect("the echo server");
        let daemon = Self::of(&child, socket);
        wait_for(&daemon.socket, Some(child)).expect("the echo server");
        daemon
    }

    fn of(child: &Child, socket: PathBuf) -> Self {
        Self { socket, pid: Pid::from_raw(i32::try_from(child.id()).expect("a pid")) }
    }

    /// What it and its children use now.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.pid)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(15);
        while kill(self.pid, None).is_ok() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            // A child of ours stays a zombie until it is waited for.
            let _ = waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// Answers for ever, on as many threads as there are cores.
pub(crate) fn echo_server(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("a socket");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                for mut stream in listener.incoming().flatten() {
                    if stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                        let _ = stream.write_all(b"\0\x02OK");
                    }
                }
            });
        }
    });
}

fn apart(dir: &Path, command: &str) -> Command {
    let script = format!(
        "mount --bind {0}/pam.d /etc/pam.d && touch /etc/sasldb2 && \
         mount --bind {0}/passwd /etc/passwd && mount --bind {0}/shadow /etc/shadow && \
         mount --bind {0}/sasldb2 /etc/sasldb2 && exec {command}",
        dir.display(),
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    unshare.stdin(Stdio::null());
    unshare
}

/// Waits until somebody listens; an error if `child` ends first.
fn wait_for(socket: &Path, mut child: Option<Child>) -> Result<(), ()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while UnixStream::connect(socket).is_err() {
        let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        if child.as_mut().is_some_and(has_ended) || Instant::now() > deadline {
            return Err(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
