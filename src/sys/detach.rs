//! Becoming a daemon the way init scripts expect: the caller's process ends
//! when the service serves, and its exit code says whether it does.
//!
//! ```text
//! saslauthd ──fork──▶ service: new session, /dev/null on 0 to 2, binds, opens, serves
//!     │                  │
//!     └── waits ◀────────┘ one report through a pipe: exit code, and text for a person
//! ```
//!
//! The original reports before it binds, so that a start can succeed and
//! nothing run. Called by the command line before the process has threads.

use std::fs::OpenOptions;
use std::io::{self, PipeReader, PipeWriter, Read, Write};

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// Bytes of text that a report carries at most.
const MAX_TEXT_BYTES: u64 = 16 * 1024;

/// Which of the two processes this is.
pub enum Side {
    /// The caller's: to wait for the report and end.
    Caller(Waiting),
    /// The service.
    Service(Reporter),
}

/// The end of the pipe where the report arrives.
pub struct Waiting(PipeReader);

/// The end of the pipe where the service reports, once. Dropped without a
/// report it tells the caller that the service is gone.
pub struct Reporter(PipeWriter);

/// What the service told its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Exit code of the caller; 0: it serves.
    pub code: u8,
    /// What went wrong, for a person; empty if nothing did.
    pub text: String,
}

/// Forks. The service comes out in a session of its own, its standard streams still those of the
/// caller: [`give_up_stdio`] follows. Must be called while the process has one thread.
///
/// # Errors
/// Those of `pipe(2)`, `fork(2)` and `setsid(2)`.
pub fn detach() -> io::Result<Side> {
    let (reader, writer) = io::pipe()?;
    // SAFETY: the process has a single thread yet, so the child finds no lock
    // held by a thread that it does not have; the caller keeps to that.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => Ok(Side::Caller(Waiting(reader))),
        ForkResult::Child => {
            setsid()?;
            Ok(Side::Service(Reporter(writer)))
        }
    }
}

/// Puts `/dev/null` on standard input, output and error, so that nobody who
/// waits for the end of our output waits for a daemon.
///
/// # Errors
/// Those of `open(2)` and `dup2(2)`.
pub fn give_up_stdio() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

impl Waiting {
    /// Waits for the report; `None` if the service ended without one.
    #[must_use]
    pub fn report(self) -> Option<Report> {
        let mut bytes = Vec::new();
        // What came before an error is a report all the same.
        let _ = self.0.take(MAX_TEXT_BYTES).read_to_end(&mut bytes);
        let (code, text) = bytes.split_first()?;
        Some(Report { code: *code, text: String::from_utf8_lossy(text).into_owned() })
    }
}

impl Reporter {
    /// Tells the caller that the service serves.
    pub fn ready(self) {
        self.failed(0, "");
    }

    /// Tells the caller its exit code, and why.
    pub fn failed(mut self, code: u8, text: &str) {
        let mut bytes = vec![code];
        bytes.extend_from_slice(text.as_bytes());
        // A caller that was killed does not wait any more.
        let _ = self.0.write_all(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(report: impl FnOnce(Reporter)) -> Option<Report> {
        let (reader, writer) = io::pipe().unwrap();
        report(Reporter(writer));
        Waiting(reader).report()
    }

    #[test]
    fn a_report_is_a_code_and_a_text() {
        assert_eq!(told(Reporter::ready), Some(Report { code: 0, text: String::new() }));
        let failed = told(|reporter| reporter.failed(2, "in use"));
        assert_eq!(failed, Some(Report { code: 2, text: "in use".to_owned() }));
    }

    #[test]
    fn a_service_that_is_gone_reports_nothing() {
        assert_eq!(told(drop), None);
    }
}
