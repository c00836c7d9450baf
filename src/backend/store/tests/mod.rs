//! Tests of the store as a whole: what it keeps and what it refuses.

mod app_passwords;
mod trouble;
mod upgrading;
mod verifying;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::backend::store::file::{check_private, inspect, us};
use crate::backend::store::lookup::Connections;
use crate::backend::store::schema::{self, Patience};
use crate::backend::store::{
    Access, PasswordStore, Policy, Scram, Settings, State, Store, StoreError,
};
use crate::base::{Identity, Secret};

fn settings(directory: &TempDir) -> Settings {
    Settings {
        path: directory.path().join("users.db"),
        memory_kib: 64,
        iterations: 1,
        lanes: 1,
        hash_threads: 1,
        max_waiting: 4,
        policy: Policy::default(),
        scram: Scram::Omitted,
    }
}

fn id(name: &str) -> Identity {
    Identity::parse(name, "example.org").unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::copied_from(text.as_bytes()).unwrap()
}

/// A store with `alice` (password `s3cret`), in a directory of its own.
fn store_with_alice() -> (TempDir, Settings) {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let mut store = Store::open(&settings, Access::Create).unwrap();
    store.add(&id("alice"), Some(&secret("s3cret"))).unwrap();
    (directory, settings)
}

fn open_error(settings: &Settings) -> StoreError {
    Store::open(settings, Access::Existing).err().unwrap()
}

fn find(connections: &Connections, name: &str) -> Result<Option<State>, StoreError> {
    connections.find(&id(name), Patience::Seconds).map(|found| found.map(|found| found.state))
}

fn sql(path: &Path, statements: &str) {
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
}

// --- what it keeps

#[test]
fn users_come_and_change_and_go() {
    let (_directory, settings) = store_with_alice();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    let user = store.find(&id("alice")).unwrap().unwrap();
    assert_eq!(user.identity.to_string(), "alice@example.org");
    assert_eq!((user.state, user.mechanisms()), (State::Active, vec!["PLAIN", "LOGIN"]));
    assert_eq!((user.created, user.last_used), (user.changed, None));
    store.lock(&id("alice")).unwrap();
    assert_eq!(store.find(&id("alice")).unwrap().unwrap().state, State::Locked);
    store.unlock(&id("alice")).unwrap();
    store.set_password(&id("alice"), &secret("other")).unwrap();
    assert_eq!(store.find(&id("alice")).unwrap().unwrap().state, State::Active);
    store.delete(&id("alice")).unwrap();
    assert_eq!(store.find(&id("alice")).unwrap(), None);
    let left: i64 = Connection::open(&settings.path)
        .unwrap()
        .query_row("SELECT count(*) FROM credentials", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "credentials go with their user");
}

#[test]
fn says_which_user_is_there_or_is_not() {
    let (_directory, settings) = store_with_alice();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    let text = |outcome: Result<(), StoreError>| outcome.unwrap_err().to_string();
    assert_eq!(
        text(store.add(&id("alice"), Some(&secret("x")))),
        "alice@example.org already exists: use \"saslgate user passwd\" to set a new password"
    );
    let missing = "bob@example.org does not exist: see \"saslgate user list\"";
    assert_eq!(text(store.set_password(&id("bob"), &secret("x"))), missing);
    assert_eq!(text(store.delete(&id("bob"))), missing);
    assert_eq!(text(store.lock(&id("bob"))), missing);
    let empty = store.set_password(&id("alice"), &secret(""));
    assert!(matches!(empty, Err(StoreError::EmptyPassword)));
}

#[test]
fn the_same_name_in_another_realm_is_another_user() {
    let (_directory, settings) = store_with_alice();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    store.add(&id("alice@other.test"), None).unwrap();
    store.add(&id("Alice"), None).unwrap();
    store.delete(&id("alice")).unwrap();
    let names: Vec<String> = store.list().map(|user| user.unwrap().identity.to_string()).collect();
    assert_eq!(names, ["Alice@example.org", "alice@other.test"]);
}

