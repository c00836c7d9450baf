//! `saslgate gate`: fronts an MTA with STARTTLS and AUTH.

use std::process::ExitCode;

use super::{ConfigSource, failed, keep_memory_private, runtime};
use crate::config::Config;
use crate::daemon;
use crate::ops::log;
use crate::ops::syslog::Program;
use crate::ops::systemd::InheritedSockets;

/// Arguments. What is given here counts instead of the configuration, also after a reload.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What log lines look like, text or json, instead of log.format.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<log::Format>,
}

impl Args {
    fn applied_to(&self, mut config: Config) -> Config {
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
    let read = || {
        let config = config.load().map_err(|problems| problems.to_string())?;
        Ok(args.applied_to(config))
    };
    match runtime.block_on(daemon::gate::run(&settings, prepared, config.path(), read)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("saslgate gate", &error),
    }
}
