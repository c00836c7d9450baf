//! Recognises a sasldb2 of Cyrus SASL, to say what to do with it. It is never written.
//!
//! ```text
//! Berkeley DB   u32 magic at byte 12
//! GDBM          u32 magic at byte 0
//! LMDB          u32 magic at byte 16, behind the page header
//! ```
//!
//! Called by `schema` when SQLite has refused a file. Not here: reading one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Names the format of a file that is no SQLite database; `None` if it is not
/// one that Cyrus SASL writes. Only for a file that SQLite has refused.
pub(super) fn format(path: &Path) -> Option<&'static str> {
    let mut head = [0; 32];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let is_any = |at: usize, magics: &[u32]| {
        magics.contains(&word(at)) || magics.contains(&word(at).swap_bytes())
    };
    if is_any(12, BERKELEY_MAGICS) {
        return Some("Berkeley DB");
    }
    if is_any(0, GDBM_MAGICS) {
        return Some("GDBM");
    }
    is_any(16, LMDB_MAGICS).then_some("LMDB")
}

/// Hash, B-tree, queue and heap of Berkeley DB, at byte 12 in either byte order.
const BERKELEY_MAGICS: &[u32] = &[0x0006_1561, 0x0005_3162, 0x0004_2253, 0x0007_4582];
/// 64-bit, 32-bit and old GDBM, with and without the extended header, at byte 0.
const GDBM_MAGICS: &[u32] = &[0x1357_9acd, 0x1357_9ace, 0x1357_9acf, 0x1357_9ad0, 0x1357_9ad1];
/// LMDB, in the meta page behind its 16-byte page header.
const LMDB_MAGICS: &[u32] = &[0xbeef_c0de];
