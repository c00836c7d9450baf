//! `saslgate authd`: verifies passwords on the saslauthd socket.
//!
//! Runs in the foreground, under a service manager. Privileges are given up
//! before the runtime starts its threads. Exit codes: 0, 2 where another
//! instance has the socket (as saslauthd), 78 configuration, else 1.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{ConfigSource, failed, keep_memory_private, runtime};
use crate::config::Config;
use crate::daemon::authd::{self, StartError};
use crate::listen::ListenError;
use crate::ops::log;
use crate::ops::syslog::Program;
use crate::ops::systemd::InheritedSockets;

/// Exit code where another instance serves the socket, as saslauthd's.
const TAKEN: u8 = 2;

/// Arguments. What is given here counts instead of the configuration, also after a reload.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Socket file to answer on, instead of authd.socket.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Backends in the order they are asked, separated by commas, instead of authd.backends.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    backends: Option<Vec<String>>,
    /// What log lines look like, text or json, instead of log.format.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<log::Format>,
}

impl Args {
    fn applied_to(&self, mut config: Config) -> Config {
        if let Some(socket) = &self.socket {
            config.saslauthd.socket.clone_from(socket);
        }
        if let Some(backends) = &self.backends {
            config.auth.backends.clone_from(backends);
        }
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config
    }
}

/// Runs the service in the foreground until SIGTERM.
pub(super) fn run(args: &Args, config: &ConfigSource) -> ExitCode {
    let settings = match config.load_or_explain() {
        Ok(settings) => args.applied_to(settings),
        Err(code) => return code,
    };
    if let Err(error) = log::init(settings.log, Program::Saslauthd) {
        return failed("saslgate authd", &error);
    }
    let read = || {
        let config = config.load().map_err(|problems| problems.to_string())?;
        Ok(args.applied_to(config))
    };
    match serve(&settings, config.path(), read, || {}) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failed("saslgate authd", &failure);
            if failure.is_taken() { ExitCode::from(TAKEN) } else { code }
        }
    }
}

/// Why authd did not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum Failure {
    /// What it needs.
    Start(StartError),
    /// The async runtime.
    Runtime(std::io::Error),
}

impl Failure {
    /// True if another instance serves the socket.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Start(StartError::Listen(ListenError::AnotherInstance { .. })))
    }
}

/// Serves in this process until a signal ends it; `read` reads the configuration again, which is
/// in `file`, and `ready` is called once requests are answered. The log has been started, threads have not.
///
/// # Errors
/// See [`Failure`]; `ready` was not called then.
pub(super) fn serve(
    settings: &Config,
    file: &Path,
    read: impl Fn() -> Result<Config, String>,
    ready: impl FnOnce(),
) -> Result<(), Failure> {
    // Privileges go before the runtime starts its threads.
    let mut inherited = InheritedSockets::from_environment();
    let prepared = authd::prepare(settings, &mut inherited).map_err(Failure::Start)?;
    // After them too: a change of the uid makes the process dumpable again.
    keep_memory_private();
    // Outlives the runtime: the last lines are written when its tasks have ended.
    let _log = log::in_background().map_err(Failure::Runtime)?;
    let runtime = runtime().map_err(Failure::Runtime)?;
    runtime.block_on(authd::run(settings, prepared, file, read, ready)).map_err(Failure::Start)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn arguments_count_instead_of_the_configuration() {
        let words =
            ["authd", "--socket", "/srv/mux", "--backends", "store,pam", "--log-format", "json"];
        let config = Config::with_defaults("mx.example.org");
        let changed = Line::parse_from(words).args.applied_to(config.clone());
        assert_eq!(changed.saslauthd.socket, PathBuf::from("/srv/mux"));
        assert_eq!(changed.auth.backends, ["store", "pam"]);
        assert_eq!(changed.log.format, log::Format::Json);
        assert_eq!(Line::parse_from(["authd"]).args.applied_to(config.clone()), config);
    }
}
