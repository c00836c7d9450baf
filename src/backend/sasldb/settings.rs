//! Which file, and how much of it.

use std::path::PathBuf;

/// Settings of the sasldb2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file; `None`: where Debian or Fedora have it, whichever is there.
    pub path: Option<PathBuf>,
    /// A larger file is not read.
    pub max_bytes: u64,
}

impl Settings {
    /// Where the file may be, the first choice first. Never empty.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        match &self.path {
            Some(path) => vec![path.clone()],
            None => DEFAULT_PATHS.iter().map(PathBuf::from).collect(),
        }
    }

    /// Where the file is at the moment; the first choice if it is nowhere.
    #[must_use]
    pub fn present_path(&self) -> PathBuf {
        let mut places = self.places();
        let present = places.iter().position(|path| path.exists()).unwrap_or(0);
        places.swap_remove(present)
    }
}

/// Where Debian and Fedora have theirs.
const DEFAULT_PATHS: &[&str] = &["/etc/sasldb2", "/etc/sasl2/sasldb2"];
