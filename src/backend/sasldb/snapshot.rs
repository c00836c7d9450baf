//! A sasldb2 as it was at one moment, whoever else writes to it.
//!
//! Cyrus's writers do not wait for readers: those of Berkeley DB write in
//! place without any lock, and a lock of ours would make those of GDBM fail.
//! So nothing is locked. The whole file is read, and it counts only if the
//! file system saw no change meanwhile.
//!
//! A file that has just changed may be another one already, without looking so
//! (`sys::file_stamp`): it is *fresh*, and what was read of it is good for one
//! question only.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::error::SasldbError;
use crate::sys::file_stamp::Stamp;

/// The stamp of the file at `path`. A microsecond.
///
/// # Errors
/// `Missing`, `Denied`, `NotAFile`, `Io`.
pub(super) fn stamp_of(path: &Path) -> Result<Stamp, SasldbError> {
    let metadata = path.metadata().map_err(|error| SasldbError::from_io(path, &error))?;
    stamp_from(path, &metadata)
}

fn stamp_from(path: &Path, metadata: &Metadata) -> Result<Stamp, SasldbError> {
    if !metadata.is_file() {
        return Err(SasldbError::NotAFile { path: path.to_owned() });
    }
    Ok(Stamp::from(metadata))
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
    stamp_of(path)?;
    // A clock that is read before the bytes: what changes behind it is newer.
    let now = SystemTime::now();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(on_io)?;
    let look = |file: &File| stamp_from(path, &file.metadata().map_err(on_io)?);
    let before = look(&file)?;
    if before.size() > limit {
        return Err(SasldbError::TooLarge { path: path.to_owned(), size: before.size(), limit });
    }
    let unsettled = || SasldbError::Unsettled { path: path.to_owned() };
    let size = usize::try_from(before.size()).map_err(|_| unsettled())?;
    let mut bytes = Zeroizing::new(vec![0; size]);
    file.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => unsettled(),
        _ => on_io(error),
    })?;
    if look(&file)? != before {
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
