//! saslpasswd2 and sasldblistusers2 as this program plays them.
#![cfg(test)]

mod support;

use std::process::Command;

use support::process::run;
use support::site::{Site, id, program};
use support::user_cases::{CASES, problems};

use saslgate::backend::store::{Access, Store};

fn ours(name: &str) -> Command {
    program(name)
}

#[test]
fn every_case_of_the_table_holds() {
    let wrong: Vec<String> = CASES
        .iter()
        .flat_map(|case| {
            let rule = case.differs.unwrap_or("as the original");
            problems(case, ours)
                .into_iter()
                .map(move |problem| format!("{} ({rule}): {problem}", case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn set(site: &Site, arguments: &[&str], input: &[u8]) -> (Option<i32>, String) {
    let mut command = program("saslpasswd2");
    command.arg("-f").arg(site.path("users.db")).args(arguments);
    let output = run(&mut command, input);
    assert_eq!(output.stdout, "");
    (output.code, output.stderr.clone())
}

#[test]
fn the_password_that_was_piped_is_the_one_that_opens() {
    let site = Site::new();
    let done = (Some(0), String::new());
    assert_eq!(set(&site, &["-cp", "-u", "example.org", "alice"], b"s3cret\n"), done);
    assert!(site.accepts("s3cret"));
    assert_eq!(set(&site, &["-p", "-u", "example.org", "alice"], b"s3cret-2\r\n"), done);
    assert!(site.accepts("s3cret-2\r"), "a carriage return belongs to the password, as before");
    assert_eq!(set(&site, &["-pn", "-u", "example.org", "alice"], b"other"), done);
    assert!(site.accepts("s3cret-2\r"), "-n leaves the password alone");
}

#[test]
fn a_password_is_taken_whole_or_not_at_all() {
    let site = Site::new();
    let long = "x".repeat(8162);
    let arguments = ["-cp", "-u", "example.org", "alice"];
    assert_eq!(set(&site, &arguments, long.as_bytes()).0, Some(0));
    assert!(site.accepts(&long) && !site.accepts(&long[..2048]));
    let (code, stderr) = set(&site, &arguments, "x".repeat(8163).as_bytes());
    assert_eq!(code, Some(7));
    let refusal =
        "saslpasswd2: invalid parameter supplied: the password is longer than 8162 bytes\n";
    assert_eq!(stderr, refusal);
    assert!(site.accepts(&long));
}

#[test]
fn a_name_is_split_where_the_login_splits_it() {
    let site = Site::new();
    assert_eq!(set(&site, &["-cp", "a@b@c.test"], b"s3cret").0, Some(0));
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    assert!(store.find(&id("a@b@c.test")).unwrap().is_some_and(|user| {
        user.identity.user() == "a@b" && user.identity.realm() == "c.test"
    }));
}

#[test]
fn a_user_without_a_password_exists_and_has_no_line() {
    let site = Site::new();
    assert_eq!(set(&site, &["-cpn", "-u", "example.org", "alice"], b"s3cret").0, Some(0));
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    assert!(store.find(&id("alice")).unwrap().is_some_and(|user| !user.has_password()));
    assert!(!site.accepts("s3cret"));
    let listed = run(program("sasldblistusers2").arg(site.path("users.db")), b"");
    assert_eq!((listed.code, listed.stdout.as_str()), (Some(0), ""));
}

#[test]
fn the_first_sasldblistusers_names_the_mechanisms() {
    let site = Site::with_alice("s3cret");
    let listed = run(program("sasldblistusers").arg(site.path("users.db")), b"");
    assert_eq!(
        listed.stdout,
        "user: alice realm: example.org mech: PLAIN\nuser: alice realm: example.org mech: LOGIN\n"
    );
}

#[test]
fn a_sasldb2_is_refused_with_what_to_do_instead() {
    for (sample, format) in
        [("sasldb2-berkeley.db", "Berkeley DB"), ("sasldb2.gdbm", "GDBM"), ("sasldb2.lmdb", "LMDB")]
    {
        let site = Site::new();
        let path = format!("{}/tests/samples/{sample}", env!("CARGO_MANIFEST_DIR"));
        let before = std::fs::read(&path).unwrap();
        std::fs::copy(&path, site.path("users.db")).unwrap();
        let (code, stderr) = set(&site, &["-cp", "alice"], b"s3cret");
        assert_eq!(code, Some(1));
        let expected = format!("is a Cyrus sasldb2 ({format}), which is never written");
        assert!(stderr.contains(&expected), "{stderr}");
        assert!(stderr.contains("leave it as it is, and add its users"), "{stderr}");
        assert_eq!(std::fs::read(site.path("users.db")).unwrap(), before);
    }
}

fn sasldb_sample(name: &str) -> String {
    format!("{}/tests/samples/sasldb/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_users_of_a_sasldb2_are_listed_as_the_original_lists_them() {
    for (sample, list) in [
        ("berkeley/real_saslpasswd2_debian.db", "real"),
        ("gdbm/real_saslpasswd2_head.gdbm", "real"),
        ("lmdb/real_saslpasswd2_head.lmdb", "real"),
        ("berkeley/empty.db", "empty"),
    ] {
        let listed = run(program("sasldblistusers2").arg(sasldb_sample(sample)), b"");
        assert_eq!((listed.code, listed.stderr.as_str()), (Some(0), ""), "{sample}");
        let expected = std::fs::read(sasldb_sample(&format!("expected/{list}.tsv"))).unwrap();
        let expected = String::from_utf8_lossy(&expected).into_owned();
        let mut expected: Vec<String> = expected
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                format!("{}@{}: {}", fields[0], fields[1], fields[2])
            })
            .collect();
        let mut lines: Vec<&str> = listed.stdout.lines().collect();
        lines.sort_unstable();
        expected.sort_unstable();
        assert!(lines == expected, "{sample}");
    }
}

#[test]
fn malformed_keys_of_a_sasldb2_are_counted_and_damage_is_said() {
    // The original goes round for ever at the first malformed key.
    let listed = run(program("sasldblistusers2").arg(sasldb_sample("berkeley/mixed.db")), b"");
    assert_eq!(listed.code, Some(0));
    assert!(listed.stdout.contains("carol@x@dom: userPassword\n"), "{}", listed.stdout);
    assert!(listed.stderr.contains("records left out"), "{}", listed.stderr);
    let damaged = run(program("sasldblistusers2").arg(sasldb_sample("corrupt/c_badinp.db")), b"");
    assert_eq!((damaged.code, damaged.stdout.as_str()), (Some(1), ""));
    assert!(damaged.stderr.starts_with("listusers failed: the sasldb2 "), "{}", damaged.stderr);
    assert!(damaged.stderr.contains("is damaged at byte "), "{}", damaged.stderr);
}

#[test]
fn the_first_sasldblistusers_names_the_mechanisms_of_a_sasldb2() {
    let listed = run(program("sasldblistusers").arg(sasldb_sample("berkeley/one_user.db")), b"");
    assert_eq!(listed.stdout, "user: np realm: dom mech: PLAIN\nuser: np realm: dom mech: LOGIN\n");
}

#[test]
fn both_tell_their_version() {
    for name in ["saslpasswd2", "sasldblistusers2"] {
        let output = run(program(name).arg("-v"), b"");
        assert_eq!(output.code, Some(0));
        let stderr = output.stderr;
        assert!(stderr.starts_with("saslgate ") && stderr.contains(name), "{stderr}");
    }
}
