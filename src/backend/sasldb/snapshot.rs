//! A sasldb2 as it was at one moment, whoever else writes to it.
//!
//! Cyrus's writers do not wait for readers: those of Berkeley DB write in
//! place without any lock, and a lock of ours would make those of GDBM fail.
//! So nothing is locked. The whole file is read, and it counts only if the
//! file system saw no change meanwhile.
//!
//! Times of files have the grain of the kernel's clock: a change may carry the
//! time of the one before it, and a change through a memory map the time of
//! its beginning. A file that changed within the last [`GRAIN`] may therefore
//! be another one already, without looking so: it is *fresh*, and what was
//! read of it is good for one question only.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::error::SasldbError;

/// As long as this after a change, another one may go unseen: some ticks of
/// the kernel's clock, and the time that a writer needs from its first byte to its last.
const GRAIN: Duration = Duration::from_millis(250);

/// The same where the file system keeps whole seconds, or every other one.
const COARSE_GRAIN: Duration = Duration::from_millis(2250);

/// Which file a path names, and whether somebody wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Asks the file system. A microsecond.
    ///
    /// # Errors
    /// `Missing`, `Denied`, `NotAFile`, `Io`.
    pub(super) fn of(path: &Path) -> Result<Self, SasldbError> {
        let meta = path.metadata().map_err(|error| SasldbError::from_io(path, &error))?;
        Self::from_meta(path, &meta)
    }

    fn from_meta(path: &Path, meta: &Metadata) -> Result<Self, SasldbError> {
        if !meta.is_file() {
            return Err(SasldbError::NotAFile { path: path.to_owned() });
        }
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// True if a change after `now` might leave this stamp as it is. The time
    /// of the last change of whatever kind decides: programs cannot set it.
    fn is_fresh(&self, now: SystemTime) -> bool {
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

/// The file at one moment. Has no `Debug`: it holds passwords.
pub(super) struct Snapshot {
    pub(super) stamp: Stamp,
    /// Good for one question only.
    pub(super) is_fresh: bool,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Reads the file at `path`, once.
///
/// # Errors
/// `Unsettled` if it changed meanwhile; `Missing`, `Denied`, `NotAFile`, `TooLarge`, `Io`.
pub(super) fn take(path: &Path, limit: u64) -> Result<Snapshot, SasldbError> {
    let on_io = |error: io::Error| SasldbError::from_io(path, &error);
    // Before it is opened: opening a pipe or a device may have effects.
    Stamp::of(path)?;
    // A clock that is read before the bytes: what changes behind it is newer.
    let now = SystemTime::now();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(on_io)?;
    let stamp_of = |file: &File| Stamp::from_meta(path, &file.metadata().map_err(on_io)?);
    let before = stamp_of(&file)?;
    if before.size > limit {
        return Err(SasldbError::TooLarge { path: path.to_owned(), size: before.size, limit });
    }
    let unsettled = || SasldbError::Unsettled { path: path.to_owned() };
    let size = usize::try_from(before.size).map_err(|_| unsettled())?;
    let mut bytes = Zeroizing::new(vec![0; size]);
    file.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => unsettled(),
        _ => on_io(error),
    })?;
    if stamp_of(&file)? != before {
        return Err(unsettled());
    }
    Ok(Snapshot { stamp: before, is_fresh: before.is_fresh(now), bytes })
}

/// Why an attempt to read failed, and whether the next one may succeed.
pub(super) struct Setback {
    pub(super) error: SasldbError,
    /// A writer may be at work, and done in a moment.
    pub(super) may_pass: bool,
}

impl From<SasldbError> for Setback {
    fn from(error: SasldbError) -> Self {
        let may_pass = matches!(error, SasldbError::Unsettled { .. });
        Self { error, may_pass }
    }
}

/// Does `attempt` until it succeeds, or fails for a reason that will not pass
/// by itself, or has failed too often: for less than a second. Blocks.
///
/// # Errors
/// The last of `attempt`.
pub(super) fn patiently<T>(
    mut attempt: impl FnMut() -> Result<T, Setback>,
) -> Result<T, SasldbError> {
    for pause in PAUSES {
        match attempt() {
            Err(setback) if setback.may_pass => std::thread::sleep(*pause),
            outcome => return outcome.map_err(|setback| setback.error),
        }
    }
    attempt().map_err(|setback| setback.error)
}

/// A writer is done within the first few; the later ones are for a busy disk.
const PAUSES: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(300),
];

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
    fn what_passes_is_waited_for_and_what_does_not_is_not() {
        let path = Path::new("/x").to_owned();
        let mut calls = 0;
        let outcome = patiently(|| {
            calls += 1;
            let unsettled = || SasldbError::Unsettled { path: path.clone() };
            if calls < 4 { Err(unsettled().into()) } else { Ok(calls) }
        });
        assert_eq!(outcome, Ok(4));
        let mut calls = 0;
        let outcome: Result<(), _> = patiently(|| {
            calls += 1;
            Err(SasldbError::NotAFile { path: path.clone() }.into())
        });
        assert!(outcome.is_err());
        assert_eq!(calls, 1);
    }
}
