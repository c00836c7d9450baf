//! The built program as a child: `saslgate authd`, `saslgate gate`, `saslgate try`.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::process::{self, PATIENCE, is_listening, wait_until};

/// The binary under test.
pub(crate) const SASLGATE: &str = env!("CARGO_BIN_EXE_saslgate");

/// What shows that a service is ready.
#[derive(Debug, Clone)]
pub(crate) enum Ready {
    /// It accepts TCP connections here.
    Tcp(SocketAddr),
    /// It accepts connections at this socket file.
    Socket(PathBuf),
}

impl Ready {
    fn holds(&self) -> bool {
        match self {
            Self::Tcp(address) => is_listening(*address),
            Self::Socket(path) => UnixStream::connect(path).is_ok(),
        }
    }
}

/// A running service; ends when dropped.
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts `saslgate COMMAND --config CONFIG`; `COMMAND.log` beside the
    /// config takes its output. Waits until it is ready, panics with the log if it ends.
    pub(crate) fn start(command: &str, config: &Path, ready: &[Ready]) -> Self {
        let log = config.with_file_name(format!("{command}.log"));
        let mut words = Command::new(SASLGATE);
        words.arg(command).arg("--config").arg(config);
        let mut running = Self::spawn(&mut words, log);
        let mut has_ended = false;
        wait_until(PATIENCE, || {
            has_ended = running.child.try_wait().unwrap().is_some();
            has_ended || ready.iter().all(Ready::holds)
        });
        let is_ready = !has_ended && ready.iter().all(Ready::holds);
        assert!(is_ready, "saslgate {command} is not ready:\n{}", running.log());
        running
    }

    /// Starts `command` with its output in the file `log`, and does not wait.
    pub(crate) fn spawn(command: &mut Command, log: PathBuf) -> Self {
        let output = File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Starts `command` with its log in the file `log` (standard error), and one or two
    /// descriptors as its standard input and output.
    pub(crate) fn spawn_with(command: &mut Command, log: PathBuf, given: Vec<OwnedFd>) -> Self {
        let output = File::create(&log).unwrap();
        let mut given = given.into_iter();
        command.stdin(given.next().unwrap());
        match given.next() {
            Some(second) => command.stdout(second),
            None => command.stdout(output.try_clone().unwrap()),
        };
        let child = command.stderr(output).spawn().unwrap();
        Self { child, log }
    }

    /// Everything it wrote so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until the output holds `text`; panics with the output if it never does.
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        let mut has_ended = false;
        wait_until(PATIENCE, || {
            has_ended = self.child.try_wait().unwrap().is_some();
            has_ended || self.log().contains(text)
        });
        assert!(self.log().contains(text), "no {text:?} in:\n{}", self.log());
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// True once it is no more.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        process::send(self.child.id(), signal);
    }

    /// Waits for its end and gives its exit code; `None` if it does not end.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        wait_until(PATIENCE, || !matches!(self.child.try_wait(), Ok(None)));
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Ends it with SIGTERM and gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        process::stop(&mut self.child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A child that was waited for is not signalled: its pid may be another's.
        if let Ok(None) = self.child.try_wait() {
            process::stop(&mut self.child);
        }
    }
}
