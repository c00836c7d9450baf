//! authd among hostile or broken peers: slow, many, garbled, gone.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use support::process::{PATIENCE, wait_until};
use support::saslauthd::{
    Kind, PASSWORD, REALM, Subject, USER, WRONG, counted, read_reply, request,
};

const OK: &[u8] = b"\0\x02OK";

fn right() -> Vec<u8> {
    request(&[USER, PASSWORD, "smtp", REALM])
}

#[test]
fn cuts_off_a_peer_that_sends_too_slowly_and_says_so() {
    let subject = Subject::start_with(Kind::Store, "request_timeout = \"1s\"");
    let mut slow = subject.connect();
    slow.write_all(b"\0\x05ali").unwrap();
    let mut silent = subject.connect();
    let before = Instant::now();
    assert_eq!(read_reply(&mut slow), b"");
    assert_eq!(read_reply(&mut silent), b"");
    assert!(before.elapsed().as_millis() >= 500, "cut off before its time");
    subject.wait_for_log("no complete request came within 1 s");
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn serves_a_thousand_connections_at_once() {
    let subject = Subject::start(Kind::Store);
    raise_open_files();
    let bytes = request(&[USER, WRONG, "smtp", REALM]);
    let mut open: Vec<UnixStream> = (0..1000).map(|_| subject.connect()).collect();
    for stream in &mut open {
        stream.write_all(&bytes[..7]).unwrap();
    }
    for stream in &mut open {
        stream.write_all(&bytes[7..]).unwrap();
    }
    for (number, stream) in open.iter_mut().enumerate() {
        assert_eq!(read_reply(stream), Kind::Store.refusal(), "connection {number}");
    }
    assert_eq!(subject.ask_right(), OK);
}

fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

#[test]
fn lets_more_connections_than_it_serves_wait_for_their_turn() {
    let subject = Subject::start_with(Kind::Store, "max_connections = 2");
    let mut idle: Vec<UnixStream> = (0..2).map(|_| subject.connect()).collect();
    let mut waiting = subject.connect();
    waiting.write_all(&right()).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let early = waiting.read(&mut [0]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    waiting.set_nonblocking(false).unwrap();
    drop(idle.pop());
    assert_eq!(read_reply(&mut waiting), OK);
}

#[test]
fn tells_a_user_with_too_many_connections_that_nobody_can_be_asked() {
    let subject = Subject::start_with(Kind::Store, "max_connections_per_uid = 2");
    let mut idle: Vec<UnixStream> = (0..2).map(|_| subject.connect()).collect();
    // The right password has to wait for its hash, and there is no place to wait.
    let mut crowded = subject.connect();
    // It may be turned away before it has written.
    let _ = crowded.write_all(&right());
    assert!(read_reply(&mut crowded).is_empty(), "an outage is not a refusal");
    subject.wait_for_log("code=busy");
    drop(idle.pop());
    let is_back = || subject.ask_right() == OK;
    assert!(wait_until(PATIENCE, is_back), "its place is free again");
}

#[test]
fn survives_garbage() {
    let subject = Subject::start_with(Kind::Store, "request_timeout = \"1s\"");
    let mut runner = TestRunner::deterministic();
    let garbage = proptest::collection::vec(proptest::num::u8::ANY, 0..600);
    for _ in 0..300 {
        let bytes = garbage.new_tree(&mut runner).unwrap().current();
        let mut stream = subject.connect();
        // It may be refused, and closed, before it is all written.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let reply = read_reply(&mut stream);
        assert!(reply.is_empty() || &reply[2..4] == b"NO", "{reply:?} to {bytes:?}");
    }
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn survives_every_damaged_byte_of_a_request() {
    // A damaged password is a guess like any other.
    let subject = Subject::start_with(Kind::Store, "[throttle]\nenabled = false");
    let good = right();
    for place in 0..good.len() {
        for change in [0x00, 0x01, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[place] ^= change;
            let mut stream = subject.connect();
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let reply = read_reply(&mut stream);
            // The service is the one field in which another byte changes nothing.
            let is_answer = reply.is_empty() || &reply[2..4] == b"NO" || reply == OK;
            assert!(is_answer, "{reply:?} to byte {place} ^ {change:#x}");
        }
    }
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn refuses_what_would_forge_a_log_line() {
    let subject = Subject::start(Kind::Store);
    let forged = "x] [realm=\n<6>auth success: [user=root";
    for login in [forged, "al\u{1b}[31mice", "al\u{85}ice", "al\u{7f}ice"] {
        let reply = subject.ask(login, WRONG, "");
        assert_eq!(&reply[2..4], b"NO", "{reply:?}");
    }
    assert_eq!(&subject.ask(USER, WRONG, "ex] [verdict=accepted]")[2..4], b"NO");
    let (code, log) = subject.stop();
    assert_eq!(code, Some(0));
    assert!(!log.contains("[verdict=accepted]"), "{log}");
    assert_eq!(log.matches("auth failure:").count(), 5, "{log}");
    assert!(log.lines().all(|line| line.starts_with("20")), "a line was broken: {log}");
}

#[test]
fn refuses_logins_and_services_that_are_no_text() {
    let subject = Subject::start(Kind::Store);
    for fields in [
        [&b"\xff\xfe"[..], PASSWORD.as_bytes(), b"smtp", b""],
        [USER.as_bytes(), PASSWORD.as_bytes(), b"\xff", b""],
        [USER.as_bytes(), PASSWORD.as_bytes(), b"smtp", b"\xff"],
        [USER.as_bytes(), PASSWORD.as_bytes(), b"smtp", b"ex ample"],
    ] {
        let reply = subject.exchange(&[&request(&fields)]);
        assert_eq!(&reply[2..4], b"NO", "{reply:?}");
    }
    subject.wait_for_log("[user=\\xff\\xfe]");
}

#[test]
fn records_each_outcome_once() {
    let subject = Subject::start(Kind::Store);
    subject.ask_right();
    subject.ask(USER, WRONG, REALM);
    let mut with_address = right();
    with_address.extend_from_slice(&counted(b"192.0.2.7;1234"));
    subject.exchange(&[&with_address]);
    subject.exchange(&[b"\xff\xff"]);
    let uid = nix::unistd::geteuid();
    let (_, log) = subject.stop();
    let event = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(event("[verdict="), 4, "{log}");
    let head = format!("auth success: [user={USER}] [service=smtp] [realm={REALM}] [mech=store]");
    assert_eq!(event(&format!("{head} [remote=] [verdict=accepted] [uid={uid}] [ms=")), 1, "{log}");
    assert_eq!(event(&format!("{head} [remote=192.0.2.7] [verdict=accepted]")), 1, "{log}");
    let failure = format!(
        "auth failure: [user={USER}] [service=smtp] [realm={REALM}] [mech=store] \
         [reason=Unknown] [remote=] [verdict=rejected] [code=bad-credentials] [uid={uid}] [ms="
    );
    assert_eq!(event(&failure), 1, "{log}");
    assert_eq!(event("[code=malformed]"), 1, "{log}");
}

#[test]
fn closes_without_a_word_when_the_store_cannot_be_asked() {
    let subject = Subject::start(Kind::Store);
    assert_eq!(subject.ask_right(), OK);
    let store = subject.dir().join("store.db");
    // A file that was replaced by rubbish is noticed, and never taken for "no such user".
    fs::write(subject.dir().join("rubbish"), [b'x'; 8192]).unwrap();
    fs::rename(subject.dir().join("rubbish"), &store).unwrap();
    let is_out = wait_until(PATIENCE, || subject.ask_right().is_empty());
    assert!(is_out, "{}", subject.log());
    subject.wait_for_log("auth unavailable: [user=alice]");
}

#[test]
fn answers_no_to_an_outage_if_told_to() {
    let subject = Subject::start_with(Kind::Store, "unavailable = \"no\"");
    let store = subject.dir().join("store.db");
    fs::write(subject.dir().join("rubbish"), [b'x'; 8192]).unwrap();
    fs::rename(subject.dir().join("rubbish"), &store).unwrap();
    let is_no = wait_until(PATIENCE, || subject.ask_right() == b"\0\x02NO");
    assert!(is_no, "{}", subject.log());
}

#[test]
fn makes_its_socket_with_the_mode_of_the_configuration() {
    let subject = Subject::start_with(Kind::Store, "socket_mode = \"0640\"");
    let there = fs::symlink_metadata(subject.socket()).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.mode() & 0o777, 0o640);
}

#[test]
fn a_refusal_takes_at_least_the_floor() {
    let subject = Subject::start_with(Kind::Store, "");
    let config = fs::read_to_string(subject.config()).unwrap();
    fs::write(subject.config(), config.replace("floor = \"0s\"", "floor = \"700ms\"")).unwrap();
    subject.signal(nix::sys::signal::Signal::SIGHUP);
    subject.wait_for_log("reloaded");
    for login in [USER, "nobody-here"] {
        let before = Instant::now();
        assert_eq!(subject.ask(login, WRONG, REALM), Kind::Store.refusal());
        assert!(before.elapsed().as_millis() >= 700, "{login}");
    }
}
