//! Handover tokens on authd's sockets: who gets one, where it is good, and that
//! it is good once. `tests/gate_identity.rs` has the gate and sendmail around it.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{
    Kind, PASSWORD, REALM, Subject, USER, WRONG, counted, read_reply, request,
};

const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";

/// An authd with this `[authd.handover]`, where US is the account of this test and
/// DIR the directory of the subject.
fn start(sections: &str) -> Subject {
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let dir = subject.dir().display().to_string();
    let us = nix::unistd::geteuid().to_string();
    let text = fs::read_to_string(subject.config()).unwrap();
    let sections = sections.replace("DIR", &dir).replace("US", &us);
    fs::write(subject.config(), format!("{text}\n{sections}")).unwrap();
    subject.restart();
    subject
}

fn ask(subject: &Subject, socket: &str, fields: &[&str; 4], fifth: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(subject.dir().join(socket)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = request(fields);
    if !fifth.is_empty() {
        bytes.extend(counted(fifth.as_bytes()));
    }
    stream.write_all(&bytes).unwrap();
    read_reply(&mut stream)
}

/// The reply to a gate's request for a token.
fn log_in(subject: &Subject, password: &str) -> Vec<u8> {
    ask(subject, "mux", &[USER, password, "smtp", REALM], "192.0.2.7;50000;handover")
}

fn token(reply: &[u8]) -> String {
    let text = std::str::from_utf8(&reply[2..]).unwrap();
    let token = text.strip_prefix("OK handover=").unwrap_or_else(|| panic!("no token: {text}"));
    assert_eq!(usize::from(reply[1]), text.len());
    token.to_owned()
}

/// The mail server's question.
fn redeem(subject: &Subject, socket: &str, user: &str, token: &str) -> Vec<u8> {
    ask(subject, socket, &[user, token, "smtp", REALM], "")
}

const EVERYBODY: &str = "[authd.handover]\ngates = [\"US\"]\nmail_servers = [\"US\"]\n";

#[test]
fn a_token_comes_with_the_ok_and_is_good_once() {
    let subject = start(EVERYBODY);
    let first = token(&log_in(&subject, PASSWORD));
    let second = token(&log_in(&subject, PASSWORD));
    assert_ne!(first, second);
    assert_eq!(redeem(&subject, "mux", USER, &first), OK);
    assert_eq!(redeem(&subject, "mux", USER, &first), NO);
    subject.wait_for_log("[code=token-refused]");
    subject.wait_for_log("[detail=the handover token was used before: a replay]");
    assert_eq!(redeem(&subject, "mux", "bob", &second), NO, "somebody else's");
    assert_eq!(redeem(&subject, "mux", USER, &second), NO, "spent on that");
    subject.wait_for_log("[detail=the handover token is for another user]");
    let log = subject.log();
    assert!(!log.contains(&first) && !log.contains(&second) && !log.contains(PASSWORD), "{log}");
}

#[test]
fn nobody_gets_a_token_who_did_not_log_in_or_did_not_ask() {
    let subject = start(EVERYBODY);
    assert_eq!(log_in(&subject, WRONG), NO);
    for fifth in ["", "192.0.2.7;50000", "192.0.2.7;50000;handover;more"] {
        assert_eq!(ask(&subject, "mux", &[USER, PASSWORD, "smtp", REALM], fifth), OK, "{fifth}");
    }
    // Nor for a token.
    let once = token(&log_in(&subject, PASSWORD));
    assert_eq!(log_in(&subject, &once), OK);
}

#[test]
fn the_uid_of_the_gate_and_of_the_mail_server_decide() {
    let stranger = nix::unistd::geteuid().as_raw() + 1;
    let subject = start(&format!("[authd.handover]\ngates = [\"{stranger}\"]\n"));
    assert_eq!(log_in(&subject, PASSWORD), OK, "no token for another's process");
    let subject =
        start(&format!("[authd.handover]\ngates = [\"US\"]\nmail_servers = [\"{stranger}\"]\n"));
    let token = token(&log_in(&subject, PASSWORD));
    assert_eq!(redeem(&subject, "mux", USER, &token), NO);
    subject.wait_for_log("or at a socket, that may not redeem one");
    // Without the section there are none.
    assert_eq!(log_in(&start(""), PASSWORD), OK);
}

#[test]
fn a_token_is_good_at_the_sockets_that_are_named() {
    let subject = start(
        "[[authd.listener]]\nname = \"sendmail\"\nsocket = \"DIR/sendmail.mux\"\n\
         [authd.handover]\ngates = [\"US\"]\nmail_servers = [\"US\"]\nsockets = [\"sendmail\"]\n",
    );
    let token = token(&log_in(&subject, PASSWORD));
    assert_eq!(redeem(&subject, "mux", USER, &token), NO);
    assert_eq!(redeem(&subject, "sendmail.mux", USER, &token), OK, "it was not spent");
}

#[test]
fn a_token_survives_a_reload_and_not_its_time() {
    let subject = start(&format!("{EVERYBODY}lifetime = \"1s\"\n"));
    let short = token(&log_in(&subject, PASSWORD));
    let text = fs::read_to_string(subject.config()).unwrap();
    fs::write(subject.config(), text.replace("\"1s\"", "\"60s\"")).unwrap();
    subject.signal(Signal::SIGHUP);
    subject.wait_for_log("reloaded");
    let long = token(&log_in(&subject, PASSWORD));
    let is_over = || {
        redeem(&subject, "mux", USER, &short);
        subject.log().contains("was never issued, or its time is over")
    };
    assert!(wait_until(PATIENCE, is_over), "{}", subject.log());
    let text = fs::read_to_string(subject.config()).unwrap();
    fs::write(subject.config(), text.replace("\"60s\"", "\"30s\"")).unwrap();
    subject.signal(Signal::SIGHUP);
    let is_done = || subject.log().matches("reloaded").count() == 2;
    assert!(wait_until(PATIENCE, is_done), "{}", subject.log());
    assert_eq!(redeem(&subject, "mux", USER, &long), OK);
}
