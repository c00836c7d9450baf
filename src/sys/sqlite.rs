//! What SQLite sets aside when it starts, for the whole process.
//!
//! Called by `backend::store` before its first connection. SQLite is made for
//! programs with one connection: each gets 150 KiB on opening, touched at once,
//! for pages and parse trees that may come. A daemon holds several, which read
//! two or three pages and parse each of their statements once.

use std::sync::Once;

use rusqlite::ffi;

/// Has SQLite allocate what it uses when it uses it, and keep no statistics of
/// that, which cost a lock of the process at each allocation.
///
/// Counts where it is called before anything else uses SQLite; later, the
/// settings stay as they are, and nothing but memory is lost.
pub fn allocate_as_needed() {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let nowhere = std::ptr::null_mut::<libc::c_void>();
        let none: libc::c_int = 0;
        // SAFETY: sqlite3_config is safe before initialisation and refuses afterwards, both
        // under its own check; PAGECACHE takes a pointer and two ints, and no memory of ours.
        let _ = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PAGECACHE, nowhere, none, none) };
        // SAFETY: as above; LOOKASIDE takes two ints.
        let _ = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, none, none) };
        // SAFETY: as above; MEMSTATUS takes an int.
        let _ = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, none) };
    });
}
