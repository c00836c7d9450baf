//! The faces of the originals: the same binary under the names administrators and scripts know.
//!
//! Flags, prompts, texts and exit codes are those of Cyrus SASL 2.1.28; each
//! file says at its head where ours differs and why, and so does the README.
//! Each parses its own command line: clap would answer in its own words.

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
