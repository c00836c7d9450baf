//! App passwords, generated passwords and the policy, as administrators and
//! scripts meet them.
#![cfg(test)]

mod support;

use std::fs;

use saslgate::auth::{Accepted, Answer};
use saslgate::backend::store::PasswordStore;
use support::process::run;
use support::site::{Site, accepts, answer};

/// Runs `saslgate user ARGUMENTS`: exit code, standard output, standard error.
fn user(site: &Site, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let output = run(&mut site.user(arguments), input.as_bytes());
    (output.code, output.stdout, output.stderr)
}

fn app(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    user(site, &[&["app-password"], arguments].concat(), "")
}

/// Adds settings to `[store]`.
fn configure(site: &Site, settings: &str) {
    let path = site.path("saslgate.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("[store]\n", &format!("[store]\n{settings}\n"), 1)).unwrap();
}

#[test]
fn an_app_password_is_shown_once_works_is_listed_and_is_revoked() {
    let site = Site::with_alice("s3cret");
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    let (code, stdout, stderr) = app(&site, &["add", "alice", "Alice's phone"]);
    assert_eq!(code, Some(0), "{stderr}");
    let password = stdout.strip_suffix('\n').unwrap();
    assert_eq!(password.len(), 34, "standard output is the password and nothing else");
    assert!(stderr.contains("only time") && stderr.contains("\"Alice's phone\""), "{stderr}");
    assert!(!stderr.contains(password));
    match answer(&daemon, "alice", password) {
        Answer::Accepted(Accepted { label: Some(label), .. }) => {
            assert_eq!(&*label, "Alice's phone");
        }
        other => panic!("{other:?}"),
    }
    assert!(accepts(&daemon, "alice", "s3cret"));
    let (_, table, _) = app(&site, &["list", "alice"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("LABEL          SERVICES  EXPIRES  CREATED"), "{table}");
    assert!(lines[1].starts_with("Alice's phone  all       never    20"), "{table}");
    assert!(!table.contains(password));
    assert_eq!(
        app(&site, &["revoke", "alice", "Alice's phone"]),
        (
            Some(0),
            "app password \"Alice's phone\" of alice@example.org revoked\n".into(),
            "".into()
        )
    );
    assert!(!accepts(&daemon, "alice", password), "from the very next request on");
    assert!(accepts(&daemon, "alice", "s3cret"));
}

#[test]
fn scope_and_end_are_kept_and_listed_for_programs() {
    let site = Site::with_alice("s3cret");
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    let arguments = ["add", "alice", "laptop", "--service", "imap", "--service", "SIEVE"];
    let (_, imap, _) = app(&site, &[&arguments[..], &["--expires", "90d"]].concat());
    let (_, smtp, _) = app(&site, &["add", "alice", "printer", "--service", "smtp"]);
    // The harness asks for the service smtp.
    assert!(accepts(&daemon, "alice", smtp.trim()));
    assert!(!accepts(&daemon, "alice", imap.trim()));
    let (_, json, _) = app(&site, &["list", "alice", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(list[0]["label"], "laptop");
    assert_eq!(list[0]["services"], serde_json::json!(["imap", "sieve"]));
    assert!(list[0]["expires"].as_str().unwrap().ends_with('Z'));
    assert_eq!(list[1]["expires"], serde_json::Value::Null);
    let (_, users, _) = user(&site, &["list"], "");
    assert!(users.contains("  app-password argon2id  "), "{users}");
}

#[test]
fn refusals_say_what_to_do_and_change_nothing() {
    let site = Site::with_alice("s3cret");
    app(&site, &["add", "alice", "phone"]);
    for (arguments, code, expected) in [
        (&["add", "alice", "phone"][..], 1, "already has an app password \"phone\""),
        (&["add", "bob", "phone"], 1, "bob@example.org does not exist"),
        (&["add", "alice", ""], 1, "is no label"),
        (&["add", "alice", "x", "--service", "a b"], 1, "is no service"),
        (&["add", "alice", "x", "--expires", "2001-01-01"], 2, "it lies in the past"),
        (&["add", "alice", "x", "--expires", "soon"], 2, "a time such as 12h, 90d or 4w"),
        (&["revoke", "alice", "fax"], 1, "saslgate user app-password list alice@example.org"),
        (&["list", "bob"], 1, "bob@example.org does not exist"),
    ] {
        let (found, stdout, stderr) = app(&site, arguments);
        assert_eq!((found, stdout.as_str()), (Some(code), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    assert_eq!(app(&site, &["list", "alice"]).1.lines().count(), 2);
}

// --- generated passwords and the policy

#[test]
fn a_generated_password_is_all_of_standard_output_and_passes_the_strictest_policy() {
    let site = Site::new();
    configure(&site, "min_length = 20\nmin_score = 4");
    let (code, stdout, stderr) = user(&site, &["add", "alice", "--generate"], "");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stderr, "alice@example.org added: 80 random bits, shown this once\n");
    assert!(site.accepts(stdout.trim_end()));
    let (_, second, stderr) = user(&site, &["passwd", "alice", "--generate"], "");
    assert!(stderr.starts_with("alice@example.org has a new password: 80 random bits"));
    assert!(site.accepts(second.trim_end()) && !site.accepts(stdout.trim_end()));
}

#[test]
fn a_weak_password_is_refused_with_the_reason_and_nothing_changes() {
    let site = Site::with_alice("s3cret");
    configure(&site, "min_length = 8\nmin_score = 3");
    for (arguments, password, expected) in [
        (["add", "bob"], "zx8!q", "it has 5 characters, and store.min_length asks for 8"),
        (["add", "bob"], "password1", "of 4, and store.min_score asks for 3: "),
        (["passwd", "alice"], "alice@example.org", "store.min_score asks for 3"),
    ] {
        let (code, stdout, stderr) = user(&site, &arguments, password);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.starts_with("saslgate: the password is too weak: "), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
    assert!(site.accepts("s3cret"), "what is in use stays good");
    assert_eq!(user(&site, &["show", "bob"], "").0, Some(1));
    let (code, ..) = user(&site, &["passwd", "alice"], "sunken-otter-veranda-quilts");
    assert_eq!(code, Some(0));
}