#[test]
fn lists_all_users_in_order_beyond_one_page() {
    let (_directory, settings) = store_with_alice();
    let mut names: Vec<String> =
        (0..1100).map(|number| format!("user{number:04}@r{}.test", number % 3)).collect();
    let values: Vec<String> = names
        .iter()
        .map(|name| {
            let (user, realm) = name.split_once('@').unwrap();
            format!("('{realm}', '{user}', 'active', 1, 1)")
        })
        .collect();
    sql(
        &settings.path,
        &format!(
            "INSERT INTO users (realm, user, state, created, changed) VALUES {}",
            values.join(",")
        ),
    );
    names.sort_by_key(|name| {
        let (user, realm) = name.split_once('@').unwrap();
        (realm.to_owned(), user.to_owned())
    });
    names.insert(0, "alice@example.org".to_owned());
    let store = Store::open(&settings, Access::Existing).unwrap();
    let listed: Vec<String> = store.list().map(|user| user.unwrap().identity.to_string()).collect();
    assert_eq!(listed, names);
}

#[test]
fn the_file_is_private_marked_and_whole_without_its_log() {
    let (directory, settings) = store_with_alice();
    let meta = fs::metadata(&settings.path).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o600);
    assert_eq!(meta.nlink(), 1);
    check_private(&settings.path, us()).unwrap();
    let keeper = Store::open(&settings, Access::Existing).unwrap();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    store.set_password(&id("alice"), &secret("other")).unwrap();
    // A plain copy, made while others have the file open, is a whole backup.
    let copy = directory.path().join("copy.db");
    fs::copy(&settings.path, &copy).unwrap();
    let copied = Connection::open(&copy).unwrap();
    let pragma = |name: &str| -> i64 {
        copied.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(pragma("application_id"), schema::APPLICATION_ID);
    assert_eq!(pragma("user_version"), schema::VERSION);
    let strict: i64 = copied
        .query_row(
            "SELECT count(*) FROM pragma_table_list WHERE name IN ('users', 'credentials')
             AND strict = 1 AND wr = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(strict, 2);
    let verifier = |connection: &Connection| -> String {
        connection.query_row("SELECT verifier FROM credentials", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(verifier(&copied), verifier(&Connection::open(&settings.path).unwrap()));
    drop(keeper);
}

#[test]
fn a_deleted_hash_does_not_stay_in_the_file() {
    let (_directory, settings) = store_with_alice();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    store.delete(&id("alice")).unwrap();
    drop(store);
    let bytes = fs::read(&settings.path).unwrap();
    assert!(!bytes.windows(12).any(|part| part == b"$argon2id$v="));
}

// --- what it refuses

#[test]
fn a_missing_store_is_said_to_be_missing() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&directory);
    assert!(matches!(open_error(&settings), StoreError::Missing { .. }));
    settings.path = directory.path().join("nowhere/users.db");
    let created = Store::open(&settings, Access::Create);
    assert!(matches!(created.err(), Some(StoreError::NoDirectory { .. })));
}

#[test]
fn no_store_is_made_beside_the_log_of_a_lost_one() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    fs::write(directory.path().join("users.db-wal"), b"frames").unwrap();
    let created = Store::open(&settings, Access::Create);
    assert!(matches!(created.err(), Some(StoreError::LeftoverLog { .. })));
    assert!(!settings.path.exists());
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let (_directory, settings) = store_with_alice();
    sql(&settings.path, "PRAGMA user_version = 3");
    let error = open_error(&settings);
    assert!(matches!(error, StoreError::Newer { found: 3, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("has format 3, and this saslgate knows formats up to 2"));
}

#[test]
fn other_databases_are_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    sql(&settings.path, "CREATE TABLE cars (name TEXT)");
    let before = fs::read(&settings.path).unwrap();
    assert!(matches!(open_error(&settings), StoreError::Foreign { .. }));
    assert_eq!(fs::read(&settings.path).unwrap(), before);
}

#[test]
fn a_sasldb2_is_recognised_and_left_alone() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    for (sample, expected) in
        [("sasldb2-berkeley.db", "Berkeley DB"), ("sasldb2.gdbm", "GDBM"), ("sasldb2.lmdb", "LMDB")]
    {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory);
        fs::copy(samples.join(sample), &settings.path).unwrap();
        let before = fs::read(&settings.path).unwrap();
        match Store::open(&settings, Access::Create).err() {
            Some(StoreError::Sasldb2 { format, .. }) => assert_eq!(format.to_string(), expected),
            other => panic!("{sample}: {other:?}"),
        }
        assert_eq!(fs::read(&settings.path).unwrap(), before);
    }
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_line_to_type() {
    let (_directory, settings) = store_with_alice();
    for mode in [0o640, 0o604, 0o660, 0o610] {
        fs::set_permissions(&settings.path, Permissions::from_mode(mode)).unwrap();
        let error = PasswordStore::start(&settings).err().unwrap();
        assert!(matches!(error, StoreError::TooOpen { mode: found, .. } if found == mode));
        let hint = format!("chmod 600 {}", settings.path.display());
        assert!(error.to_string().contains(&hint), "{error}");
    }
}

