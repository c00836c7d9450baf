//! `saslgate try` as a program: sets up, delivers, serves, cleans up.
#![cfg(test)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use support::gate::{SASLGATE, Service};
use support::process::{Finished, free_port, run};

fn try_once(arguments: &[&str]) -> Finished {
    run(Command::new(SASLGATE).arg("try").args(arguments).arg("--once"), b"")
}

/// Starts `saslgate try ARGUMENTS` and waits until it serves.
fn serve(log: &Path, arguments: &[&str], ready: &str) -> Service {
    let mut command = Command::new(SASLGATE);
    command.arg("try").args(arguments);
    let mut running = Service::spawn(&mut command, log.to_owned());
    running.wait_for_log(ready);
    running
}

#[test]
fn once_delivers_a_message_and_shows_how() {
    let finished = try_once(&[]).expect_success();
    for wanted in [
        "<<< STARTTLS\n>>> 220 ",
        "=== STARTTLS is offered, AUTH is not",
        "=== TLS: TLSv1.3, TLS_",
        "<<< AUTH PLAIN ********\n>>> 235 ",
        "<<< MAIL FROM:<demo@localhost>\n>>> 250 ",
        ">>> 354 ",
        "Message accepted for delivery\n",
        "| Return-Path: <demo@localhost>\n| Delivered-To: demo@localhost\n| Received: ",
        "| Subject: saslgate try\n",
    ] {
        assert!(finished.stdout.contains(wanted), "no {wanted:?} in:\n{}", finished.stdout);
    }
    for wanted in ["STARTTLS=server, relay=", "AUTH=server, relay=", "outcome=accepted"] {
        assert!(finished.stderr.contains(wanted), "no {wanted:?} in:\n{}", finished.stderr);
    }
    let place = finished.stdout.lines().next().unwrap().split(" in ").last().unwrap();
    assert!(!Path::new(place).exists(), "{place} is still there");
}

#[test]
fn no_password_is_shown_or_logged() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, "alice:Tr0ub4dor-and-3\nbob:other:example.org\n").unwrap();
    let state = dir.path().join("state");
    let finished =
        try_once(&["--users", users.to_str().unwrap(), "--dir", state.to_str().unwrap()])
            .expect_success();
    assert!(finished.stdout.contains("<<< MAIL FROM:<alice@localhost>"));
    // As text, and as the base64 of AUTH PLAIN (NUL alice NUL password).
    for secret in ["Tr0ub4dor-and-3", "AGFsaWNlAFRyMHViNGRvci1hbmQtMw"] {
        assert!(!finished.stdout.contains(secret) && !finished.stderr.contains(secret));
        let store = fs::read(state.join("users.db")).unwrap();
        assert!(!store.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()));
    }
}

#[test]
fn a_named_directory_stays_and_is_private_and_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let named = ["--dir", state.to_str().unwrap(), "--quiet"];
    let first = try_once(&named).expect_success();
    assert_eq!((first.stdout.as_str(), first.stderr.as_str()), ("", ""));
    let mode = |name: &str| fs::metadata(state.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    assert_eq!(mode("key.pem"), 0o600);
    assert_eq!(mode("users.db"), 0o600);
    let certificate = fs::read(state.join("cert.pem")).unwrap();
    try_once(&named).expect_success();
    assert_eq!(fs::read(state.join("cert.pem")).unwrap(), certificate, "clients know it");
    assert_eq!(fs::read_dir(state.join("Maildir/new")).unwrap().count(), 2);
    let config = state.join("saslgate.toml");
    run(Command::new(SASLGATE).arg("check").arg("--config").arg(config), b"").expect_success();
}

#[test]
fn a_backend_that_is_down_is_exit_code_1_and_a_reason() {
    let backend = format!("127.0.0.1:{}", free_port());
    let finished = try_once(&["--backend", &backend, "--quiet"]);
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("the message was not accepted"), "{}", finished.stderr);
    assert!(finished.stderr.contains("answered MAIL with: 4"), "{}", finished.stderr);
}

#[test]
fn wrong_options_say_what_is_wrong_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, "alice:ok\nbob\n").unwrap();
    let says = |arguments: &[&str], wanted: &str| {
        let finished = try_once(arguments);
        assert_eq!(finished.code, Some(1));
        assert!(finished.stderr.contains(wanted), "no {wanted:?} in:\n{}", finished.stderr);
    };
    says(&["--users", users.to_str().unwrap()], "users:2: expected \"user:password\"");
    says(&["--users", "/nonexistent/users"], "cannot read the users file /nonexistent/users");
    says(&["--backend", "nowhere"], "address");
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap().to_string();
    says(&["--listen", &taken], &format!("cannot listen on {taken}"));
    drop(held);
}

#[test]
fn serves_on_the_ports_named_until_a_signal_and_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (free_port(), free_port());
        let (one, two) = (format!("127.0.0.1:{one}"), format!("127.0.0.1:{two}"));
        let arguments = ["--quiet", "--listen", &one, "--listen-implicit", &two];
        let log = dir.path().join("log");
        let mut running = serve(&log, &arguments, "ready ");
        let line = running.log();
        assert!(
            line.starts_with(&format!("ready starttls={one} implicit={two} socket=/")),
            "{line}"
        );
        let place = line.trim_end().rsplit_once("dir=").unwrap().1;
        assert!(Path::new(place).join("mux").exists());
        running.signal(signal);
        assert_eq!(running.wait(), Some(0), "{signal}");
        assert!(!Path::new(place).exists(), "{place} is still there after {signal}");
        assert_eq!(running.log(), line, "nothing else is printed");
    }
}

#[test]
fn a_configuration_that_would_be_ignored_is_refused() {
    let finished = try_once(&["--config", "/etc/saslgate/saslgate.toml"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""));
    assert!(finished.stderr.contains("leave --config out"), "{}", finished.stderr);
}
