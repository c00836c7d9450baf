//! Reads the file: its text, or why it cannot be trusted or read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::problem::Problem;

/// Largest file that is read: far beyond any real one.
const MAX_BYTES: u64 = 1 << 20;

/// The text of the file at `path`.
///
/// # Errors
/// One problem without a place, or with one where bytes are not UTF-8: then
/// the text up to there comes with it.
pub(super) fn read(path: &Path) -> Result<String, (Problem, String)> {
    let file = open(path).map_err(|problem| (problem, String::new()))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    if let Err(error) = read {
        return Err((unreadable(&error), String::new()));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err((too_large(), String::new()));
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(error.as_bytes(), error.utf8_error()))
}

fn open(path: &Path) -> Result<File, Problem> {
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| unreadable(&error))?;
    let metadata = file.metadata().map_err(|error| unreadable(&error))?;
    if metadata.is_dir() {
        return Err(Problem::error("the configuration is a directory")
            .help("name the file in it, usually saslgate.toml"));
    }
    if !metadata.is_file() {
        return Err(
            Problem::error("the configuration is not a regular file").help("copy it into one")
        );
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(Problem::error(format!(
            "everybody may change this file (mode {:04o})",
            metadata.mode() & 0o7777
        ))
        .help("chmod o-w, and look whether it was changed: it decides who may log in"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    Ok(file)
}

fn unreadable(error: &io::Error) -> Problem {
    let problem = Problem::error(format!("the configuration cannot be read: {error}"));
    match error.kind() {
        io::ErrorKind::NotFound => problem.help(
            "`saslgate config` prints an annotated file to begin with; without one, \
             authd asks PAM",
        ),
        io::ErrorKind::PermissionDenied => {
            problem.help("run this as root, or let the account of the service read the file")
        }
        _ => problem,
    }
}

fn too_large() -> Problem {
    Problem::error("the configuration is larger than 1MiB").help("this is not a file of saslgate")
}

fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> (Problem, String) {
    let end = error.valid_up_to();
    let text = String::from_utf8_lossy(bytes).into_owned();
    // Up to `end` the two are equal; there stands U+FFFD now.
    let problem = Problem::error("the configuration is not UTF-8")
        .at(end..end + '\u{FFFD}'.len_utf8(), format!("found the byte 0x{:02x}", bytes[end]))
        .help("save the file as UTF-8");
    (problem, text)
}
