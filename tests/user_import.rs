//! `saslgate user import` and `export` as administrators meet them.
#![cfg(test)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use saslgate::auth::Answer;
use saslgate::backend::store::{Access, Kind, PasswordStore, Store};
use support::process::{PATIENCE, run, wait_until};
use support::site::{Site, accepts, answer, id};

/// Exit code, standard output, standard error.
fn user(site: &Site, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let output = run(&mut site.user(arguments), input);
    (output.code, output.stdout, output.stderr)
}

fn import(site: &Site, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    user(site, &[&["import"], arguments].concat(), input)
}

fn summary(added: u64, replaced: u64, unchanged: u64, skipped: u64) -> String {
    format!("{added} added, {replaced} replaced, {unchanged} unchanged, {skipped} skipped\n")
}

fn kinds(site: &Site, name: &str) -> Vec<Kind> {
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    store.find(&id(name)).unwrap().unwrap().kinds
}

/// `{SSHA}` of `s3cret` and another salt for each user: cheap to make and to check.
fn hashed_lines(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        // An order that is not that of the tree.
        let number = number * 7919 % count;
        writeln!(text, "user{number}:{HASH}").unwrap();
        text
    })
}

/// `{SSHA}` of `s3cret`.
const HASH: &str = "{SSHA}JVrhyTqab1YvH3vR2b1RYUumqqZzYWx0";

#[test]
fn hashes_come_along_work_and_become_argon2id() {
    let site = Site::new();
    let file = site.path("passwd");
    fs::write(&file, format!("alice:{HASH}\nbob:*\n")).unwrap();
    let file = file.to_str().unwrap();
    let (code, stdout, stderr) = import(&site, &["--passwd-file", file], b"");
    assert_eq!((code, stdout), (Some(0), summary(1, 0, 0, 1)), "{stderr}");
    assert_eq!(stderr, "line 2: bob: it is locked\n");
    assert_eq!(kinds(&site, "alice"), [Kind::Crypt]);
    // A second run changes nothing, and says so.
    assert_eq!(import(&site, &["--passwd-file", file], b"").1, summary(0, 0, 1, 1));
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    assert!(!accepts(&daemon, "alice", "wrong"));
    assert!(accepts(&daemon, "alice", "s3cret"));
    drop(daemon);
    assert_eq!(kinds(&site, "alice"), [Kind::Argon2id]);
    // By now it is another hash: left alone, unless it is asked for.
    let (_, stdout, stderr) = import(&site, &["--passwd-file", file], b"");
    assert_eq!(stdout, summary(0, 0, 0, 2));
    assert!(stderr.contains("line 1: alice: is in the store already; --overwrite"), "{stderr}");
    assert_eq!(import(&site, &["--passwd-file", file, "--overwrite"], b"").1, summary(0, 1, 0, 1));
    assert_eq!(kinds(&site, "alice"), [Kind::Crypt]);
}

#[test]
fn clear_text_becomes_argon2id_and_a_second_run_hashes_nothing_anew() {
    let site = Site::new();
    let table =
        b"user,realm,password,state\nalice,,s3cret,\nbob,other.test,s3cret-2,locked\n,,x,\n";
    let (code, stdout, stderr) = import(&site, &["--csv", "-"], table);
    assert_eq!((code, stdout), (Some(0), summary(2, 0, 0, 1)), "{stderr}");
    assert_eq!(stderr, "line 4: the user name is empty\n");
    assert!(!stderr.contains("s3cret"));
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    assert!(accepts(&daemon, "alice", "s3cret") && !accepts(&daemon, "bob@other.test", "s3cret-2"));
    drop(daemon);
    let exported = user(&site, &["export", "--with-hashes"], b"").1;
    let again = import(&site, &["--csv", "-", "--overwrite"], table).1;
    assert_eq!(again, summary(0, 0, 2, 1), "the passwords are the same");
    assert_eq!(import(&site, &["--csv", "-"], table).1, summary(0, 0, 0, 3));
    assert_eq!(hashes(&user(&site, &["export", "--with-hashes"], b"").1), hashes(&exported));
}

/// An export without the dates of use.
fn hashes(export: &str) -> Vec<(String, serde_json::Value)> {
    let lines = export.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .map(|line: serde_json::Value| (line["user"].to_string(), line["credentials"].clone()))
        .collect()
}

#[test]
fn a_dry_run_writes_nothing_not_even_a_store() {
    let site = Site::new();
    let lines = format!("alice:{HASH}\n");
    let arguments = ["--htpasswd", "-", "--dry-run"];
    let (code, stdout, _) = import(&site, &arguments, lines.as_bytes());
    assert_eq!(code, Some(0));
    assert_eq!(
        stdout,
        "1 added, 0 replaced, 0 unchanged, 0 skipped (dry run: nothing was written)\n"
    );
    assert!(!site.path("users.db").exists());
    let site = Site::with_alice("other");
    import(&site, &["--htpasswd", "-", "--dry-run", "--overwrite"], lines.as_bytes());
    assert!(site.accepts("other"));
}

