//! The backend: who is let in, under which realm, and what a change of the file does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::super::{HostNames, Sasldb, Settings, read_file};
use super::{path, sample};
use crate::auth::{Answer, Attempt, Grounds, RealmSource, Revision, Service, Verification, Verify};
use crate::base::{Identity, Origin, ReasonCode, Secret};

/// A file of our own, and the backend on it.
struct World {
    directory: TempDir,
    backend: Arc<Sasldb>,
}

impl World {
    fn with(content: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sasldb2");
        fs::write(&file, content).unwrap();
        let backend = open(&file, 64 << 20);
        Self { directory, backend }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("sasldb2")
    }

    fn ask(&self, user: &str, realm: &str, password: &str) -> Answer {
        ask(&self.backend, user, realm, password, RealmSource::Claim)
    }
}

fn open(file: &Path, max_bytes: u64) -> Arc<Sasldb> {
    let settings = Settings { path: Some(file.to_owned()), max_bytes };
    let host = HostNames { name: "Mx".to_owned(), fqdn: "mx.example.test".to_owned() };
    Sasldb::open(&settings, host).unwrap()
}

fn verify(
    backend: &Arc<Sasldb>,
    user: &str,
    realm: &str,
    password: &str,
    source: RealmSource,
) -> Verification {
    let attempt = Attempt {
        identity: Identity::new(user, realm).unwrap(),
        realm: source,
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    };
    Arc::clone(backend).verify(Arc::new(attempt))
}

fn ask(
    backend: &Arc<Sasldb>,
    user: &str,
    realm: &str,
    password: &str,
    source: RealmSource,
) -> Answer {
    match verify(backend, user, realm, password, source) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => wait(answer),
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer, Answer::Accepted(_))
}

fn is_wrong(answer: &Answer) -> bool {
    matches!(answer, Answer::Rejected(reason) if reason.code == ReasonCode::BadCredentials)
}

/// A Berkeley DB file of one page for each bucket with these records.
fn database(records: &[(&[u8], &[u8])]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut image = vec![0; 2 * PAGE];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(12, &0x0006_1561u32.to_le_bytes());
    put(16, &9u32.to_le_bytes());
    put(20, &4096u32.to_le_bytes());
    put(25, &[8]);
    // Bucket 0 is at page 0 + spares[0].
    put(96, &1u32.to_le_bytes());
    put(PAGE + 8, &1u32.to_le_bytes());
    put(PAGE + 20, &u16::try_from(2 * records.len()).unwrap().to_le_bytes());
    put(PAGE + 25, &[13]);
    let mut end = PAGE;
    for (index, item) in records.iter().flat_map(|(key, value)| [key, value]).enumerate() {
        end -= item.len() + 1;
        put(PAGE + end, &[1]);
        put(PAGE + end + 1, item);
        put(PAGE + 26 + 2 * index, &u16::try_from(end).unwrap().to_le_bytes());
    }
    image
}

fn one(password: &str) -> Vec<u8> {
    database(&[(b"alice\0example.org\0userPassword", password.as_bytes())])
}

#[test]
fn lets_the_right_password_in_and_no_other() {
    let world = World::with(&one("s3cret"));
    assert!(is_accepted(&world.ask("alice", "example.org", "s3cret")));
    for wrong in ["s3cre", "s3cret2", "S3cret", "x"] {
        assert!(is_wrong(&world.ask("alice", "example.org", wrong)), "{wrong}");
    }
    for (user, realm) in [("Alice", "example.org"), ("bob", "example.org"), ("alice", "other")] {
        assert!(matches!(world.ask(user, realm, "s3cret"), Answer::Unknown), "{user}@{realm}");
    }
}

#[test]
fn every_format_is_asked_in_the_same_way() {
    for file in [
        "berkeley/real_saslpasswd2_debian.db",
        "gdbm/real_saslpasswd2_head.gdbm",
        "lmdb/real_saslpasswd2_head.lmdb",
    ] {
        let backend = open(&path(file), 64 << 20);
        let list = String::from_utf8(sample("expected/real.tsv")).unwrap();
        let mut asked = 0;
        for line in list.lines().filter(|line| line.contains("\tuserPassword\t")).step_by(20) {
            let fields: Vec<&str> = line.split('\t').collect();
            let bytes = (0..fields[3].len()).step_by(2);
            let password: Vec<u8> =
                bytes.map(|at| u8::from_str_radix(&fields[3][at..at + 2], 16).unwrap()).collect();
            let Ok(password) = String::from_utf8(password) else { continue };
            let answer = ask(&backend, fields[0], fields[1], &password, RealmSource::Claim);
            assert!(is_accepted(&answer), "{file}: {}@{}", fields[0], fields[1]);
            asked += 1;
        }
        assert!(asked > 10, "{file}: {asked}");
    }
}

#[test]
fn only_the_property_user_password_is_a_password() {
    let world = World::with(&database(&[
        (b"alice\0example.org\0cmusaslsecretOTP", b"s3cret"),
        (b"bob\0example.org\0userPasswordX", b"s3cret"),
    ]));
    assert!(matches!(world.ask("alice", "example.org", "s3cret"), Answer::Unknown));
    assert!(matches!(world.ask("bob", "example.org", "s3cret"), Answer::Unknown));
}

