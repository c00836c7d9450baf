//! What `saslgate try` prints for pasting works when it is pasted; a real MTA
//! behind it gets the message.
#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::gate::{SASLGATE, Service};
use support::process::run;
use support::sendmail::{Options, Sendmail};

fn shell(line: &str) -> support::process::Finished {
    run(Command::new("sh").args(["-c", line]), b"")
}

/// The printed line that uses `program`.
fn printed<'a>(log: &'a str, program: &str) -> &'a str {
    let is_it = |line: &&str| {
        let is_pipe = line.starts_with("printf ") && line.contains(&format!("| {program} "));
        line.starts_with(&format!("{program} ")) || is_pipe
    };
    log.lines().find(is_it).unwrap_or_else(|| panic!("no line for {program} in:\n{log}"))
}

fn messages(state: &Path) -> usize {
    fs::read_dir(state.join("Maildir/new")).unwrap().count()
}

/// Runs the printed lines against `saslgate try --dir STATE ARGUMENTS`.
fn paste_all(arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("a state");
    let mut command = Command::new(SASLGATE);
    command.arg("try").arg("--dir").arg(&state).args(arguments);
    let mut running = Service::spawn(&mut command, dir.path().join("log"));
    running.wait_for_log("Serving until Ctrl-C.");
    let log = running.log();
    assert_eq!(messages(&state), 1);
    shell(printed(&log, "swaks")).expect_success();
    assert_eq!(messages(&state), 2, "swaks");
    shell(printed(&log, "curl")).expect_success();
    assert_eq!(messages(&state), 3, "curl");
    let answer = shell(printed(&log, "testsaslauthd")).expect_success();
    assert!(answer.stdout.contains("0: OK \"Success.\""), "{}", answer.stdout);
    // The same line with another password is refused, so it did check one.
    let wrong = printed(&log, "testsaslauthd").replace(" -p ", " -p x");
    assert!(shell(&wrong).stdout.contains("0: NO"));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn the_printed_lines_work() {
    paste_all(&[]);
}

#[test]
fn the_printed_lines_work_for_users_with_difficult_names() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, "o'neil $x:it's \"a\" pa%ss \\word:example.org\n").unwrap();
    paste_all(&["--users", users.to_str().unwrap()]);
}

#[test]
fn a_real_sendmail_as_backend_gets_the_message() {
    let sendmail = Sendmail::start(&Options::default());
    let backend = sendmail.address().to_string();
    let mut command = Command::new(SASLGATE);
    command.args(["try", "--once", "--backend", &backend]);
    let finished = run(&mut command, b"").expect_success();
    assert!(finished.stdout.contains(&format!("{backend} took the message: 250 2.0.0 ")));
    let mails = sendmail.mails();
    assert_eq!(mails.len(), 1);
    // It calls itself that.
    assert_eq!(mails[0].recipients, ["postmaster@mx.gate.test"]);
    // sendmail's own trace line above the gate's.
    let received = mails[0].received();
    assert_eq!(received.len(), 2, "{received:?}");
    assert!(received[1].contains("with ESMTPSA"), "{received:?}");
    let text = String::from_utf8(mails[0].as_sent()).unwrap();
    assert!(text.contains("\r\nSubject: saslgate try\r\n\r\nThis message came"), "{text}");
}
