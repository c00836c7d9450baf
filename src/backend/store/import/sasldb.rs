//! The users of a sasldb2: those with a password in clear text.

use std::path::Path;

use super::candidate::{Candidate, Record, SourceError};
use crate::backend::sasldb::{self, Entry};
use crate::base::{Identity, Secret};

/// Reads the sasldb2 at `path`, whole. Only passwords become records: what
/// other mechanisms had stored is derived from them.
///
/// # Errors
/// Why it cannot be read.
pub fn sasldb(
    path: &Path,
) -> Result<impl ExactSizeIterator<Item = Result<Record, SourceError>> + use<>, SourceError> {
    let mut entries = sasldb::read_file(path)?.entries;
    entries.retain(Entry::is_password);
    let records = entries.into_iter().enumerate().map(|(at, entry)| {
        let name = [&entry.user[..], b"@", &entry.realm].concat();
        Ok(Record {
            place: at as u64 + 1,
            name: String::from_utf8_lossy(&name).into_owned(),
            user: user(&entry),
        })
    });
    Ok(records)
}

fn user(entry: &Entry) -> Result<Candidate, String> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "the name is not UTF-8".to_owned());
    let identity = Identity::new(text(&entry.user)?, text(&entry.realm)?)
        .map_err(|error| error.to_string())?;
    if entry.value.is_empty() {
        return Err("there is no password".to_owned());
    }
    let password = Secret::copied_from(&entry.value).map_err(|error| error.to_string())?;
    Ok(Candidate::with_plain(identity, password))
}
