//! The face of Cyrus saslpasswd2.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs it with the words behind the program name.
pub(super) fn run(_words: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}