#[test]
fn an_export_moves_everything_to_another_host() {
    let site = Site::with_alice("s3cret");
    user(&site, &["add", "bob"], b"s3cret-2");
    user(&site, &["lock", "bob"], b"");
    let (_, app, _) =
        user(&site, &["app-password", "add", "alice", "phone", "--service", "smtp"], b"");
    let (_, export, _) = user(&site, &["export", "--with-hashes"], b"");
    let other = Site::new();
    let (code, stdout, stderr) = import(&other, &["--json-lines", "-"], export.as_bytes());
    assert_eq!((code, stdout), (Some(0), summary(2, 0, 0, 0)), "{stderr}");
    assert_eq!(user(&other, &["export", "--with-hashes"], b"").1, export);
    assert_eq!(import(&other, &["--json-lines", "-"], export.as_bytes()).1, summary(0, 0, 2, 0));
    let daemon = PasswordStore::start(&other.settings()).unwrap();
    assert!(accepts(&daemon, "alice", "s3cret") && accepts(&daemon, "alice", app.trim()));
    assert!(!accepts(&daemon, "bob", "s3cret-2"), "locked there, locked here");
    // Without hashes it is for reading.
    let (_, names, _) = user(&site, &["export"], b"");
    assert!(!names.contains('$') && !names.contains("sha-256:"), "{names}");
    let (_, stdout, stderr) = import(&Site::new(), &["--json-lines", "-"], names.as_bytes());
    assert_eq!(stdout, summary(0, 0, 0, 2));
    assert!(stderr.contains("export with --with-hashes"), "{stderr}");
}

#[test]
fn a_sasldb2_comes_along() {
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/sasldb");
    for sample in [
        "berkeley/real_saslpasswd2_debian.db",
        "gdbm/real_saslpasswd2_head.gdbm",
        "lmdb/real_saslpasswd2_head.lmdb",
    ] {
        let site = Site::new();
        let file = samples.join(sample);
        let (code, stdout, stderr) = import(&site, &["--sasldb", file.to_str().unwrap()], b"");
        assert_eq!(code, Some(0), "{sample}: {stderr}");
        let daemon = PasswordStore::start(&site.settings()).unwrap();
        assert!(accepts(&daemon, "UPPER@example.com", "UPPERpw"), "{sample}: {stdout}{stderr}");
        assert!(!accepts(&daemon, "UPPER@example.com", "upperpw"));
        let store = Store::open(&site.settings(), Access::Existing).unwrap();
        assert!(store.list().all(|user| user.unwrap().kinds == [Kind::Argon2id]));
    }
    let site = Site::new();
    let damaged = samples.join("corrupt/c_trunc.db");
    let (code, _, stderr) = import(&site, &["--sasldb", damaged.to_str().unwrap()], b"");
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("c_trunc.db"), "{stderr}");
}

#[test]
fn what_cannot_be_read_has_an_exit_code_of_its_own() {
    let site = Site::new();
    for (arguments, code, expected) in [
        (&["--shadow", "/nowhere/shadow"][..], 66, "/nowhere/shadow"),
        (&["--sasldb", "/dev/null"], 65, "/dev/null"),
        (&["--csv", "-"], 65, "the first line names the columns"),
        (&[], 2, "--sasldb"),
        (&["--csv", "-", "--shadow", "-"], 2, "cannot be used with"),
    ] {
        let (found, _, stderr) = import(&site, arguments, b"alice,hunter2\n");
        assert_eq!(found, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected) && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[test]
fn the_report_for_programs_names_everybody_who_was_skipped() {
    let site = Site::new();
    let lines = format!("alice:{HASH}\n{}", "x:*\n".repeat(80));
    let (_, stdout, stderr) = import(&site, &["--passwd-file", "-", "--json"], lines.as_bytes());
    assert_eq!(stderr, "");
    let told: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 81);
    assert_eq!(told[0]["skipped"], "x");
    assert_eq!((&told[0]["place"], &told[0]["reason"]), (&2.into(), &"it is locked".into()));
    assert_eq!((&told[80]["added"], &told[80]["skipped"]), (&1.into(), &80.into()));
    assert_eq!(told[80]["complete"], true);
    let (_, _, stderr) = import(&site, &["--passwd-file", "-"], lines.as_bytes());
    assert_eq!(stderr.lines().count(), 51, "{stderr}");
    assert!(stderr.ends_with("... and 30 more were skipped; --json names all of them\n"));
}

/// Killed wherever it is, an import leaves whole users, and the next one does the rest.
#[test]
fn kill_9_leaves_whole_users_and_a_second_run_completes() {
    const USERS: usize = 60_000;
    let site = Site::new();
    let file = site.path("many");
    fs::write(&file, hashed_lines(USERS)).unwrap();
    let file = file.to_str().unwrap();
    let mut child = site
        .user(&["import", "--passwd-file", file])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once the first batch is in the file.
    let database = site.path("users.db");
    let has_begun =
        || fs::metadata(&database).is_ok_and(|meta| meta.len() > 1 << 20) || has_ended(&mut child);
    assert!(wait_until(PATIENCE, has_begun));
    child.kill().unwrap();
    child.wait().unwrap();
    let count = || {
        let store = Store::open(&site.settings(), Access::Existing).unwrap();
        store.list().map(|user| assert!(user.unwrap().has_password())).count()
    };
    let left = count();
    assert!(left > 0);
    let (code, stdout, stderr) = import(&site, &["--passwd-file", file], b"");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, summary((USERS - left) as u64, 0, left as u64, 0));
    assert_eq!(count(), USERS);
    assert_eq!(import(&site, &["--passwd-file", file], b"").1, summary(0, 0, USERS as u64, 0));
}

