//! A change of files that are in force, as a wish to read them again.
//!
//! Several events in a row are one change: it is told once the directories have
//! been quiet for a while, and at the latest after [`LONGEST`], if a file is
//! another one then. A file that is gone is no change: an editor is at work, or
//! somebody made a mistake, and what is there without it must not come into
//! force behind anybody's back. What cannot be watched is said once, and looked
//! at at intervals. Called by `service` for the configuration, and by
//! `certificates`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::sys::file_stamp::Stamp;
use crate::sys::file_watch::FileWatch;

/// A change is looked at after this long even if there are still events.
const LONGEST: Duration = Duration::from_secs(2);
/// Pause before a watch that failed is tried again, and the files looked at.
const AGAIN: Duration = Duration::from_secs(2);

/// Files of a directory that are looked at, at most.
const MAX_FILES: usize = 4096;

/// That of a file; of a directory and then of what is in it, in the order of
/// the names. `None` if it is not there.
type State = Option<Vec<Stamp>>;

/// Files, and directories with all files in them, that are watched together.
pub(super) struct FilesWatch {
    paths: Vec<PathBuf>,
    /// Without an event for this long, a change is over.
    quiet: Duration,
    seen: Vec<State>,
    watch: Option<FileWatch>,
    /// A failure is worth one line until it is over.
    has_failed: bool,
}

impl FilesWatch {
    /// Takes the present files for those that are in force.
    pub(super) fn new(paths: Vec<PathBuf>, quiet: Duration) -> Self {
        let mut watch = Self { paths, quiet, seen: Vec::new(), watch: None, has_failed: false };
        watch.arm();
        watch.seen = watch.look();
        watch
    }

    /// Waits until a file is another one, and all are there. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            if !self.wait().await {
                self.watch = None;
                sleep(AGAIN).await;
            }
            // Anew, for links and directories that are others now; and before the
            // look, so that nothing falls between.
            self.arm();
            let now = self.look();
            if now == self.seen {
                continue;
            }
            for (path, _) in self.paths.iter().zip(self.seen.iter().zip(&now)).filter(is_lost) {
                tracing::warn!("{} is gone: what was read from it stays in force", path.display());
            }
            self.seen = now;
            if self.seen.iter().all(Option::is_some) {
                return;
            }
        }
    }

    fn look(&self) -> Vec<State> {
        self.paths.iter().map(|path| state(path)).collect()
    }

    /// Waits for events, and for their end; false if there is nothing to wait for.
    async fn wait(&self) -> bool {
        let Some(watch) = &self.watch else { return false };
        if watch.event().await.is_err() {
            return false;
        }
        let latest = Instant::now() + LONGEST;
        loop {
            let quiet = Instant::now() + self.quiet;
            match timeout_at(quiet.min(latest), watch.event()).await {
                Ok(Ok(())) if Instant::now() < latest => {}
                Ok(Err(_)) => return false,
                Ok(Ok(())) | Err(_) => return true,
            }
        }
    }

    fn arm(&mut self) {
        match self.watch_all() {
            Ok(watch) => {
                self.watch = Some(watch);
                self.has_failed = false;
            }
            Err((path, error)) => {
                self.watch = None;
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(
                        "cannot watch {} for changes: {error}; it is looked at every {} s \
                         instead, and a reload reads it at once",
                        path.display(),
                        AGAIN.as_secs()
                    );
                }
            }
        }
    }

    fn watch_all(&self) -> Result<FileWatch, (PathBuf, std::io::Error)> {
        let blame = |path: &PathBuf| {
            let path = path.clone();
            move |error| (path, error)
        };
        let Some((first, others)) = self.paths.split_first() else {
            return Err(blame(&PathBuf::new())(std::io::ErrorKind::InvalidInput.into()));
        };
        let watch = FileWatch::start(first).map_err(blame(first))?;
        for path in others {
            watch.also(path).map_err(blame(path))?;
        }
        Ok(watch)
    }
}

/// True if a file was there and is not there any more.
fn is_lost((_, (before, now)): &(&PathBuf, (&State, &State))) -> bool {
    before.is_some() && now.is_none()
}

fn state(path: &Path) -> State {
    let mut stamps = vec![Stamp::of(path).ok()?];
    if path.is_dir() {
        let entries = path.read_dir().ok()?.take(MAX_FILES).flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        stamps.extend(files.iter().filter_map(|file| Stamp::of(file).ok()));
    }
    Some(stamps)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const QUIET: Duration = Duration::from_millis(100);

    fn watch(path: &Path) -> FilesWatch {
        FilesWatch::new(vec![path.to_owned()], QUIET)
    }

    async fn within_reason(watch: &mut FilesWatch) {
        tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn tells_each_way_to_change_a_file_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saslgate.toml");
        fs::write(&path, "1").unwrap();
        let mut watch = watch(&path);
        // Written in place.
        fs::write(&path, "22").unwrap();
        within_reason(&mut watch).await;
        // As editors do it: moved away, written, a copy removed.
        fs::rename(&path, dir.path().join("saslgate.toml~")).unwrap();
        fs::write(&path, "333").unwrap();
        fs::remove_file(dir.path().join("saslgate.toml~")).unwrap();
        within_reason(&mut watch).await;
        // As tools do it: a new one over the old one.
        fs::write(dir.path().join("new"), "4444").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        within_reason(&mut watch).await;
        // Others in the directory are nobody's business, nor is a file that goes.
        fs::write(dir.path().join("other"), "5").unwrap();
        fs::remove_file(&path).unwrap();
        let told = tokio::time::timeout(LONGEST + QUIET, watch.changed()).await;
        assert!(told.is_err(), "told of a change that is none");
        fs::write(&path, "back").unwrap();
        within_reason(&mut watch).await;
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later/saslgate.toml");
        let mut watch = watch(&path);
        fs::create_dir(dir.path().join("later")).unwrap();
        fs::write(&path, "1").unwrap();
        watch.changed().await;
    }

    #[tokio::test]
    async fn any_of_several_files_counts_and_so_does_one_in_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one/file"), dir.path().join("other"));
        fs::create_dir(dir.path().join("one")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(&one, "1").unwrap();
        fs::write(other.join("a"), "1").unwrap();
        let mut watch = FilesWatch::new(vec![one.clone(), other.clone()], QUIET);
        fs::write(&one, "22").unwrap();
        within_reason(&mut watch).await;
        fs::write(other.join("a"), "22").unwrap();
        within_reason(&mut watch).await;
        fs::write(other.join("b"), "1").unwrap();
        within_reason(&mut watch).await;
        fs::remove_file(other.join("a")).unwrap();
        within_reason(&mut watch).await;
    }
}
