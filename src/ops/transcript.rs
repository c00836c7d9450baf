//! Files that sessions are written down in, for who looks for a fault.
//!
//! Written by a thread, so that no session waits for a disk; what the disk does
//! not keep up with is lost, and counted in the file. A file that would grow
//! beyond its limit becomes `PATH.1`, in place of the one before, so that both
//! together never take more than twice the limit. 0600: addresses of people are
//! in it. What stands in the lines is the gate's business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::log::spool::{Haste, Spool};

/// An open transcript. Written out when it is dropped.
pub struct TranscriptFile {
    spool: Arc<Spool>,
    path: PathBuf,
    limit_bytes: u64,
}

impl TranscriptFile {
    /// Opens `path`, behind what it holds already, or makes it, 0600. A symbolic
    /// link is refused.
    ///
    /// # Errors
    /// Those of `open(2)`; the system refuses a thread.
    pub fn open(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        let output = Rotating::open(path, limit_bytes)?;
        let told = |count| format!("=== {count} lines were lost: the disk does not keep up\n");
        Ok(Self { spool: Spool::start(output, told)?, path: path.to_owned(), limit_bytes })
    }

    /// True if this is what [`open`](Self::open) would give.
    #[must_use]
    pub fn is(&self, path: &Path, limit_bytes: u64) -> bool {
        self.path == path && self.limit_bytes == limit_bytes
    }

    /// Takes whole lines; does not wait for them to be written.
    pub fn write(&self, lines: &[u8]) {
        self.spool.put(lines, Haste::Soon);
    }
}

impl Drop for TranscriptFile {
    fn drop(&mut self) {
        self.spool.end();
    }
}

/// A file that makes room for itself.
struct Rotating {
    file: File,
    path: PathBuf,
    bytes: u64,
    limit_bytes: u64,
}

impl Rotating {
    fn open(path: &Path, limit_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        let found = file.metadata()?;
        if found.is_file() && found.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
        Ok(Self { bytes: found.len(), file, path: path.to_owned(), limit_bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        fs::rename(&self.path, before)?;
        *self = Self::open(&self.path, self.limit_bytes)?;
        Ok(())
    }
}

impl Write for Rotating {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let room = usize::try_from(self.limit_bytes.saturating_sub(self.bytes)).unwrap_or(0);
        let mut now = lines;
        if lines.len() > room {
            // Up to the end of a line, where the file ends for good.
            match memchr::memrchr(b'\n', &lines[..room]) {
                Some(end) => now = &lines[..=end],
                None if self.bytes > 0 => {
                    self.rotate()?;
                    return self.write(lines);
                }
                // One line that is longer than a file may be: there it ends.
                None => now = &lines[..room.max(1).min(lines.len())],
            }
        }
        let written = self.file.write(now)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_private_and_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transcript");
        fs::write(&path, "before\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let file = TranscriptFile::open(&path, 1000).unwrap();
        file.write(b"one\n");
        file.write(b"two\n");
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\none\ntwo\n");
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transcript");
        std::os::unix::fs::symlink(dir.path().join("other"), &path).unwrap();
        assert!(TranscriptFile::open(&path, 1000).is_err());
        assert!(!dir.path().join("other").exists());
    }

    #[test]
    fn two_files_at_most_hold_the_last_lines_each_of_them_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("transcript");
        let file = TranscriptFile::open(&path, 100).unwrap();
        for number in 0..1000 {
            file.write(format!("line {number:04}\n").as_bytes());
        }
        drop(file);
        let old = fs::read_to_string(path.with_extension("1")).unwrap();
        let new = fs::read_to_string(&path).unwrap();
        assert!(old.len() <= 100 && new.len() <= 100, "{} and {}", old.len(), new.len());
        let lines: Vec<&str> = old.lines().chain(new.lines()).collect();
        let first = 1000 - lines.len();
        let wanted: Vec<String> = (first..1000).map(|number| format!("line {number:04}")).collect();
        assert_eq!(lines, wanted);
        assert!(lines.len() >= 10);
        assert_eq!((mode(&path), mode(&path.with_extension("1"))), (0o600, 0o600));
    }
}
