//! `saslgate authd`: Runs the authentication daemon.

use std::process::ExitCode;

use super::ConfigSource;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs the command.
pub(super) fn run(_args: &Args, _config: &ConfigSource) -> ExitCode {
    ExitCode::FAILURE
}
