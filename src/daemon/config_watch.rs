//! A change of the configuration file, as a wish to reload.
//!
//! Several events in a row are one change: it is told once the directory has
//! been quiet for [`QUIET`], and at the latest after [`LONGEST`], if the file is
//! another one then. A file that is gone is no change: an editor is at work, or
//! somebody made a mistake, and the defaults of no file must not come into
//! force behind anybody's back. What cannot be watched is said once, and tried
//! again at intervals. Called by `daemon::service`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::sys::file_stamp::Stamp;
use crate::sys::file_watch::FileWatch;

/// Without an event for this long, a change is over.
const QUIET: Duration = Duration::from_millis(100);
/// A change is looked at after this long even if there are still events.
const LONGEST: Duration = Duration::from_secs(2);
/// Pause before a watch that failed is tried again, and the file looked at.
const AGAIN: Duration = Duration::from_secs(2);

/// The configuration file of a service.
pub(super) struct ConfigWatch {
    path: PathBuf,
    seen: Option<Stamp>,
    watch: Option<FileWatch>,
    /// A failure is worth one line until it is over.
    has_failed: bool,
}

impl ConfigWatch {
    /// Takes the present file for the one that is in force.
    pub(super) fn new(path: &Path) -> Self {
        let mut watch = Self { path: path.to_owned(), seen: None, watch: None, has_failed: false };
        watch.arm();
        watch.seen = Stamp::of(path).ok();
        watch
    }

    /// Waits until the file is another one, and there. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        loop {
            if !self.wait().await {
                self.watch = None;
                sleep(AGAIN).await;
            }
            // Anew, for links and directories that are others now; and before the
            // look, so that nothing falls between.
            self.arm();
            let now = Stamp::of(&self.path).ok();
            if now != self.seen {
                self.seen = now;
                if now.is_some() {
                    return;
                }
                tracing::warn!(
                    "{} is gone: the configuration that was read from it stays in force",
                    self.path.display()
                );
            }
        }
    }

    /// Waits for events, and for their end; false if there is nothing to wait for.
    async fn wait(&self) -> bool {
        let Some(watch) = &self.watch else { return false };
        if watch.event().await.is_err() {
            return false;
        }
        let latest = Instant::now() + LONGEST;
        loop {
            let quiet = Instant::now() + QUIET;
            match timeout_at(quiet.min(latest), watch.event()).await {
                Ok(Ok(())) if Instant::now() < latest => {}
                Ok(Err(_)) => return false,
                Ok(Ok(())) | Err(_) => return true,
            }
        }
    }

    fn arm(&mut self) {
        match FileWatch::start(&self.path) {
            Ok(watch) => {
                self.watch = Some(watch);
                self.has_failed = false;
            }
            Err(error) => {
                self.watch = None;
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(
                        "cannot watch {} for changes: {error}; it is looked at every {} s \
                         instead, and a reload reads it at once",
                        self.path.display(),
                        AGAIN.as_secs()
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn within_reason(watch: &mut ConfigWatch) {
        tokio::time::timeout(Duration::from_secs(60), watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn tells_each_way_to_change_a_file_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saslgate.toml");
        fs::write(&path, "1").unwrap();
        let mut watch = ConfigWatch::new(&path);
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
        let mut watch = ConfigWatch::new(&path);
        fs::create_dir(dir.path().join("later")).unwrap();
        fs::write(&path, "1").unwrap();
        watch.changed().await;
    }
}
