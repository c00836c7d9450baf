//! Databases that the real tools write during the test: Cyrus's saslpasswd2,
//! and the loaders of Berkeley DB, GDBM and LMDB for what it does not write here.
//!
//! Needs sasl2-bin, db-util, gdbmtool and lmdb-utils.
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use saslgate::auth::{Answer, RealmSource};
use saslgate::backend::sasldb::{Format, HostNames, Sasldb, Settings, read_file};
use saslgate::base::Identity;

use support::process::run;
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER};
use support::sasldb::{cyrus, saslpasswd2, set};
use support::site;

/// Whole keys and values.
type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What our reader finds, as whole keys and values.
fn read(file: &Path) -> (Format, Records) {
    let contents = read_file(file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(contents.malformed, 0);
    let count = contents.entries.len();
    let records: Records = contents
        .entries
        .into_iter()
        .map(|entry| ([entry.user, entry.realm, entry.property].join(&0), entry.value.to_vec()))
        .collect();
    assert_eq!(records.len(), count, "a record was found twice");
    (contents.format, records)
}

fn password_key(user: &str, realm: &str) -> Vec<u8> {
    format!("{user}\0{realm}\0userPassword").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

/// What Berkeley DB's own db_dump finds.
fn db_dump(file: &Path) -> Records {
    let dumped = run(Command::new("db_dump").arg(file), b"").expect_success();
    let lines: Vec<&str> = dumped
        .stdout
        .lines()
        .skip_while(|line| *line != "HEADER=END")
        .skip(1)
        .take_while(|line| *line != "DATA=END")
        .collect();
    lines.chunks(2).map(|pair| (unhex(pair[0].trim()), unhex(pair[1].trim()))).collect()
}

#[test]
fn what_saslpasswd2_does_is_followed_step_by_step() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    let mut expected = Records::new();
    for round in 0..60 {
        let user = format!("user{}", round % 40);
        // Beyond a quarter of a page a value is on pages of its own.
        let password = format!("{round}-{}", "x".repeat([3, 40, 1022, 1030, 2040][round % 5]));
        set(&file, &user, "example.org", &password);
        expected.insert(password_key(&user, "example.org"), password.into_bytes());
        if round % 7 == 6 {
            let gone = format!("user{}", (round - 3) % 40);
            saslpasswd2(&file, &["-d", "-u", "example.org", &gone], "").expect_success();
            expected.remove(&password_key(&gone, "example.org"));
        }
        let (_, found) = read(&file);
        assert!(found == expected, "after round {round}: {} of {}", found.len(), expected.len());
    }
    let (format, found) = read(&file);
    if format == Format::Berkeley {
        assert!(found == db_dump(&file));
    }
    let listed = run(cyrus("sasldblistusers2").arg("-f").arg(&file), b"").expect_success();
    assert_eq!(listed.stdout.lines().count(), found.len());
}

#[test]
fn our_listing_of_a_file_is_the_originals_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    for number in 0..30 {
        set(&file, &format!("user{number}"), ["example.org", "Other.TEST"][number % 2], "s3cret");
    }
    saslpasswd2(&file, &["-c", "-p", "without-realm"], "s3cret").expect_success();
    let original = run(cyrus("sasldblistusers2").arg("-f").arg(&file), b"").expect_success();
    let ours = run(site::program("sasldblistusers2").arg("-f").arg(&file), b"");
    assert_eq!(ours.expect_success().stdout, original.stdout);
}

fn backend(file: &Path) -> Arc<Sasldb> {
    let settings = Settings { path: Some(file.to_owned()), max_bytes: 64 << 20 };
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    Sasldb::open(&settings, HostNames { name: host, fqdn: "mx.example.test".to_owned() }).unwrap()
}

fn ask(backend: &Arc<Sasldb>, user: &str, realm: RealmSource, password: &str) -> Answer {
    let named = if realm == RealmSource::Default { "mx.example.test" } else { "example.org" };
    site::ask(backend, Identity::new(user, named).unwrap(), realm, password)
}

#[test]
fn an_old_password_fails_on_the_first_try_after_saslpasswd2_changed_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    set(&file, "alice", "example.org", "password-0");
    let backend = backend(&file);
    for round in 1..40 {
        let (old, new) = (format!("password-{}", round - 1), format!("password-{round}"));
        assert!(matches!(ask(&backend, "alice", RealmSource::Claim, &old), Answer::Accepted(_)));
        set(&file, "alice", "example.org", &new);
        let answer = ask(&backend, "alice", RealmSource::Claim, &old);
        assert!(matches!(answer, Answer::Rejected(_)), "round {round}: {answer:?}");
    }
    saslpasswd2(&file, &["-d", "-u", "example.org", "alice"], "").expect_success();
    assert!(matches!(ask(&backend, "alice", RealmSource::Claim, "password-39"), Answer::Unknown));
}

