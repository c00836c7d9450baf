//! Reads a file that says who may do what: regular, bounded, and nobody's to change but its owner's.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest file that is read: a million lines.
const MAX_BYTES: u64 = 64 << 20;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// The system says no.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
}

/// All of the file at `path`, links followed.
///
/// # Errors
/// [`PolicyFileError`]; also where everybody may write to it.
pub fn read(path: &Path) -> Result<Vec<u8>, PolicyFileError> {
    let unreadable = |source| PolicyFileError::Unreadable { path: path.to_owned(), source };
    let unfit = |why| PolicyFileError::Unfit { path: path.to_owned(), why };
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unfit("it is not a regular file"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(unfit("everybody may write to it, and so make the rules: chmod o-w"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unfit("it is larger than 64 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_regular_file_that_not_everybody_may_change_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access");
        assert!(matches!(read(&path), Err(PolicyFileError::Unreadable { .. })));
        fs::write(&path, "Connect:192.0.2\tREJECT\n").unwrap();
        assert_eq!(read(&path).unwrap().len(), 23);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(read(&path), Err(PolicyFileError::Unfit { .. })));
        assert!(matches!(read(folder.path()), Err(PolicyFileError::Unfit { .. })));
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(read(&fifo), Err(PolicyFileError::Unfit { .. })));
    }

    #[test]
    fn a_file_beyond_the_bound_is_refused_and_not_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access");
        fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(read(&path), Err(PolicyFileError::Unfit { .. })));
    }
}
