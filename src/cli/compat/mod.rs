//! The faces of the originals: the same binary under the names administrators and scripts know.
//!
//! Flags, prompts, texts and exit codes are those of Cyrus SASL 2.1.28; each
//! file says at its head where ours differs and why, and so does the README.
//! Each parses its own command line: clap would answer in its own words.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

mod getopt;
mod saslauthd;
mod sasldblistusers2;
mod saslpasswd2;
mod testsaslauthd;

/// Version of the program behind the faces.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the program that the last part of `called_as` stands for, with its arguments; `None`
/// if it stands for none.
pub(super) fn run_as(
    called_as: &OsString,
    words: impl Iterator<Item = OsString>,
) -> Option<ExitCode> {
    let name = Path::new(called_as).file_name().unwrap_or_default();
    match &*name.to_string_lossy() {
        "saslauthd" => Some(saslauthd::run(called_as, words.collect())),
        "saslpasswd2" | "saslpasswd" => Some(saslpasswd2::run(words.collect())),
        "sasldblistusers2" => Some(sasldblistusers2::run(words.collect())),
        "sasldblistusers" => Some(sasldblistusers2::run_first(words.collect())),
        "testsaslauthd" => Some(testsaslauthd::run(words.collect())),
        _ => None,
    }
}

/// The usage text of the face called `name`; empty if there is none.
pub(super) fn usage(name: &str) -> String {
    match name {
        "saslauthd" => saslauthd::USAGE,
        "saslpasswd2" => saslpasswd2::USAGE,
        "sasldblistusers2" => sasldblistusers2::USAGE,
        "testsaslauthd" => testsaslauthd::USAGE,
        _ => "",
    }
    .to_owned()
}

/// The mechanisms of saslauthd, as its `-v` lists them.
pub(super) fn mechanisms() -> String {
    saslauthd::mechanisms()
}
