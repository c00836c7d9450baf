//! Files that saslpasswd2 and the three libraries wrote, and what must be read of them.

use std::io::Write;

use super::super::image::Fault;
use super::super::{Format, SasldbError, read_file};
use super::{Record, path, read, sample};

/// A file, and the list of what is in it.
const SAMPLES: &[(&str, &str)] = &[
    ("berkeley/real_saslpasswd2_debian.db", "real"),
    ("berkeley/le4096.db", "recs"),
    ("berkeley/chksum.db", "recs"),
    ("berkeley/ps512.db", "recs"),
    ("berkeley/ps65536.db", "recs"),
    ("berkeley/big5000.db", "big"),
    ("berkeley/mixed.db", "mixed"),
    ("berkeley/tiny512.db", "tiny"),
    ("berkeley/empty.db", "empty"),
    ("berkeley/debian_etc_sasldb2_empty.db", "empty"),
    ("gdbm/real_saslpasswd2_head.gdbm", "real"),
    ("gdbm/std.gdbm", "recs"),
    ("gdbm/bs512.gdbm", "recs"),
    ("gdbm/big5000.gdbm", "big"),
    ("gdbm/mixed.gdbm", "mixed"),
    ("gdbm/del.gdbm", "del"),
    ("gdbm/empty.gdbm", "empty"),
    ("gdbm/tiny512.gdbm", "tiny"),
    ("lmdb/real_saslpasswd2_head.lmdb", "real"),
    ("lmdb/std.lmdb", "recs"),
    ("lmdb/big5000.lmdb", "big"),
    ("lmdb/empty.lmdb", "empty"),
];

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Keys and values as the list has them, sorted.
fn expected(list: &str) -> Vec<Record> {
    let text = sample(&format!("expected/{list}.tsv"));
    let mut records: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
            let value = unhex(std::str::from_utf8(fields.last().unwrap()).unwrap());
            match fields[0] {
                b"#RAW" => (unhex(std::str::from_utf8(fields[1]).unwrap()), value),
                user => ([user, fields[1], fields[2]].join(&0), value),
            }
        })
        .collect();
    records.sort();
    records
}

#[test]
fn every_sample_reads_as_its_list_says() {
    for (file, list) in SAMPLES {
        let found = read(&sample(file)).unwrap_or_else(|fault| panic!("{file}: {fault:?}"));
        let wanted = expected(list);
        assert_eq!(found.len(), wanted.len(), "{file}");
        assert!(found == wanted, "{file}: same number of records, other contents");
    }
}

#[test]
fn a_file_of_saslpasswd2_is_read_as_users() {
    let contents = read_file(&path("berkeley/one_user.db")).unwrap();
    assert_eq!(contents.format, Format::Berkeley);
    let [entry] = contents.entries.as_slice() else { panic!("{}", contents.entries.len()) };
    assert_eq!(
        (entry.user.as_slice(), entry.realm.as_slice(), entry.value.as_slice()),
        (b"np".as_slice(), b"dom".as_slice(), b"x".as_slice())
    );
    assert!(entry.is_password());
}

#[test]
fn a_malformed_key_is_counted_and_nothing_else_is_lost() {
    // The original's sasldblistusers2 goes round for ever at such a key.
    let raw = expected("mixed")
        .iter()
        .filter(|(key, _)| key.iter().filter(|byte| **byte == 0).count() != 2)
        .count();
    assert!(raw > 0);
    for file in ["berkeley/mixed.db", "gdbm/mixed.gdbm"] {
        let contents = read_file(&path(file)).unwrap();
        assert_eq!(contents.malformed, raw, "{file}");
        assert_eq!(contents.entries.len(), expected("mixed").len() - raw, "{file}");
    }
}

