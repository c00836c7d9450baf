//! The complaints of getopt(3), which the originals parse with, over lexopt.
//!
//! lexopt takes words apart as getopt does (clusters, joined values, `--`);
//! here are the lines of glibc that scripts have seen for thirty years.

use std::ffi::OsString;

use lexopt::{Arg, Error, Parser};

/// The value of option `flag`: the rest of the word, or the next word.
///
/// # Errors
/// The line that glibc prints if there is none.
pub(super) fn value(program: &str, flag: char, parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("{program}: option requires an argument -- '{flag}'\n"))
}

/// The line that glibc prints about an option that there is not.
pub(super) fn unknown(program: &str, argument: &Arg<'_>) -> String {
    let letter = match argument {
        Arg::Short(letter) => *letter,
        // Without getopt_long, `--help` is the option `-`.
        Arg::Long(_) | Arg::Value(_) => '-',
    };
    format!("{program}: invalid option -- '{letter}'\n")
}

/// The line for a word that cannot be taken apart, such as `-vx=y`.
pub(super) fn malformed(program: &str, error: &Error) -> String {
    format!("{program}: {error}\n")
}
