//! `saslgate-pam`: the supervisor of PAM workers.

use std::process::ExitCode;

/// Entry point.
pub(super) fn main() -> ExitCode {
    ExitCode::FAILURE
}
