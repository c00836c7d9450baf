//! Log lines to the host's syslog daemon, for a service that no service manager started.
//!
//! ```text
//! <38>Nov 20 14:02:27 saslauthd[4711]:                 : auth failure: [user=alice] ...
//! ```
//!
//! RFC 3164 as glibc's syslog(3) writes it to `/dev/log`: facility and
//! severity, local time, program and pid. authd's lines begin with sixteen
//! blanks and a colon, as those of Debian's saslauthd 2.1.28 do, which scripts
//! know. A syslog daemon that is gone or stuck never holds up a login: a line
//! waits a tenth of a second at most, then lines are counted for a second and
//! dropped, and their number is the next line that gets through. A daemon
//! that was restarted is found again.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Where syslog daemons listen.
const DEV_LOG: &str = "/dev/log";

/// How long a line may wait for a daemon that does not read.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long nothing is tried after that.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes of a line at most; daemons cut at 8 KiB by default, some at 2.
const MAX_LINE_BYTES: usize = 2048;

/// Who logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// authd, under the name that log analyzers know.
    Saslauthd,
    /// The PAM helper.
    Helper,
    /// The gate.
    Gate,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Saslauthd => "saslauthd",
            Self::Helper => "saslgate-pam",
            Self::Gate => "saslgate",
        }
    }

    /// `LOG_AUTH` and `LOG_MAIL` of syslog(3), shifted as on the wire.
    fn facility(self) -> u8 {
        match self {
            Self::Saslauthd | Self::Helper => 4 << 3,
            Self::Gate => 2 << 3,
        }
    }

    /// What stands between the colon of the program and the text.
    fn lead(self) -> &'static str {
        match self {
            Self::Saslauthd => "                : ",
            Self::Helper | Self::Gate => "",
        }
    }
}

/// A connection to the syslog daemon, made again when it breaks.
pub(super) struct Syslog {
    program: Program,
    path: PathBuf,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    socket: Option<UnixDatagram>,
    lost: u64,
    quiet_until: Option<Instant>,
}

impl Syslog {
    /// Of this host.
    pub(super) fn new(program: Program) -> Self {
        Self::at(program, Path::new(DEV_LOG))
    }

    fn at(program: Program, path: &Path) -> Self {
        Self { program, path: path.to_owned(), line: Mutex::default() }
    }

    /// Sends one line as the journal would get it: `<N>text`.
    fn log(&self, line: &[u8], now: Instant) {
        let (severity, text) = match line {
            [b'<', digit @ b'0'..=b'7', b'>', text @ ..] => (digit - b'0', text),
            text => (6, text),
        };
        let mut state = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if state.quiet_until.is_some_and(|until| now < until) {
            state.lost += 1;
            return;
        }
        if state.lost > 0 {
            let told = format!("{} lines could not be written to syslog", state.lost);
            if self.send(&mut state, 4, told.as_bytes()).is_ok() {
                state.lost = 0;
            }
        }
        if state.lost > 0 || self.send(&mut state, severity, text).is_err() {
            state.lost += 1;
            state.quiet_until = Some(now + PAUSE);
        }
    }

    fn send(&self, state: &mut Line, severity: u8, text: &[u8]) -> io::Result<()> {
        let time = jiff::Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        let priority = self.program.facility() | severity;
        let (name, pid, lead) = (self.program.name(), std::process::id(), self.program.lead());
        let mut datagram = format!("<{priority}>{time} {name}[{pid}]: {lead}").into_bytes();
        datagram.extend_from_slice(text.strip_suffix(b"\n").unwrap_or(text));
        datagram.truncate(MAX_LINE_BYTES);
        // Once with what there is, once anew: the daemon may have been restarted.
        if let Some(socket) = &state.socket {
            match socket.send(&datagram) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(_) => state.socket = None,
            }
        }
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.send(&datagram)?;
        state.socket = Some(socket);
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Sender<'a>;

    fn make_writer(&'a self) -> Sender<'a> {
        Sender(self)
    }
}

/// Takes a line a write, which is how the log's formatter writes.
pub(super) struct Sender<'a>(&'a Syslog);

impl Write for Sender<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.log(line, Instant::now());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Daemon {
        _dir: tempfile::TempDir,
        path: PathBuf,
        socket: Option<UnixDatagram>,
    }

    impl Daemon {
        fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let socket = Some(UnixDatagram::bind(&path).unwrap());
            Self { _dir: dir, path, socket }
        }

        fn receive(&self) -> String {
            let mut bytes = [0; 4096];
            let socket = self.socket.as_ref().unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let length = socket.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        }
    }

    #[test]
    fn writes_what_glibc_writes() {
        let daemon = Daemon::start();
        let syslog = Syslog::at(Program::Saslauthd, &daemon.path);
        syslog.log(b"<6>auth failure: [user=alice]\n", Instant::now());
        let line = daemon.receive();
        let (head, text) = line.split_once(" saslauthd[").unwrap();
        assert!(head.starts_with("<38>") && head.len() == "<38>Nov 20 14:02:27".len(), "{line}");
        let expected =
            format!("{}]:                 : auth failure: [user=alice]", std::process::id());
        assert_eq!(text, expected);

        let syslog = Syslog::at(Program::Gate, &daemon.path);
        syslog.log(b"<3>broken\n", Instant::now());
        let line = daemon.receive();
        assert!(line.starts_with("<19>") && line.ends_with("]: broken"), "{line}");
    }

    #[test]
    fn finds_a_daemon_that_was_restarted_and_tells_what_was_lost() {
        let mut daemon = Daemon::start();
        let syslog = Syslog::at(Program::Helper, &daemon.path);
        let now = Instant::now();
        syslog.log(b"<6>one", now);
        assert!(daemon.receive().ends_with(": one"));
        daemon.socket = None;
        std::fs::remove_file(&daemon.path).unwrap();
        syslog.log(b"<6>two", now);
        syslog.log(b"<6>three", now);
        daemon.socket = Some(UnixDatagram::bind(&daemon.path).unwrap());
        // Within the pause nothing is tried.
        syslog.log(b"<6>four", now);
        syslog.log(b"<6>five", now + PAUSE);
        assert!(daemon.receive().ends_with(": 3 lines could not be written to syslog"));
        assert!(daemon.receive().ends_with(": five"));
    }

    #[test]
    fn a_daemon_that_does_not_read_costs_no_more_than_lines() {
        let daemon = Daemon::start();
        let syslog = Syslog::at(Program::Saslauthd, &daemon.path);
        let now = Instant::now();
        // Far more than any socket buffer holds: would never end if it waited for each.
        for _ in 0..20_000 {
            syslog.log(&[b'x'; 1000], now);
        }
        assert!(syslog.line.lock().unwrap().lost > 10_000);
    }

    #[test]
    fn cuts_what_no_daemon_takes() {
        let daemon = Daemon::start();
        Syslog::at(Program::Saslauthd, &daemon.path).log(&[b'x'; 9000], Instant::now());
        assert_eq!(daemon.receive().len(), MAX_LINE_BYTES);
    }
}
