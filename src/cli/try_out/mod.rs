//! `saslgate try`: the whole product in one command.

use std::process::ExitCode;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs the command.
pub(super) fn run(_args: &Args) -> ExitCode {
    ExitCode::FAILURE
}
