//! `saslgate gate`: fronts an MTA with STARTTLS and AUTH.

use std::process::ExitCode;

use super::{ConfigSource, failed, keep_memory_private, runtime};
use crate::daemon;
use crate::ops::log;
use crate::ops::syslog::Program;
use crate::ops::systemd::InheritedSockets;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs the service in the foreground until SIGTERM.
pub(super) fn run(_args: &Args, config: &ConfigSource) -> ExitCode {
    let settings = match config.load_or_explain() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Err(error) = log::init(settings.log, Program::Gate) {
        return failed("saslgate gate", &error);
    }
    let mut inherited = InheritedSockets::from_environment();
    let prepared = match daemon::gate::prepare(&settings, &mut inherited) {
        Ok(prepared) => prepared,
        Err(error) => return failed("saslgate gate", &error),
    };
    keep_memory_private();
    // Outlives the runtime: the last lines are written when its tasks have ended.
    let _log = match log::in_background() {
        Ok(log) => log,
        Err(error) => return failed("saslgate gate", &error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed("saslgate gate", &error),
    };
    let read = || config.load().map_err(|problems| problems.to_string());
    match runtime.block_on(daemon::gate::run(&settings, prepared, config.path(), read)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("saslgate gate", &error),
    }
}
