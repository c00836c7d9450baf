//! `/etc/passwd` and `/etc/shadow` as files: when they changed, and for whom.
//!
//! Look-ups go through libc; this is for the cache of answers only, and for
//! what an unknown user is to cost. Users who come from elsewhere have no line
//! here: what changes for them there is not seen, which the backend says
//! (`may_change_unseen`).

use std::fs::File;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::auth::{Grounds, Revision};
use crate::backend::hashing::CryptHash;
use crate::backend::watched_files::WatchedFiles;

/// The files that answers rest on, and the key of their digests.
pub(super) struct Files {
    paths: &'static [&'static str],
    watched: WatchedFiles,
    key: RandomState,
}

impl Files {
    pub(super) fn new(paths: &'static [&'static str]) -> Self {
        let watched = WatchedFiles::new(paths.iter().map(PathBuf::from).collect());
        Self { paths, watched, key: RandomState::new() }
    }

    /// Changes with every change of a file.
    pub(super) fn revision(&self) -> Revision {
        self.watched.revision()
    }

    /// Digest of the lines of `user`; `None` if a file is too long to look
    /// through on the side, or cannot be read.
    pub(super) fn grounds(&self, user: &str) -> Option<Grounds> {
        let mut hasher = self.key.build_hasher();
        for path in self.paths {
            let text = read(Path::new(path)).ok()??;
            for line in text.split(|byte| *byte == b'\n') {
                if fields(line).next() == Some(user.as_bytes()) {
                    line.hash(&mut hasher);
                }
            }
        }
        Some(Grounds(hasher.finish()))
    }

    /// Whether the last of the files, the one with the hashes, can be read; one
    /// that does not exist needs no reading.
    pub(super) fn hashes_are_readable(&self) -> io::Result<()> {
        match self.paths.last().map(File::open) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The hash of the newest account that has one: made as this host makes them today.
    pub(super) fn newest_hash(&self) -> Option<CryptHash> {
        let text = read(Path::new(self.paths.last()?)).ok()??;
        let hashes = text.rsplit(|byte| *byte == b'\n').filter_map(|line| fields(line).nth(1));
        hashes.filter_map(|hash| CryptHash::parse(std::str::from_utf8(hash).ok()?).ok()).next()
    }

    /// The file with the hashes.
    pub(super) fn of_hashes(&self) -> &'static str {
        self.paths.last().copied().unwrap_or_default()
    }
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b':')
}

/// The bytes of a file; `None` for one beyond the limit. One that does not exist is empty.
fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(Zeroizing::default()));
        }
        Err(error) => return Err(error),
    };
    // Room at once: a growing vector would leave hashes behind in freed memory.
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(file.metadata()?.len().min(LOOK_BYTES) as usize + 1));
    file.take(LOOK_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LOOK_BYTES).then_some(bytes))
}

/// Some four thousand accounts; reading so much takes a tenth of a millisecond.
const LOOK_BYTES: u64 = 512 * 1024;