#[test]
fn a_password_that_nobody_can_send_opens_nothing() {
    // The original compares up to the NUL.
    let long = vec![b'x'; 1000];
    let world = World::with(&database(&[
        (b"nul\0r\0userPassword", b"s3cret\0junk"),
        (b"none\0r\0userPassword", b""),
        (b"long\0r\0userPassword", &long),
    ]));
    assert!(is_wrong(&world.ask("nul", "r", "s3cret")));
    assert!(is_wrong(&world.ask("none", "r", "")), "an empty one fits nothing, not even itself");
    assert!(is_wrong(&world.ask("long", "r", "x")));
    assert!(is_accepted(&world.ask("long", "r", &"x".repeat(1000))));
}

#[test]
fn the_realm_is_matched_as_it_is_and_then_in_any_case() {
    let world = World::with(&database(&[
        (b"alice\0example.org\0userPassword", b"small"),
        (b"alice\0Example.ORG\0userPassword", b"mixed"),
        (b"bob\0Example.ORG\0userPassword", b"mixed"),
    ]));
    assert!(is_accepted(&world.ask("alice", "Example.ORG", "small")));
    assert!(is_wrong(&world.ask("alice", "Example.ORG", "mixed")));
    assert!(is_accepted(&world.ask("bob", "EXAMPLE.org", "mixed")));
    assert!(is_wrong(&world.ask("bob", "example.org", "small")));
}

#[test]
fn a_login_without_a_realm_is_found_where_saslpasswd2_put_it() {
    let world = World::with(&database(&[
        (b"host\0Mx\0userPassword", b"host"),
        (b"fqdn\0mx.example.test\0userPassword", b"fqdn"),
        (b"both\0Mx\0userPassword", b"host"),
        (b"both\0example.org\0userPassword", b"own"),
        (b"mail\0example.org\0userPassword", b"own"),
        (b"carol@example.org\0Mx\0userPassword", b"whole"),
    ]));
    let ask_default =
        |user, realm, password| ask(&world.backend, user, realm, password, RealmSource::Default);
    // The default realm is the full name of the host: gethostname() comes first, as with saslauthd.
    assert!(is_accepted(&ask_default("host", "mx.example.test", "host")));
    assert!(is_accepted(&ask_default("fqdn", "mx.example.test", "fqdn")));
    assert!(is_accepted(&ask_default("both", "mx.example.test", "host")));
    // A default realm that somebody configured comes first, and the host's names behind it.
    assert!(is_accepted(&ask_default("both", "example.org", "own")));
    assert!(is_wrong(&ask_default("both", "example.org", "host")));
    assert!(is_accepted(&ask_default("mail", "example.org", "own")));
    assert!(is_accepted(&ask_default("host", "example.org", "host")));
    // Who names a realm means it; but a client may not have split the name.
    assert!(matches!(world.ask("host", "example.org", "host"), Answer::Unknown));
    assert!(matches!(world.ask("carol", "example.org", "whole"), Answer::Unknown));
    let ask_login =
        |user, realm, password| ask(&world.backend, user, realm, password, RealmSource::Login);
    assert!(is_accepted(&ask_login("carol", "example.org", "whole")));
    assert!(is_accepted(&ask_login("mail", "example.org", "own")));
    assert!(matches!(ask_login("carol", "example.com", "whole"), Answer::Unknown));
}

#[test]
fn an_old_password_fails_on_the_first_try_after_a_change() {
    let world = World::with(&one("password-0"));
    for round in 1..200 {
        let (old, new) = (format!("password-{}", round - 1), format!("password-{round}"));
        // Sizes are the same, and times often are: the kernel's clock ticks slowly.
        fs::write(world.file(), one(&new)).unwrap();
        assert!(is_wrong(&world.ask("alice", "example.org", &old)), "round {round}");
        assert!(is_accepted(&world.ask("alice", "example.org", &new)), "round {round}");
    }
}

#[test]
fn a_file_put_in_the_place_of_another_is_seen_at_once() {
    let world = World::with(&one("old"));
    assert!(is_accepted(&world.ask("alice", "example.org", "old")));
    let other = world.directory.path().join("other");
    fs::write(&other, one("new")).unwrap();
    fs::rename(&other, world.file()).unwrap();
    assert!(is_wrong(&world.ask("alice", "example.org", "old")));
    assert!(is_accepted(&world.ask("alice", "example.org", "new")));
}

/// Everything behind these is larger than what is read at once.
fn large(password: &str) -> Vec<u8> {
    let mut image = one(password);
    image.resize(128 << 10, 0);
    image
}