#[test]
fn a_user_that_was_made_without_a_realm_logs_in_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    saslpasswd2(&file, &["-c", "-p", "alice"], "s3cret").expect_success();
    let backend = backend(&file);
    let answer = ask(&backend, "alice", RealmSource::Default, "s3cret");
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    let answer = ask(&backend, "alice", RealmSource::Claim, "s3cret");
    assert!(matches!(answer, Answer::Unknown), "{answer:?}");
}

#[test]
fn a_writer_at_work_never_makes_a_wrong_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sasldb2");
    for number in 0..20 {
        set(&file, &format!("user{number}"), "example.org", "s3cret");
    }
    let backend = backend(&file);
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (file, is_over) = (file.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            // Enough to make the hash grow, so that records move between pages.
            for number in 0..150 {
                let password = "y".repeat(1 + (number * 37) % 1500);
                set(&file, &format!("other{number}"), "example.org", &password);
                if number % 3 == 0 {
                    let gone = format!("other{}", number / 2);
                    let _ = saslpasswd2(&file, &["-d", "-u", "example.org", &gone], "");
                }
            }
            is_over.store(true, Ordering::Release);
        })
    };
    let mut asked = 0;
    while !is_over.load(Ordering::Acquire) {
        let user = format!("user{}", asked % 20);
        let answer = ask(&backend, &user, RealmSource::Claim, "s3cret");
        assert!(matches!(answer, Answer::Accepted(_)), "{user}, try {asked}: {answer:?}");
        if asked % 50 == 0 {
            let answer = ask(&backend, &user, RealmSource::Claim, "wr0ng");
            assert!(matches!(answer, Answer::Rejected(_)), "{user}, try {asked}: {answer:?}");
        }
        asked += 1;
    }
    writer.join().unwrap();
    assert!(asked > 100, "{asked}");
}

/// Records with short, long and off-page keys and values.
fn many(count: usize) -> Records {
    let record = |number: usize| {
        let user = match number % 50 {
            7 => format!("long{number}-{}", "u".repeat(400)),
            _ => format!("user{number}"),
        };
        let length = [1, 12, 60, 300, 1100, 2048][number % 6];
        let value: Vec<u8> = (0..length).map(|at| 1 + ((number + at * 7) % 255) as u8).collect();
        (password_key(&user, "example.org"), value)
    };
    (0..count).map(record).collect()
}

/// Records in the format of db_dump, which mdb_load takes too.
fn dump(header: &str, records: &Records) -> String {
    let mut text = format!("VERSION=3\nformat=bytevalue\n{header}\nHEADER=END\n");
    for (key, value) in records {
        let _ = writeln!(text, " {}\n {}", hex(key), hex(value));
    }
    text + "DATA=END\n"
}

#[test]
fn every_shape_of_a_berkeley_hash_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let records = many(300);
    for order in [1234, 4321] {
        for checksums in [0, 1] {
            for page in [512, 1024, 4096, 65_536] {
                let name = format!("{order}-{checksums}-{page}.db");
                let file = directory.path().join(&name);
                let mut header = format!("type=hash\ndb_lorder={order}\ndb_pagesize={page}");
                if checksums == 1 {
                    header += "\nchksum=1";
                }
                let text = dump(&header, &records);
                run(Command::new("db_load").arg(&file), text.as_bytes()).expect_success();
                let (format, found) = read(&file);
                assert_eq!(format, Format::Berkeley);
                assert!(found == records, "{name}: {} of {}", found.len(), records.len());
            }
        }
    }
}

#[test]
fn every_shape_of_a_gdbm_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    for count in [0, 1, 40, 700] {
        let records = many(count);
        for shape in ["standard", "numsync"] {
            for block in ["512", "1024", "4096", "65536"] {
                let name = format!("{count}-{shape}-{block}");
                let file = directory.path().join(format!("{name}.gdbm"));
                let mut text = format!(
                    "# GDBM dump file\n#:version=1.1\n#:file=x\n#:format={shape}\n# End of header\n"
                );
                for part in records.iter().flat_map(|(key, value)| [key, value]) {
                    let encoded = STANDARD.encode(part);
                    let lines: Vec<&str> = encoded
                        .as_bytes()
                        .chunks(76)
                        .map(|line| std::str::from_utf8(line).unwrap())
                        .collect();
                    let _ = writeln!(text, "#:len={}\n{}", part.len(), lines.join("\n"));
                }
                let _ = writeln!(text, "#:count={count}\n# End of data");
                let source = directory.path().join("dump");
                fs::write(&source, text).unwrap();
                let mut load = Command::new("gdbm_load");
                load.args(["-n", "-b", block]).arg(&source).arg(&file);
                run(&mut load, b"").expect_success();
                let (format, found) = read(&file);
                assert_eq!(format, Format::Gdbm);
                assert!(found == records, "{name}: {} of {}", found.len(), records.len());
            }
        }
    }
}

