//! Which database format a file has, told by its magic; and the reader for it. Pure.
//!
//! ```text
//! Berkeley DB   u32 magic at byte 12
//! GDBM          u32 magic at byte 0
//! LMDB          u32 magic at byte 16, behind the page header
//! ```

use std::fmt;

use super::image::{Fault, Visit};
use super::{berkeley, gdbm, lmdb};

/// A format that Cyrus SASL writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Berkeley DB: Debian.
    Berkeley,
    /// GDBM: Fedora since 35.
    Gdbm,
    /// LMDB: later versions of Cyrus SASL.
    Lmdb,
}

/// How much of a file [`Format::of`] needs.
pub(super) const HEAD_BYTES: usize = 20;

impl Format {
    /// The format of a file that begins so; `None` if it is none of ours.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let is_any = |at: usize, magics: &[u32]| {
            let bytes = head.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            bytes
                .map(u32::from_le_bytes)
                .is_some_and(|word| magics.contains(&word) || magics.contains(&word.swap_bytes()))
        };
        let berkeley = &[berkeley::HASH, berkeley::BTREE, berkeley::QUEUE, berkeley::HEAP];
        if is_any(berkeley::MAGIC_AT, berkeley) {
            return Some(Self::Berkeley);
        }
        if is_any(0, gdbm::MAGICS) {
            return Some(Self::Gdbm);
        }
        is_any(lmdb::MAGIC_AT, &[lmdb::MAGIC]).then_some(Self::Lmdb)
    }

    /// Tells of each record of a whole file. Some were told of also where a fault is found.
    ///
    /// # Errors
    /// [`Fault`].
    pub(super) fn read(self, bytes: &[u8], visit: &mut Visit<'_>) -> Result<(), Fault> {
        match self {
            Self::Berkeley => berkeley::read(bytes, visit),
            Self::Gdbm => gdbm::read(bytes, visit),
            Self::Lmdb => lmdb::read(bytes, visit),
        }
    }

    /// A command that saves what can be saved of a damaged file.
    pub(super) fn salvage(self) -> &'static str {
        match self {
            Self::Berkeley => "db_dump -r",
            Self::Gdbm => "gdbmtool FILE recover",
            Self::Lmdb => "mdb_dump -n",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Berkeley => "Berkeley DB",
            Self::Gdbm => "GDBM",
            Self::Lmdb => "LMDB",
        })
    }
}
