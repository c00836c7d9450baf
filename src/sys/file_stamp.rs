//! Which file a path names, and when somebody changed it last.
//!
//! Times of files have the grain of the kernel's clock: a change may carry the
//! time of the one before it, and a change through a memory map the time of
//! its beginning. A file that changed a moment ago may therefore be another
//! one already, without looking so: its stamp is *fresh*, and two fresh stamps
//! that are equal prove nothing.
//!
//! Pure but for one system call; `now` comes from the caller. Used by the
//! backends that rest on files, and by `daemon::files_watch`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As long as this after a change, another one may go unseen: some ticks of
/// the kernel's clock, and the time that a writer needs from its first byte to its last.
const GRAIN: Duration = Duration::from_millis(250);

/// The same where the file system keeps whole seconds, or every other one.
const COARSE_GRAIN: Duration = Duration::from_millis(2250);

/// What tells one state of a file from another, links followed. Of a directory:
/// whether names came, went or were replaced in it, not what is in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Asks the file system: half a microsecond, no permission for the file
    /// itself, search permission for the directories above it.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// True if a change after `now` might leave this stamp as it is. The time
    /// of the last change of whatever kind decides: programs cannot set it.
    #[must_use]
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(UNIX_EPOCH) else { return true };
        let (seconds, nanoseconds) = self.changed;
        let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(seconds), u32::try_from(nanoseconds))
        else {
            return true;
        };
        let grain = if nanoseconds == 0 { COARSE_GRAIN } else { GRAIN };
        Duration::new(seconds, nanoseconds).abs_diff(now) < grain
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_fresh_as_long_as_another_change_could_look_the_same() {
        let at = |milliseconds: u64| UNIX_EPOCH + Duration::from_millis(milliseconds);
        let stamp = Stamp {
            device: 1,
            inode: 1,
            size: 1,
            modified: (1_000, 0),
            changed: (1_001, 500_000_000),
        };
        for fresh in [1_001_260, 1_001_500, 1_001_749] {
            assert!(stamp.is_fresh(at(fresh)), "{fresh}");
        }
        for settled in [999_000, 1_000_000, 1_001_250, 1_001_750, 2_000_000] {
            assert!(!stamp.is_fresh(at(settled)), "{settled}");
        }
        let coarse = Stamp { changed: (1_001, 0), ..stamp };
        for fresh in [1_001_000, 1_002_999, 1_003_249] {
            assert!(coarse.is_fresh(at(fresh)), "{fresh}");
        }
        assert!(!coarse.is_fresh(at(1_003_250)));
    }

    #[test]
    fn a_replaced_file_and_one_that_was_written_have_other_stamps() {
        let dir = tempfile::tempdir().unwrap();
        let (path, new) = (dir.path().join("file"), dir.path().join("new"));
        fs::write(&path, "1").unwrap();
        let stamps = || (Stamp::of(&path).unwrap(), Stamp::of(dir.path()).unwrap());
        let first = stamps();
        assert_eq!(first, stamps());
        fs::write(&new, "1").unwrap();
        fs::rename(&new, &path).unwrap();
        let second = stamps();
        assert_ne!(first.0, second.0);
        fs::write(&path, "22").unwrap();
        assert_ne!(second.0, stamps().0);
        assert_eq!(second.1, stamps().1, "the directory has the same names");
        fs::remove_file(&path).unwrap();
        assert_eq!(Stamp::of(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
