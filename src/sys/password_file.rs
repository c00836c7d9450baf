//! A password in a file that only its owner may read: that of a service account.
//!
//! Bounded, wiped, and refused where others could read or replace it.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::base::{MAX_SECRET_BYTES, Secret};

/// Group may not write, others may do nothing.
const FORBIDDEN_BITS: u32 = 0o027;

/// Why a password cannot be had from its file.
#[derive(Debug, thiserror::Error)]
pub enum PasswordFileError {
    /// Not there, or not for us.
    #[error("cannot read the password of {owner} from {path}: {source}", path = path.display())]
    Unreadable {
        /// Whose it is.
        owner: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No regular file of a reasonable size.
    #[error("{} is no file with a password in it", .0.display())]
    NotAFile(PathBuf),
    /// Others can read it.
    #[error(
        "{path} has mode {mode:04o}: others could read or replace the password of {owner}; \
         run: chmod 600 {path}", path = path.display()
    )]
    Mode {
        /// Whose it is.
        owner: &'static str,
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Empty, or with a NUL.
    #[error(
        "{} holds no password: it is empty, too long or has a NUL in it", .0.display()
    )]
    NoPassword(PathBuf),
}

/// Reads the password of `owner` (the name of a setting): the file without the newline at its end.
///
/// # Errors
/// [`PasswordFileError`].
pub fn read(path: &Path, owner: &'static str) -> Result<Secret, PasswordFileError> {
    let unreadable =
        |source| PasswordFileError::Unreadable { owner, path: path.to_owned(), source };
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(PasswordFileError::NotAFile(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & FORBIDDEN_BITS != 0 {
        return Err(PasswordFileError::Mode { owner, path: path.to_owned(), mode });
    }
    let limit = MAX_SECRET_BYTES + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    file.take(limit as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    match Secret::copied_from(text) {
        Ok(secret) if !secret.is_empty() => Ok(secret),
        _ => Err(PasswordFileError::NoPassword(path.to_owned())),
    }
}
