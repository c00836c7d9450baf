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