#[test]
fn a_file_of_another_user_is_refused_with_the_line_to_type() {
    let (_directory, settings) = store_with_alice();
    let me = nix::unistd::geteuid();
    // Only root can give a file away; everybody else has files of root at hand.
    let foreign = if me.is_root() {
        chown(&settings.path, Some(1), None).unwrap();
        settings.path.clone()
    } else {
        PathBuf::from("/etc/passwd")
    };
    let error = check_private(&foreign, us()).unwrap_err();
    assert!(matches!(error, StoreError::WrongOwner { .. }));
    let hint = format!("chown {me} {}", foreign.display());
    assert!(error.to_string().contains(&hint), "{error}");
}

#[test]
fn a_directory_in_which_others_could_put_a_store_is_refused() {
    let (directory, settings) = store_with_alice();
    let set_mode = |mode: u32| fs::set_permissions(&directory, Permissions::from_mode(mode));
    for mode in [0o777, 0o1777, 0o770, 0o702] {
        set_mode(mode).unwrap();
        let error = PasswordStore::start(&settings).err().unwrap();
        let hint = format!("chmod go-w {}", directory.path().display());
        assert!(error.to_string().contains(&hint), "{mode:o}: {error}");
    }
    set_mode(0o755).unwrap();
    drop(PasswordStore::start(&settings).unwrap());
    let stranger = us() + 1;
    if us() == 0 {
        chown(directory.path(), Some(stranger), None).unwrap();
        let error = PasswordStore::start(&settings).err().unwrap();
        assert!(matches!(error, StoreError::ForeignDirectory { owner, .. } if owner == stranger));
    }
}

#[test]
fn where_a_link_leads_is_what_counts() {
    let (directory, settings) = store_with_alice();
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("link.db");
    std::os::unix::fs::symlink(&settings.path, &link).unwrap();
    let linked = Settings { path: link, ..settings };
    drop(PasswordStore::start(&linked).unwrap());
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).unwrap();
    let error = PasswordStore::start(&linked).err().unwrap();
    assert!(matches!(error, StoreError::OpenDirectory { .. }), "{error}");
}

#[test]
fn what_is_no_file_is_called_so_and_not_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [pipe, directory.path().to_owned(), PathBuf::from("/dev/null")] {
        let settings = Settings { path, ..settings(&directory) };
        for error in [open_error(&settings), PasswordStore::start(&settings).err().unwrap()] {
            assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
        }
    }
}

#[test]
fn an_inspection_finds_what_a_start_would_trip_over() {
    let (directory, settings) = store_with_alice();
    assert!(inspect(&settings.path, us()).is_ok());
    assert!(matches!(inspect(&settings.path, us() + 1), Err(StoreError::WrongOwner { .. })));
    let missing = directory.path().join("other.db");
    assert!(matches!(inspect(&missing, us()), Err(StoreError::Missing { .. })));
    let nowhere = directory.path().join("no/other.db");
    assert!(matches!(inspect(&nowhere, us()), Err(StoreError::NoDirectory { .. })));
}

#[test]
fn costs_out_of_range_are_refused_at_start() {
    let (_directory, settings) = store_with_alice();
    for bad in [
        Settings { memory_kib: 2 * 1024 * 1024, ..settings.clone() },
        Settings { iterations: 0, ..settings.clone() },
        Settings { lanes: 9, ..settings.clone() },
    ] {
        assert!(matches!(PasswordStore::start(&bad).err(), Some(StoreError::Hash(_))));
    }
}

#[test]
fn a_full_disk_changes_nothing_and_says_so() {
    let (_directory, settings) = store_with_alice();
    let mut store = Store::open(&settings, Access::Existing).unwrap();
    store.limit_pages_for_tests();
    let name = |number: usize| id(&format!("{}{number}", "u".repeat(1000)));
    let failed = (0..100).find_map(|number| Some((number, store.add(&name(number), None).err()?)));
    let (number, error) = failed.unwrap();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert_eq!(store.find(&name(number)).unwrap(), None);
    assert_eq!(store.list().count(), 1 + number, "all that was acknowledged is there");
}
