//! The run directory of saslauthd: made, entered, and signed with a pid file.
//!
//! | file | while |
//! |---|---|
//! | `saslauthd.pid.lock` | the command runs; with `-d` to the end |
//! | `saslauthd.pid` | the daemon runs: its pid and a newline, locked |
//!
//! Both 0600 and locked as the original locks them ([`Claim`]), so that
//! neither starts beside the other. An existing directory is left as it is.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};

use super::{FAILED, TAKEN};
use crate::sys::claim::Claim;

/// Why there is no place for a saslauthd.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// With the words of the original.
    #[error(
        "can not mkdir: {}\nCheck to make sure the parent directory exists and is\n\
         writeable by the user this process runs as.\n{source}", .directory.display()
    )]
    Directory { directory: PathBuf, source: io::Error },
    /// The directory is there, and of no use.
    #[error("cannot work in {}: {source}", .directory.display())]
    Enter { directory: PathBuf, source: io::Error },
    /// Another one is there; its words are said elsewhere.
    #[error("{} is locked by it", .0.display())]
    Taken(PathBuf),
    /// A lock or pid file cannot be made.
    #[error("could not open {}: {source}", .file.display())]
    File { file: PathBuf, source: io::Error },
}

impl Trouble {
    /// Exit code of the original.
    pub(super) fn code(&self) -> u8 {
        if matches!(self, Self::Taken(_)) { TAKEN } else { FAILED }
    }
}

/// A run directory with nobody else in it. The process is in there, too.
pub(super) struct Place {
    directory: PathBuf,
    start_lock: Claim,
}

impl Place {
    /// Makes the directory of `socket` if it is missing, goes there, and takes the start-up lock.
    pub(super) fn enter(socket: &Path) -> Result<Self, Trouble> {
        let directory = socket.parent().unwrap_or(Path::new("/")).to_owned();
        make(&directory)?;
        let failed = |source| Trouble::Enter { directory: directory.clone(), source };
        std::env::set_current_dir(&directory).map_err(failed)?;
        umask(Mode::from_bits_truncate(0o077));
        let lock = claim(directory.join("saslauthd.pid.lock"))?;
        Ok(Self { directory, start_lock: lock })
    }

    /// Writes our pid into the pid file. For the process that will serve.
    pub(super) fn sign(self) -> Result<Claim, Trouble> {
        let path = self.directory.join("saslauthd.pid");
        self.start_lock.disown();
        let mut pid_file = claim(path.clone())?;
        pid_file.write_pid().map_err(|source| Trouble::File { file: path, source })?;
        Ok(pid_file)
    }
}

fn make(directory: &Path) -> Result<(), Trouble> {
    match DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => Ok(()),
        Err(_) if directory.is_dir() => Ok(()),
        Err(source) => Err(Trouble::Directory { directory: directory.to_owned(), source }),
    }
}

fn claim(path: PathBuf) -> Result<Claim, Trouble> {
    match Claim::take(&path) {
        Ok(Some(claim)) => Ok(claim),
        Ok(None) => Err(Trouble::Taken(path)),
        Err(source) => Err(Trouble::File { file: path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_last_directory_only() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make(&dir.path().join("run")).is_ok());
        assert!(make(&dir.path().join("run")).is_ok(), "one that exists is left as it is");
        let trouble = make(&dir.path().join("no/run")).err().unwrap();
        let said = trouble.to_string();
        assert!(said.starts_with("can not mkdir: ") && said.contains("parent directory"), "{said}");
        assert_eq!(trouble.code(), FAILED);
    }
}