#[test]
fn what_cyrus_never_writes_is_refused_by_name() {
    for (file, words) in [
        ("berkeley/encrypted.db", "encrypted"),
        ("berkeley/dup.db", "duplicates"),
        ("berkeley/btree.db", "B-tree"),
        ("berkeley/subdb.db", "sub-databases"),
    ] {
        match read(&sample(file)) {
            Err(Fault::Foreign { what }) => assert!(what.contains(words), "{file}: {what}"),
            other => panic!("{file}: {:?}", other.map(|records| records.len())),
        }
    }
}

#[test]
fn other_versions_and_machines_are_refused_by_name() {
    let patched = |file: &str, at: usize, bytes: &[u8]| {
        let mut image = sample(file);
        image[at..at + bytes.len()].copy_from_slice(bytes);
        match read(&image) {
            Err(Fault::Foreign { what }) => what,
            other => panic!("{file}: {:?}", other.map(|records| records.len())),
        }
    };
    assert!(patched("berkeley/tiny512.db", 16, &[10]).contains("version 10"));
    assert!(patched("berkeley/tiny512.db", 16, &[6]).contains("before 7"));
    assert!(patched("berkeley/tiny512.db", 26, &[2]).contains("partitioned"));
    assert!(patched("gdbm/tiny512.gdbm", 0, &[0xcd]).contains("32-bit"));
    assert!(patched("gdbm/tiny512.gdbm", 0, &[0x13, 0x57, 0x9a, 0xcf]).contains("byte order"));
    assert!(patched("lmdb/empty.lmdb", 16, &[0xbe, 0xef, 0xc0, 0xde]).contains("byte order"));
    assert!(patched("lmdb/empty.lmdb", 20, &[2]).contains("version"));
}

#[test]
fn the_older_versions_of_the_same_layout_are_read() {
    for version in [7, 8] {
        let mut image = sample("berkeley/tiny512.db");
        image[16] = version;
        assert!(read(&image).unwrap() == expected("tiny"));
    }
}

#[test]
fn a_damaged_sample_is_refused_with_the_place_and_what_to_do() {
    for file in [
        "corrupt/c_badinp.db",
        "corrupt/c_badpagesize.db",
        "corrupt/c_bucketloop.db",
        "corrupt/c_trunc.db",
        "corrupt/c_badptr.gdbm",
        "corrupt/c_hugedir.gdbm",
        "corrupt/c_trunc.gdbm",
        "corrupt/c_badroot.lmdb",
    ] {
        let error = read_file(&path(file)).err().unwrap_or_else(|| panic!("{file} was read"));
        let SasldbError::Damaged { offset, .. } = &error else { panic!("{file}: {error:?}") };
        assert!(*offset <= sample(file).len());
        let text = error.to_string();
        for part in [file, &format!("at byte {offset}: "), "backup"] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn what_is_no_sasldb2_is_said_to_be_something_else() {
    let directory = tempfile::tempdir().unwrap();
    for (content, words) in [
        (b"".as_slice(), "it is empty"),
        (b"alice:secret\n", "neither"),
        (b"SQLite format 3\0 and so on, and so on", "SQLite"),
    ] {
        let file = directory.path().join("db");
        std::fs::File::create(&file).unwrap().write_all(content).unwrap();
        let error = read_file(&file).err().unwrap();
        assert!(matches!(error, SasldbError::Unknown { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let missing = read_file(&directory.path().join("none")).err();
    assert!(matches!(missing, Some(SasldbError::Missing { .. })));
    assert!(matches!(read_file(directory.path()).err(), Some(SasldbError::NotAFile { .. })));
    nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = read_file(&directory.path().join("pipe")).err();
    assert!(matches!(pipe, Some(SasldbError::NotAFile { .. })), "a pipe is not waited at");
}

#[test]
fn a_file_that_may_not_be_read_is_said_to_be_whose() {
    let file = path("berkeley/one_user.db");
    let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let text = SasldbError::from_io(&file, &refused).to_string();
    for part in ["one_user.db", "as uid ", "owner ", "mode 0", "chgrp GROUP "] {
        assert!(text.contains(part), "{text}");
    }
}
