//! Everything in a sasldb2, read once: for commands, not for logins.

use std::path::Path;

use zeroize::Zeroizing;

use super::entry::{Entry, Key};
use super::error::{LARGEST_BYTES, SasldbError};
use super::format::{Format, HEAD_BYTES};
use super::image::Visit;
use super::snapshot::{self, Setback, Snapshot};

/// What a file holds.
pub struct Contents {
    /// What it is written in.
    pub format: Format,
    /// Its records, in the order of the file.
    pub entries: Vec<Entry>,
    /// Records that were left out, since their key is not user, realm and property.
    pub malformed: usize,
}

/// Reads the sasldb2 at `path`. While somebody is writing to it this waits for
/// about a second; it never writes and never locks.
///
/// # Errors
/// [`SasldbError`]: it names the file, the place in it, and what to do.
pub fn read_file(path: &Path) -> Result<Contents, SasldbError> {
    snapshot::patiently(|| {
        let snapshot = snapshot::take(path, LARGEST_BYTES)?;
        let (mut entries, mut malformed) = (Vec::new(), 0);
        let format = records(path, &snapshot, &mut |key, value| match Key::parse(key) {
            Some(key) => entries.push(Entry {
                user: key.user.to_vec(),
                realm: key.realm.to_vec(),
                property: key.property.to_vec(),
                value: Zeroizing::new(value.to_vec()),
            }),
            None => malformed += 1,
        });
        let format = format.map_err(|error| Setback { error, may_pass: snapshot.is_fresh })?;
        Ok(Contents { format, entries, malformed })
    })
}

/// Names the format of the file at `path`; `None` if it cannot be read or is
/// not one that Cyrus SASL writes. Says nothing of whether it is sound.
#[must_use]
pub fn format_of(path: &Path) -> Option<Format> {
    use std::io::Read;

    let mut head = [0; HEAD_BYTES];
    std::fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    Format::of(&head)
}

/// Tells of each record in `snapshot`, with its whole key.
pub(super) fn records(
    path: &Path,
    snapshot: &Snapshot,
    visit: &mut Visit<'_>,
) -> Result<Format, SasldbError> {
    let bytes = &snapshot.bytes;
    let Some(format) = Format::of(bytes) else {
        let what = match bytes.first() {
            None => "it is empty",
            Some(_) if bytes.starts_with(b"SQLite format 3\0") => {
                "it is an SQLite database; if it is the password store, ask the backend \"store\""
            }
            Some(_) => "it has the format of neither Berkeley DB, GDBM nor LMDB",
        };
        return Err(SasldbError::Unknown { path: path.to_owned(), what });
    };
    match format.read(bytes, visit) {
        Ok(()) => Ok(format),
        Err(fault) => Err(SasldbError::from_fault(path, format, fault)),
    }
}
