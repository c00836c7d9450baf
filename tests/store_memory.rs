//! What the open store has allocated before anybody logs in.
//!
//! In a process of its own: it counts what the whole process has.
#![cfg(test)]

use saslgate::backend::store::import::{Importer, Mode};
use saslgate::backend::store::{PasswordStore, Policy, Scram, Settings};

/// All that is allocated and not freed, in bytes.
fn allocated() -> usize {
    // SAFETY: mallinfo2 has no preconditions; it locks each arena while it counts.
    unsafe { libc::mallinfo2() }.uordblks
}

#[test]
fn connections_of_the_store_allocate_what_they_use() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        path: directory.path().join("users.db"),
        memory_kib: 19_456,
        iterations: 2,
        lanes: 1,
        hash_threads: 1,
        max_waiting: 16,
        policy: Policy::default(),
        scram: Scram::Omitted,
    };
    drop(Importer::open(&settings, Mode::default()).unwrap());
    let before = allocated();
    let store = PasswordStore::start(&settings).unwrap();
    let kib = (allocated() - before) / 1024;
    // Five connections; SQLite left to itself takes 150 KiB for each.
    assert!((1..400).contains(&kib), "{kib} KiB");
    store.stop();
}
