//! A damaged, replaced, locked or vanished file: seen at once, and never taken
//! for an unknown user.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{find, id, open_error, settings, sql, store_with_alice};
use crate::backend::store::lookup::Connections;
use crate::backend::store::{Access, State, Store, StoreError};
use crate::base::ReasonCode;

#[test]
fn a_truncated_file_is_never_an_unknown_user() {
    let (directory, settings) = store_with_alice();
    for number in 0..200 {
        let user =
            format!("INSERT INTO users VALUES ('example.org', 'u{number}', 'active', 1, 1, 1)");
        sql(&settings.path, &user);
    }
    let whole = fs::read(&settings.path).unwrap();
    assert!(whole.len() > 4 * 4096);
    let copy = directory.path().join("copy.db");
    let mut damaged = 0;
    for length in (0..whole.len()).step_by(512) {
        write_private(&copy, &whole[..length]);
        damaged += usize::from(is_damaged_or_finds_alice(&copy));
    }
    assert!(damaged > 4, "hardly any truncation was noticed");
}

#[test]
fn an_overwritten_page_is_never_an_unknown_user() {
    let (directory, settings) = store_with_alice();
    let whole = fs::read(&settings.path).unwrap();
    let copy = directory.path().join("copy.db");
    for filler in [0x00, 0xa5, 0xff] {
        for page in (0..whole.len()).step_by(4096) {
            let mut bytes = whole.clone();
            bytes[page..page + 4096].fill(filler);
            write_private(&copy, &bytes);
            assert!(is_damaged_or_finds_alice(&copy), "page at {page}");
        }
    }
}

/// True if opening or asking fails as damaged, false if alice is found; anything else panics.
fn is_damaged_or_finds_alice(path: &Path) -> bool {
    for suffix in ["-wal", "-shm"] {
        drop(fs::remove_file(format!("{}{suffix}", path.display())));
    }
    let outcome = Connections::open(path).and_then(|store| find(&store, "alice"));
    match outcome {
        Ok(Some(State::Active)) => false,
        Err(error) => {
            assert_eq!(error.reason().code, ReasonCode::Damaged, "{error}");
            true
        }
        other => panic!("{other:?}"),
    }
}

fn write_private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_damaged_file_says_how_to_restore_it() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    write_private(&settings.path, &b"no database at all, ".repeat(500));
    let error = open_error(&settings);
    assert!(matches!(error, StoreError::Damaged { .. }));
    let text = error.to_string();
    assert!(text.contains("restore a backup") && text.contains(".recover"), "{text}");
    write_private(&settings.path, b"");
    let text = open_error(&settings).to_string();
    assert!(text.contains("the file is empty"), "{text}");
}

#[test]
fn sees_a_change_by_another_process_at_the_next_look_up() {
    let (_directory, settings) = store_with_alice();
    let open = Connections::open(&settings.path).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), Some(State::Active));
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    store.lock(&id("alice")).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), Some(State::Locked));
    store.delete(&id("alice")).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), None);
}

#[test]
fn a_vanished_file_is_an_outage_and_a_restored_one_is_used_at_once() {
    let (directory, settings) = store_with_alice();
    let backup = directory.path().join("backup.db");
    fs::copy(&settings.path, &backup).unwrap();
    let open = Connections::open(&settings.path).unwrap();
    Store::open(&settings, Access::Existing).unwrap().delete(&id("alice")).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), None);
    let gone = directory.path().join("gone.db");
    fs::rename(&settings.path, &gone).unwrap();
    assert!(matches!(find(&open, "alice"), Err(StoreError::Missing { .. })));
    assert!(matches!(open.refresh(), Err(StoreError::Missing { .. })));
    fs::rename(&backup, &settings.path).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), Some(State::Active));
    // And back again, as after a restore of the wrong file.
    fs::rename(&gone, &settings.path).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), None);
}

#[test]
fn a_file_that_was_replaced_by_an_unsafe_one_is_an_outage() {
    let (directory, settings) = store_with_alice();
    let open = Connections::open(&settings.path).unwrap();
    let backup = directory.path().join("backup.db");
    fs::copy(&settings.path, &backup).unwrap();
    fs::set_permissions(&backup, Permissions::from_mode(0o644)).unwrap();
    fs::rename(&backup, &settings.path).unwrap();
    assert!(matches!(find(&open, "alice"), Err(StoreError::TooOpen { .. })));
    fs::set_permissions(&settings.path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(find(&open, "alice").unwrap(), Some(State::Active));
}

#[test]
fn a_file_that_was_overwritten_in_place_is_noticed_by_the_keeper() {
    let (directory, settings) = store_with_alice();
    let backup = fs::read(&settings.path).unwrap();
    let open = Connections::open(&settings.path).unwrap();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    for number in 0..100 {
        store.add(&id(&format!("{}{number}", "u".repeat(500))), None).unwrap();
    }
    store.delete(&id("alice")).unwrap();
    drop(store);
    assert_eq!(find(&open, "alice").unwrap(), None);
    // As "cp backup.db users.db" does: same inode, other content.
    fs::write(&settings.path, &backup).unwrap();
    open.refresh().unwrap();
    assert_eq!(find(&open, "alice").unwrap(), Some(State::Active));
    drop(directory);
}

#[test]
fn two_open_stores_of_one_process_survive_a_replaced_file() {
    let (directory, settings) = store_with_alice();
    let backup = directory.path().join("backup.db");
    fs::copy(&settings.path, &backup).unwrap();
    let old = Connections::open(&settings.path).unwrap();
    assert_eq!(find(&old, "alice").unwrap(), Some(State::Active));
    Store::open(&settings, Access::Existing).unwrap().lock(&id("alice")).unwrap();
    fs::rename(&backup, &settings.path).unwrap();
    // A reload opens the new file while the old one is still in use.
    let new = Connections::open(&settings.path).unwrap();
    assert_eq!(find(&new, "alice").unwrap(), Some(State::Active));
    assert_eq!(find(&old, "alice").unwrap(), Some(State::Active));
    Store::open(&settings, Access::Existing).unwrap().lock(&id("alice")).unwrap();
    assert_eq!(find(&new, "alice").unwrap(), Some(State::Locked));
    assert_eq!(find(&old, "alice").unwrap(), Some(State::Locked));
}
