//! Files that answers rest on, as the cache of logins sees them: the same
//! [`Revision`] means that nobody has changed any of them.
//!
//! Asked at each login that is repeated from the cache: half a microsecond a
//! file, no watch and no memory of what it was, so a change shows at once. A
//! file that is missing is a state like any other. Where a change could go
//! unseen (a file that has just changed, one that cannot be looked at), each
//! revision is like no other, and nothing is repeated.
//!
//! Called by `pam` and `shadow`; `sasldb` reads its file, and knows more.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use crate::auth::Revision;
use crate::sys::file_stamp::Stamp;

/// The files, by name: whatever is there now under these.
pub(super) struct WatchedFiles {
    paths: Vec<PathBuf>,
    key: RandomState,
    /// Revisions that were like no other.
    draws: AtomicU64,
    /// That a file is out of reach is worth one line.
    has_complained: AtomicBool,
}

impl WatchedFiles {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let (draws, has_complained) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { paths, key: RandomState::new(), draws, has_complained }
    }

    /// The present revision of all of them; a value that never comes again
    /// where that cannot be told.
    pub(super) fn revision(&self) -> Revision {
        // Before the files are looked at: what changes behind it is newer.
        let now = SystemTime::now();
        let mut hasher = self.key.build_hasher();
        for path in &self.paths {
            match Stamp::of(path) {
                Ok(stamp) if stamp.is_fresh(now) => return self.like_no_other(),
                Ok(stamp) => stamp.hash(&mut hasher),
                Err(error) if is_missing(&error) => MISSING.hash(&mut hasher),
                Err(error) => {
                    self.complain(path, &error);
                    return self.like_no_other();
                }
            }
        }
        Revision(hasher.finish())
    }

    fn like_no_other(&self) -> Revision {
        Revision(self.key.hash_one((LIKE_NO_OTHER, self.draws.fetch_add(1, Ordering::Relaxed))))
    }

    fn complain(&self, path: &Path, error: &io::Error) {
        if !self.has_complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "cannot see whether {} changes ({error}): logins that rest on it are not \
                 remembered; let authd's account search the directories above it",
                path.display()
            );
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Stands for a file that is not there; shorter than a stamp.
const MISSING: u8 = 0;

/// Keeps counted revisions apart from those of files.
const LIKE_NO_OTHER: &str = "like no other";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    /// Waits until the present state is no longer fresh, and gives its revision.
    fn settled(files: &WatchedFiles) -> Revision {
        for _ in 0..1000 {
            let revision = files.revision();
            if revision == files.revision() {
                return revision;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("never the same twice")
    }

    #[test]
    fn each_state_of_each_file_is_another_revision_and_a_fresh_one_is_like_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let files = WatchedFiles::new(vec![one.clone(), two.clone()]);
        let mut seen = vec![settled(&files)];
        let changes: [&dyn Fn(); 5] = [
            &|| fs::write(&one, "1").unwrap(),
            &|| fs::write(&two, "1").unwrap(),
            &|| fs::write(&two, "2").unwrap(),
            &|| fs::rename(&two, &one).unwrap(),
            &|| fs::rename(&one, &two).unwrap(),
        ];
        for change in changes {
            change();
            assert_ne!(files.revision(), files.revision(), "fresh");
            let revision = settled(&files);
            assert!(!seen.contains(&revision), "{seen:?}");
            seen.push(revision);
        }
        fs::remove_file(&two).unwrap();
        assert_eq!(files.revision(), seen[0], "none of them is there, as in the beginning");
    }

    #[test]
    fn what_cannot_be_looked_at_is_never_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        let files = WatchedFiles::new(vec![link]);
        assert_ne!(files.revision(), files.revision());
        let below = WatchedFiles::new(vec![PathBuf::from("/dev/null/none")]);
        assert_eq!(below.revision(), below.revision(), "that one is missing");
    }
}