fn has_ended(child: &mut std::process::Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// A disk that is full in the middle: said so, and what was written is whole.
#[test]
fn a_full_disk_ends_an_import_with_whole_users() {
    let site = Site::new();
    let file = site.path("many");
    fs::write(&file, hashed_lines(60_000)).unwrap();
    // A file size limit is a disk of our own that needs no root.
    let command = site.user(&["import", "--passwd-file", file.to_str().unwrap()]);
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 6000; exec \"$@\"", "sh"]).args(words);
    let output = run(&mut limited, b"");
    assert_eq!(output.code, Some(74), "{}", output.stderr);
    assert!(output.stderr.contains("password store"), "{}", output.stderr);
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    assert!(store.list().all(|user| user.unwrap().has_password()));
}

// --- hashes of the programs themselves, where they are installed

/// The line of `program`, or `None` if it is not there.
fn line_of(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap().lines().next()?.to_owned();
    output.status.success().then_some(line)
}

#[test]
fn hashes_of_htpasswd_mkpasswd_and_doveadm_open() {
    let mut lines = Vec::new();
    for flag in ["-B", "-m", "-s", "-2", "-5"] {
        if let Some(line) = line_of("htpasswd", &["-n", "-i", flag, "x"], "s3cret\n") {
            lines.push(line.split_once(':').unwrap().1.to_owned());
        }
    }
    for method in ["yescrypt", "sha512crypt", "sha256crypt", "md5crypt", "bcrypt"] {
        lines.extend(line_of("mkpasswd", &["-s", "-m", method], "s3cret\n"));
    }
    for scheme in ["SSHA512", "SHA512-CRYPT", "BLF-CRYPT", "SSHA256.HEX", "ARGON2ID", "SMD5"] {
        lines.extend(line_of("doveadm", &["pw", "-s", scheme, "-p", "s3cret"], ""));
    }
    let site = Site::new();
    let file: String =
        lines.iter().enumerate().map(|(number, hash)| format!("u{number}:{hash}\n")).collect();
    let (_, stdout, stderr) = import(&site, &["--passwd-file", "-"], file.as_bytes());
    assert_eq!(stdout, summary(lines.len() as u64, 0, 0, 0), "{stderr}");
    if lines.is_empty() {
        return;
    }
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    for (number, hash) in lines.iter().enumerate() {
        assert!(!accepts(&daemon, &format!("u{number}"), "wrong"), "{hash}");
        assert!(accepts(&daemon, &format!("u{number}"), "s3cret"), "{hash}");
    }
}

/// Clear text takes its time, and the daemon goes on meanwhile.
#[test]
fn kill_9_among_passwords_in_clear_text_leaves_whole_users_and_a_daemon_that_answers() {
    const USERS: usize = 3_000;
    let site = Site::with_alice("s3cret");
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    let mut table = "user,password\n".to_owned();
    for number in 0..USERS {
        writeln!(table, "user{number},pass-{number}").unwrap();
    }
    let file = site.path("table.csv");
    fs::write(&file, &table).unwrap();
    let file = file.to_str().unwrap();
    let mut child = site
        .user(&["import", "--csv", file])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = wait_until(PATIENCE, || {
        assert!(accepts(&daemon, "alice", "s3cret"));
        matches!(answer(&daemon, "user0", "pass-0"), Answer::Accepted(_)) || has_ended(&mut child)
    });
    assert!(begun);
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, _, stderr) = import(&site, &["--csv", file], b"");
    assert_eq!(code, Some(0), "{stderr}");
    for number in [0, 255, 256, USERS - 1] {
        assert!(accepts(&daemon, &format!("user{number}"), &format!("pass-{number}")));
    }
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    assert_eq!(
        store.list().filter(|user| user.as_ref().unwrap().has_password()).count(),
        USERS + 1
    );
}
