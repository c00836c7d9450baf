//! `saslgate authd`: verifies passwords on the saslauthd socket.

use std::process::ExitCode;

use super::{ConfigSource, failed};
use crate::config::Config;
use crate::daemon::authd::{self, StartError};
use crate::listen::ListenError;
use crate::ops::log;
use crate::ops::systemd::InheritedSockets;

/// Exit code where another instance serves the socket, as saslauthd's.
const TAKEN: u8 = 2;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs the service in the foreground until SIGTERM.
pub(super) fn run(_args: &Args, config: &ConfigSource) -> ExitCode {
    let settings = match config.load_or_explain() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Err(error) = log::init(settings.log) {
        return failed("authd", &error);
    }
    match serve(&settings, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Start(error)) => {
            let code = failed("authd", &error);
            let is_taken = matches!(error, StartError::Listen(ListenError::AnotherInstance { .. }));
            if is_taken { ExitCode::from(TAKEN) } else { code }
        }
        Err(Failure::Runtime(error)) => failed("authd", &error),
    }
}

enum Failure {
    Start(StartError),
    Runtime(std::io::Error),
}

fn serve(settings: &Config, config: &ConfigSource) -> Result<(), Failure> {
    // Privileges go before the runtime starts its threads.
    let mut inherited = InheritedSockets::from_environment();
    let prepared = authd::prepare(settings, &mut inherited).map_err(Failure::Start)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Runtime)?;
    let read = || config.load().map_err(|problems| problems.to_string());
    runtime.block_on(authd::run(settings, prepared, read)).map_err(Failure::Start)
}
