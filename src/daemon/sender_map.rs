//! Reads the file in `policy.sender.map`, and says what is wrong with it.

use std::path::{Path, PathBuf};

use super::policy_file::{self, PolicyFileError};
use crate::policy::sender::{MapError, SenderMap};

/// Why a file is no map of senders. All of it is one text, a line each.
#[derive(Debug, thiserror::Error)]
pub enum SenderMapError {
    /// It is not read.
    #[error(transparent)]
    File(#[from] PolicyFileError),
    /// It is not what it should be.
    #[error("{}: it is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
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
    let bytes = policy_file::read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| SenderMapError::NotUtf8(path.to_owned()))?;
    SenderMap::parse(&text, realm)
        .map_err(|faults| SenderMapError::Faulty { path: path.to_owned(), faults })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
