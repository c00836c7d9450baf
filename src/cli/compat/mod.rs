//! The faces of the originals: the same binary under the names administrators and scripts know.

use std::ffi::OsString;
use std::process::ExitCode;

mod sasldblistusers2;
mod saslpasswd2;
mod testsaslauthd;

/// Runs the program that `name` stands for, with its arguments; `None` if it stands for none.
pub(super) fn run_as(name: &str, words: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    match name {
        "saslpasswd2" | "saslpasswd" => Some(saslpasswd2::run(words.collect())),
        "sasldblistusers2" | "sasldblistusers" => Some(sasldblistusers2::run(words.collect())),
        "testsaslauthd" => Some(testsaslauthd::run(words.collect())),
        _ => None,
    }
}
