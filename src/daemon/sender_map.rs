//! Reads the file in `policy.sender.map`, and says what is wrong with it.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::policy::sender::{MapError, SenderMap};

/// Largest file that is read: some 500,000 logins.
const MAX_BYTES: u64 = 64 << 20;

/// Why a file is no map of senders. All of it is one text, a line each.
#[derive(Debug, thiserror::Error)]
pub enum SenderMapError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
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
    /// Lines of it are wrong.
    #[error("{}", told(path, faults))]
    Faulty {
        /// The file.
        path: PathBuf,
        /// At least one.
        faults: Vec<MapError>,
    },
}

fn told(path: &Path, faults: &[MapError]) -> String {
    let lines = faults.iter().map(|fault| format!("{}, {fault}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

/// Reads the map at `path`. `realm` is that of logins without one.
///
/// # Errors
/// [`SenderMapError`].
pub fn read(path: &Path, realm: &str) -> Result<SenderMap, SenderMapError> {
    let unreadable = |source| SenderMapError::Unreadable { path: path.to_owned(), source };
    let unfit = |why| SenderMapError::Unfit { path: path.to_owned(), why };
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unfit("it is not a regular file"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(unfit("everybody may write to it, and so give himself any sender: chmod o-w"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unfit("it is larger than 64 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unfit("it is not UTF-8"))?;
    SenderMap::parse(&text, realm)
        .map_err(|faults| SenderMapError::Faulty { path: path.to_owned(), faults })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn says_which_line_of_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("senders");
        std::fs::write(&path, "alice: a@b\nbob\n").unwrap();
        let error = read(&path, "example.org").unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}, line 2: ", path.display())), "{error}");
        std::fs::write(&path, "alice: a@b\n").unwrap();
        assert!(read(&path, "example.org").unwrap().allows("alice@example.org", "a@b"));
    }

    #[test]
    fn a_file_that_everybody_may_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("senders");
        std::fs::write(&path, "alice: a@b\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(read(&path, ""), Err(SenderMapError::Unfit { .. })));
        assert!(matches!(read(folder.path(), ""), Err(SenderMapError::Unfit { .. })));
        let missing = folder.path().join("missing");
        assert!(matches!(read(&missing, ""), Err(SenderMapError::Unreadable { .. })));
    }
}
