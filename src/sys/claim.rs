//! Files that say who runs here: a pid file, a start-up lock.
//!
//! As Cyrus saslauthd keeps them: a write lock of `fcntl(2)` on the whole file,
//! held as long as the process lives, so that ours and the original keep each
//! other out. Such a lock is the process's: it is not inherited by a fork, and
//! closing any descriptor of the file gives it up, so nobody else may open it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// Rounds in which the file may be taken away between opening and locking it.
const ROUNDS: usize = 16;

/// A file that is locked by this process. Dropping it removes the file, or
/// empties it where that is not allowed (any more).
#[derive(Debug)]
pub struct Claim {
    file: File,
    path: PathBuf,
    is_ours: bool,
}

impl Claim {
    /// Creates (0600) and locks the file `path`; `None` if another process has it locked.
    ///
    /// # Errors
    /// Those of `open(2)` and `fcntl(2)`. A symbolic link is not followed.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..ROUNDS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits())
                .open(path)?;
            if !lock(&file)? {
                return Ok(None);
            }
            // Whoever held it may have removed it since we opened it.
            if is_still(&file, path) {
                return Ok(Some(Self { file, path: path.to_owned(), is_ours: true }));
            }
        }
        Err(io::Error::other("the file is taken away again and again"))
    }

    /// Writes our pid and a newline into it.
    ///
    /// # Errors
    /// Those of `write(2)`.
    pub fn write_pid(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all(format!("{}\n", std::process::id()).as_bytes())
    }

    /// Leaves the file to the process that forked us, and which has its lock.
    pub fn disown(mut self) {
        self.is_ours = false;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let is_there = self.is_ours && is_still(&self.file, &self.path);
        if is_there && fs::remove_file(&self.path).is_err() {
            // A directory of root's, who we were: an empty file names nobody.
            let _ = self.file.set_len(0);
        }
    }
}

/// Locks the whole file; false if another process has a lock on it.
fn lock(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EACCES | Errno::EAGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// True if `path` still leads to `file`.
fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_pid_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saslauthd.pid");
        fs::write(&path, "4711, left by one that was killed\n").unwrap();
        let mut claim = Claim::take(&path).unwrap().unwrap();
        claim.write_pid().unwrap();
        drop(claim);
        assert!(!path.exists());

        let mut claim = Claim::take(&path).unwrap().unwrap();
        claim.write_pid().unwrap();
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        // A file that somebody else put there meanwhile is theirs.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        drop(claim);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    }

    #[test]
    fn does_not_follow_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saslauthd.pid");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(Claim::take(&path).is_err());
    }
}
