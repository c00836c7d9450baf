//! Reads the file: its text, or why it cannot be trusted or read.
//!
//! A file that everybody may change, one of more than 1 MiB, a FIFO or a
//! directory is refused before it is parsed. Called by `load` and `inspect`.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::problem::{Problem, Problems};

/// Largest file that is read: far beyond any real one.
const MAX_BYTES: u64 = 1 << 20;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text of the file at `path`, without a byte order mark.
///
/// # Errors
/// One problem; with the text around it where bytes are not UTF-8.
pub(super) fn read(path: &Path) -> Result<String, Problems> {
    let refuse = |problem| Problems::new(path, "", vec![problem]);
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| refuse(unreadable(&error)))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse(too_large()));
    }
    // Editors on Windows put a byte order mark in front; it is nobody's first column.
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let (problem, source) = not_utf8(bytes, error);
        Problems::new(path, &source, vec![problem])
    })
}

/// Opens a regular file of reasonable size that not everybody may change.
fn open(path: &Path) -> Result<File, Problems> {
    let refuse = |problem| Problems::new(path, "", vec![problem]);
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| refuse(unreadable(&error)))?;
    let metadata = file.metadata().map_err(|error| refuse(unreadable(&error)))?;
    match untrusted(&metadata) {
        Some(problem) => Err(refuse(problem)),
        None => Ok(file),
    }
}

fn untrusted(metadata: &Metadata) -> Option<Problem> {
    if metadata.is_dir() {
        let problem = Problem::error("the configuration is a directory");
        return Some(problem.help("name the file in it, usually saslgate.toml"));
    }
    if !metadata.is_file() {
        let problem = Problem::error("the configuration is not a regular file");
        return Some(problem.help("copy it into one"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o002 != 0 {
        let title = format!("everybody may change this file (mode {mode:04o})");
        let help = "chmod o-w, and look whether it was changed: it decides who may log in";
        return Some(Problem::error(title).help(help));
    }
    (metadata.len() > MAX_BYTES).then(too_large)
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

/// The problem, and the text it is a place of.
fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> (Problem, String) {
    let end = error.valid_up_to();
    let text = String::from_utf8_lossy(bytes).into_owned();
    // Up to `end` the two are equal; there stands U+FFFD now.
    let problem = Problem::error("the configuration is not UTF-8")
        .at(end..end + '\u{FFFD}'.len_utf8(), format!("found the byte 0x{:02x}", bytes[end]))
        .help("save the file as UTF-8");
    (problem, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_we_may_not_read_is_explained() {
        let problem = unreadable(&io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(problem.title, "the configuration cannot be read: permission denied");
        assert!(problem.help.unwrap().starts_with("run this as root"));
    }

    #[test]
    fn the_first_byte_that_is_not_utf8_is_pointed_at() {
        let bytes = b"a = \"\xc3\xa4\xfc\xff\"".to_vec();
        let error = String::from_utf8(bytes.clone()).unwrap_err().utf8_error();
        let (problem, text) = not_utf8(&bytes, error);
        let place = problem.place.unwrap();
        assert_eq!((place.span.start, place.label.as_str()), (7, "found the byte 0xfc"));
        assert!(text.is_char_boundary(place.span.start) && text.is_char_boundary(place.span.end));
    }

    #[test]
    fn text_that_ends_inside_of_a_character_is_not_utf8() {
        let bytes = b"x\xe2\x82".to_vec();
        let error = String::from_utf8(bytes.clone()).unwrap_err().utf8_error();
        let (problem, text) = not_utf8(&bytes, error);
        assert_eq!(problem.place.unwrap().span, 1..4);
        assert_eq!(text, "x\u{FFFD}");
    }
}
