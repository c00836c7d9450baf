//! Word that a file may have changed (inotify(7)). Whether it has, its stamp says.
//!
//! Watches directories, not the file: editors and configuration tools write a
//! new file and rename it over the old one. A symbolic link is watched at both
//! ends. Any event there is only a hint; what counts is that the
//! [`Stamp`](super::file_stamp::Stamp) of the file is another one than it was. Events are read and dropped in
//! bounded pieces, and the kernel bounds its queue.
//!
//! A directory may be named in place of a file: then every file in it counts.
//!
//! Used by `daemon::files_watch`, which has the clock.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What may mean that a file of the directory is another one now.
const EVENTS: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The directories of a file, watched.
pub struct FileWatch {
    events: AsyncFd<Events>,
}

/// An inotify instance with the trait that the reactor asks for.
struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl FileWatch {
    /// Watches the directory of `path`, and, where that is a link, the one it leads to;
    /// where that is a directory, what is in it. Needs the runtime.
    ///
    /// # Errors
    /// Those of `inotify_init1(2)` and `inotify_add_watch(2)`: no such directory, no right
    /// to read it, `fs.inotify.max_user_instances` or `max_user_watches` reached.
    pub fn start(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        add(&inotify, path)?;
        // SAFETY: Events owns the open descriptor of its Inotify, and nothing can
        // replace or close it while the AsyncFd owns it.
        let events =
            unsafe { AsyncFd::register_with_interest(Events(inotify), Interest::READABLE) };
        Ok(Self { events: events? })
    }

    /// Watches another path, too.
    ///
    /// # Errors
    /// As [`FileWatch::start`].
    pub fn also(&self, path: &Path) -> io::Result<()> {
        add(&self.events.get_ref().0, path)
    }

    /// Waits until something happened in the directories, and forgets what it was.
    ///
    /// # Errors
    /// If the runtime cannot watch or the kernel not tell.
    pub async fn event(&self) -> io::Result<()> {
        loop {
            let mut ready = self.events.readable().await?;
            match self.events.get_ref().0.read_events() {
                Ok(_) => return Ok(()),
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn add(inotify: &Inotify, path: &Path) -> io::Result<()> {
    // The same directory again is no second watch.
    inotify.add_watch(&directory_of(path), EVENTS)?;
    if let Ok(target) = fs::canonicalize(path) {
        inotify.add_watch(&directory_of(&target), EVENTS)?;
        if target.is_dir() {
            inotify.add_watch(&target, EVENTS)?;
        }
    }
    Ok(())
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => PathBuf::from("/"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::file_stamp::Stamp;

    #[tokio::test]
    async fn hears_of_writes_renames_and_links_at_both_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (real, etc) = (dir.path().join("real"), dir.path().join("etc"));
        fs::create_dir(&real).unwrap();
        fs::create_dir(&etc).unwrap();
        let (target, link) = (real.join("file"), etc.join("file"));
        fs::write(&target, "1").unwrap();
        symlink(&target, &link).unwrap();
        let watch = FileWatch::start(&link).unwrap();
        let first = Stamp::of(&link).unwrap();

        fs::write(&target, "22").unwrap();
        watch.event().await.unwrap();
        let second = Stamp::of(&link).unwrap();
        assert_ne!(first, second);

        fs::write(real.join("new"), "33").unwrap();
        fs::rename(real.join("new"), &target).unwrap();
        watch.event().await.unwrap();
        let third = Stamp::of(&link).unwrap();
        assert_ne!(second, third);

        fs::remove_file(&link).unwrap();
        watch.event().await.unwrap();
        assert!(Stamp::of(&link).is_err());
    }

    #[tokio::test]
    async fn needs_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let error = FileWatch::start(&dir.path().join("none/file")).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(FileWatch::start(Path::new("relative")).is_ok());
    }
}
