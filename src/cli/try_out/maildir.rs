//! A maildir: one file a message, complete or not there (tmp, fsync, rename to new).
//!
//! ```text
//! tmp/NAME   being written
//! new/NAME   delivered: Return-Path, Delivered-To, then the message with LF line ends
//! cur/       for the mail program
//! ```
//!
//! Format: <https://cr.yp.to/proto/maildir.html>. Blocks on the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A directory with `tmp`, `new` and `cur`.
#[derive(Debug, Clone)]
pub(super) struct Maildir {
    root: PathBuf,
}

impl Maildir {
    /// Opens the maildir at `root`, making what is missing (0700).
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        for name in ["tmp", "new", "cur"] {
            DirBuilder::new().recursive(true).mode(0o700).create(root.join(name))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Starts a message from `sender` (empty: the null sender) to `recipients`.
    pub(super) fn begin(&self, sender: &str, recipients: &[String]) -> io::Result<Draft> {
        let (id, name) = unique_name();
        let path = self.root.join("tmp").join(&name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let mut draft = Draft {
            file: BufWriter::new(file),
            path,
            target: self.root.join("new").join(&name),
            id,
            is_line_start: true,
        };
        writeln!(draft.file, "Return-Path: <{sender}>")?;
        for recipient in recipients {
            writeln!(draft.file, "Delivered-To: {recipient}")?;
        }
        Ok(draft)
    }

    /// The first message in `new` that contains `text`.
    pub(super) fn find(&self, text: &[u8]) -> io::Result<Option<Vec<u8>>> {
        for entry in fs::read_dir(self.root.join("new"))? {
            let message = fs::read(entry?.path())?;
            if memchr::memmem::find(&message, text).is_some() {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// A message that is being written; gone if it is dropped before [`Draft::commit`].
#[derive(Debug)]
pub(super) struct Draft {
    file: BufWriter<File>,
    path: PathBuf,
    target: PathBuf,
    /// Part of the file name; letters and digits.
    id: String,
    is_line_start: bool,
}

impl Draft {
    /// Appends content as it came over SMTP: CRLF line ends and no others,
    /// dots doubled. Any split of it gives the same file.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let is_doubled = self.is_line_start && line.first() == Some(&b'.');
            let line = if is_doubled { &line[1..] } else { line };
            // Only as half of a line end, and that may be split between two pieces.
            for part in line.split(|byte| *byte == b'\r') {
                self.file.write_all(part)?;
            }
            self.is_line_start = line.last() == Some(&b'\n');
        }
        Ok(())
    }

    /// Puts the message on the disk and into `new`. Only when this has returned
    /// may anybody be told that it is delivered. Gives the message's id.
    pub(super) fn commit(mut self) -> io::Result<String> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.path, &self.target)?;
        let new = self.target.parent().unwrap_or(Path::new("."));
        File::open(new)?.sync_all()?;
        Ok(std::mem::take(&mut self.id))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Renamed already after a commit; then there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

/// An id and a file name that are unique on this host: time, process, count.
fn unique_name() -> (String, String) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = format!("M{:06}P{}Q{count}", now.subsec_micros(), std::process::id());
    let name = format!("{}.{id}.localhost", now.as_secs());
    (id, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(maildir: &Maildir) -> Vec<Vec<u8>> {
        let new = fs::read_dir(maildir.root.join("new")).unwrap();
        new.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    fn leftovers(maildir: &Maildir) -> usize {
        fs::read_dir(maildir.root.join("tmp")).unwrap().count()
    }

    #[test]
    fn any_split_of_the_content_gives_the_same_file() {
        let content = b"Subject: x\r\n\r\n..dot\r\n...\r\na.b\r\n\r\n";
        let wanted = b"Return-Path: <a@b.test>\nDelivered-To: c@d.test\n\
            Subject: x\n\n.dot\n..\na.b\n\n";
        for split in 0..=content.len() {
            let dir = tempfile::tempdir().unwrap();
            let maildir = Maildir::create(&dir.path().join("Maildir")).unwrap();
            let mut draft = maildir.begin("a@b.test", &["c@d.test".to_owned()]).unwrap();
            draft.write(&content[..split]).unwrap();
            draft.write(&content[split..]).unwrap();
            assert!(delivered(&maildir).is_empty(), "there before it is complete");
            draft.commit().unwrap();
            assert_eq!(delivered(&maildir), [wanted], "split at {split}");
            assert_eq!(leftovers(&maildir), 0);
        }
    }

    #[test]
    fn an_abandoned_message_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(dir.path()).unwrap();
        let mut draft = maildir.begin("", &[]).unwrap();
        draft.write(b"half").unwrap();
        assert_eq!(leftovers(&maildir), 1);
        drop(draft);
        assert_eq!((leftovers(&maildir), delivered(&maildir).len()), (0, 0));
    }

    #[test]
    fn finds_a_message_by_its_text() {
        let dir = tempfile::tempdir().unwrap();
        let maildir = Maildir::create(dir.path()).unwrap();
        let mut draft = maildir.begin("", &[]).unwrap();
        draft.write(b"Message-ID: <1@x>\r\n").unwrap();
        draft.commit().unwrap();
        assert!(maildir.find(b"<1@x>").unwrap().is_some());
        assert!(maildir.find(b"<2@x>").unwrap().is_none());
    }
}
