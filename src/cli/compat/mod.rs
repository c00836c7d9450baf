//! The faces of the originals: the same binary under the names administrators and scripts know.

use std::ffi::OsString;
use std::process::ExitCode;

mod getopt;
mod sasldblistusers2;
mod saslpasswd2;
mod testsaslauthd;

/// Version of the program behind the faces.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the program that `name` stands for, with its arguments; `None` if it stands for none.
pub(super) fn run_as(name: &str, words: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match name {
        "saslpasswd2" | "saslpasswd" => Some(saslpasswd2::run(words.collect())),
        "sasldblistusers2" => Some(sasldblistusers2::run(words.collect())),
        "sasldblistusers" => Some(sasldblistusers2::run_first(words.collect())),
        "testsaslauthd" => Some(testsaslauthd::run(words.collect())),
        _ => None,
    }
}