#[test]
fn lmdb_files_of_every_depth_are_read() {
    let directory = tempfile::tempdir().unwrap();
    for count in [0, 1, 40, 3000] {
        let records = many(count);
        let file = directory.path().join(format!("{count}.lmdb"));
        let text = dump("type=btree\nmapsize=67108864\nmaxreaders=126", &records);
        let mut load = Command::new("mdb_load");
        run(load.arg("-n").arg(&file), text.as_bytes()).expect_success();
        let (format, found) = read(&file);
        assert_eq!(format, Format::Lmdb);
        assert!(found == records, "{count}: {} of {}", found.len(), records.len());
    }
}

#[test]
fn a_lock_of_ours_is_never_in_the_way_of_gdbm() {
    // gdbm locks without waiting: a reader with a lock would make this fail.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.gdbm");
    run(Command::new("gdbmtool").args(["-n", "-q"]).arg(&file).args(["store", "k", "v"]), b"")
        .expect_success();
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = {
        let (file, is_over) = (file.clone(), Arc::clone(&is_over));
        thread::spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                let _ = read_file(&file);
            }
        })
    };
    for number in 0..40 {
        let mut store = Command::new("gdbmtool");
        store.arg("-q").arg(&file).args(["store", &format!("k{number}"), "v"]);
        let stored = run(&mut store, b"");
        assert_eq!(stored.stderr, "", "round {number}");
    }
    is_over.store(true, Ordering::Release);
    reader.join().unwrap();
    assert_eq!(read_file(&file).unwrap().malformed, 41);
}

const OK: &[u8] = b"\0\x02OK";

/// saslauthd -c goes on accepting the old one for as long as its cache lives.
#[test]
fn a_remembered_login_ends_when_saslpasswd2_changes_the_password() {
    let subject = Subject::start_with(Kind::Sasldb, "[cache]\nenabled = true");
    let file = subject.dir().join("sasldb2");
    let mut password = PASSWORD.to_owned();
    for round in 0..10 {
        assert_eq!(subject.ask(USER, &password, REALM), OK, "round {round}");
        assert_eq!(subject.ask(USER, &password, REALM), OK, "round {round}, remembered");
        let next = format!("{PASSWORD}-{round}");
        set(&file, USER, REALM, &next);
        let refusal = subject.kind.refusal();
        assert_eq!(subject.ask(USER, &password, REALM), refusal, "round {round}, the old one");
        password = next;
    }
    saslpasswd2(&file, &["-d", "-u", REALM, USER], "").expect_success();
    assert_eq!(subject.ask(USER, &password, REALM), subject.kind.refusal(), "a user who is gone");
}

#[test]
fn a_missing_file_is_an_outage_and_no_reason_not_to_start() {
    let mut subject = Subject::start(Kind::Sasldb);
    let file = subject.dir().join("sasldb2");
    fs::remove_file(&file).unwrap();
    assert_eq!(subject.ask(USER, PASSWORD, REALM), b"", "closed without a reply");
    subject.wait_for_log("does not exist");
    support::process::stop(&mut subject.child);
    subject.restart();
    assert_eq!(subject.ask(USER, PASSWORD, REALM), b"");
    set(&file, USER, REALM, PASSWORD);
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn a_damaged_file_is_an_outage_with_its_place_in_the_log() {
    let subject = Subject::start(Kind::Sasldb);
    let file = subject.dir().join("sasldb2");
    let sound = fs::read(&file).unwrap();
    let sample = "tests/samples/sasldb/corrupt/c_bucketloop.db";
    let damaged = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(sample)).unwrap();
    fs::write(&file, damaged).unwrap();
    assert_eq!(subject.ask(USER, PASSWORD, REALM), b"", "closed without a reply");
    subject.wait_for_log("is damaged at byte ");
    fs::write(&file, sound).unwrap();
    assert_eq!(subject.ask_right(), OK);
}