#[test]
fn a_large_file_is_read_elsewhere_and_as_reliably() {
    let world = World::with(&large("password-0"));
    for round in 1..20 {
        let (old, new) = (format!("password-{}", round - 1), format!("password-{round}"));
        fs::write(world.file(), large(&new)).unwrap();
        let first = verify(&world.backend, "alice", "example.org", &old, RealmSource::Claim);
        let Verification::Pending(first) = first else { panic!("read on the caller's thread") };
        assert!(is_wrong(&wait(first)), "round {round}");
        assert!(is_accepted(&world.ask("alice", "example.org", &new)), "round {round}");
    }
}

#[test]
fn many_who_ask_at_once_share_the_reading_of_a_large_file() {
    let world = World::with(&large("old"));
    fs::write(world.file(), large("new")).unwrap();
    let answers: Vec<Answer> = wait(async {
        let asked: Vec<_> = (0..64)
            .map(|_| verify(&world.backend, "alice", "example.org", "new", RealmSource::Claim))
            .map(|verification| match verification {
                Verification::Pending(answer) => tokio::spawn(answer),
                Verification::Ready(_) => panic!("read on the caller's thread"),
            })
            .collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        answers
    });
    assert!(answers.iter().all(is_accepted));
    assert!(world.backend.readings() < 20, "{}", world.backend.readings());
}

fn reason(answer: Answer) -> (ReasonCode, String) {
    match answer {
        Answer::Unavailable(reason) => (reason.code, reason.detail.into_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_read_is_unavailable_and_comes_back_by_itself() {
    let world = World::with(&one("s3cret"));
    let file = world.file();
    fs::remove_file(&file).unwrap();
    let (code, detail) = reason(world.ask("alice", "example.org", "s3cret"));
    assert!(code == ReasonCode::BackendDown && detail.contains("does not exist"), "{detail}");

    fs::write(&file, sample("corrupt/c_badinp.db")).unwrap();
    let (code, detail) = reason(world.ask("alice", "example.org", "s3cret"));
    assert!(code == ReasonCode::Damaged && detail.contains("at byte"), "{detail}");

    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (code, detail) = reason(world.ask("alice", "example.org", "s3cret"));
    assert!(code == ReasonCode::BackendDown && detail.contains("no regular file"), "{detail}");
    fs::remove_dir(&file).unwrap();

    fs::write(&file, one("s3cret")).unwrap();
    assert!(is_accepted(&world.ask("alice", "example.org", "s3cret")));
}

#[test]
fn a_file_that_was_missing_at_the_start_is_found_later() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    let backend = open(&file, 64 << 20);
    let answer = ask(&backend, "alice", "example.org", "s3cret", RealmSource::Claim);
    assert!(matches!(answer, Answer::Unavailable(_)));
    fs::write(&file, one("s3cret")).unwrap();
    let answer = ask(&backend, "alice", "example.org", "s3cret", RealmSource::Claim);
    assert!(is_accepted(&answer));
}

#[test]
fn a_file_beyond_the_limit_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    fs::write(&file, large("s3cret")).unwrap();
    let backend = open(&file, 100 << 10);
    let answer = ask(&backend, "alice", "example.org", "s3cret", RealmSource::Claim);
    let (code, detail) = reason(answer);
    assert_eq!(code, ReasonCode::BackendDown, "it is not damaged");
    assert!(detail.contains("sasldb.max_size"), "{detail}");
}

#[test]
fn a_file_that_no_setting_lets_in_is_not_told_to_raise_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    // All hole: it takes no room on the disk, and is not read.
    fs::File::create(&file).unwrap().set_len((1 << 30) + 1).unwrap();
    let error = read_file(&file).err().unwrap().to_string();
    assert!(error.contains("db_dump") && error.contains("--csv"), "{error}");
    assert!(!error.contains("max_size"), "{error}");
}

fn state(world: &World, user: &str) -> (Revision, Option<Grounds>) {
    let identity = Identity::new(user, "example.org").unwrap();
    (world.backend.revision(), world.backend.grounds(&identity))
}

#[test]
fn what_a_remembered_login_rests_on_changes_with_its_user_only() {
    let two = |alice: &[u8], bob: &[u8]| {
        database(&[
            (b"alice\0example.org\0userPassword", alice),
            (b"bob\0example.org\0userPassword", bob),
        ])
    };
    let world = World::with(&two(b"one", b"two"));
    let (alice, bob) = (state(&world, "alice"), state(&world, "bob"));
    assert_eq!((alice, bob), (state(&world, "alice"), state(&world, "bob")));
    assert_ne!(alice.1, bob.1);

    fs::write(world.file(), two(b"one", b"three")).unwrap();
    assert_ne!(state(&world, "alice").0, alice.0, "the file is another one");
    assert_eq!(state(&world, "alice").1, alice.1, "but not for alice");
    assert_ne!(state(&world, "bob").1, bob.1);

    fs::remove_file(world.file()).unwrap();
    assert_eq!(state(&world, "alice").1, None, "nobody can tell");
}

#[test]
fn a_large_file_that_has_just_changed_counts_as_another_one() {
    let world = World::with(&large("one"));
    fs::write(world.file(), large("two")).unwrap();
    let (first, grounds) = state(&world, "alice");
    assert_eq!(grounds, None, "not known without waiting");
    assert_ne!(state(&world, "alice").0, first);
}
