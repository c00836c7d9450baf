//! Guessing at the built program: who is stopped, and who is not.
#![cfg(test)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use support::process;
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, WRONG, counted, request, saslgate};

const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";

/// No delay, so that the test need not wait; small limits.
const QUICK: &str = "[throttle]\ndelay = \"0s\"\nlimit = 5\nlogin_limit = 12\n";

fn ask(subject: &Subject, user: &str, password: &str, client: &str) -> Vec<u8> {
    let mut bytes = request(&[user, password, "smtp", REALM]);
    bytes.extend_from_slice(&counted(format!("{client};2525").as_bytes()));
    subject.exchange(&[&bytes])
}

/// Events of refusals by the throttle, of all that was answered so far.
fn throttled(subject: &Subject) -> usize {
    static MARKS: AtomicUsize = AtomicUsize::new(0);
    // The log is written in order, by a thread of its own.
    let mark = format!("mark{}", MARKS.fetch_add(1, Ordering::Relaxed));
    ask(subject, &mark, WRONG, "198.51.100.200");
    subject.wait_for_log(&format!("[user={mark}]"));
    subject.log().matches("[code=throttled]").count()
}

#[test]
fn guessing_from_an_address_ends_there_and_harms_nobody_else_behind_it() {
    let subject = Subject::start_with(Kind::Store, QUICK);
    let mut add = saslgate();
    add.arg("--config").arg(subject.config()).args(["user", "add"]).arg(format!("bob@{REALM}"));
    process::run(&mut add, format!("{PASSWORD}\n").as_bytes()).expect_success();
    for number in 0..8 {
        let guess = format!("{WRONG}{number}");
        assert_eq!(ask(&subject, USER, &guess, "192.0.2.7"), NO);
    }
    subject.wait_for_log("[remote=192.0.2.7] [verdict=rejected] [code=throttled]");
    assert!((2..=3).contains(&throttled(&subject)), "{}", subject.log());
    // Nobody is asked about her from there, be it right: it was never seen to be.
    assert_eq!(ask(&subject, USER, PASSWORD, "192.0.2.7"), NO);
    let before = throttled(&subject);
    assert_eq!(ask(&subject, "bob", PASSWORD, "192.0.2.7"), OK);
    assert_eq!(ask(&subject, USER, PASSWORD, "198.51.100.9"), OK);
    // Now it was.
    assert_eq!(ask(&subject, USER, PASSWORD, "192.0.2.7"), OK);
    assert_eq!(throttled(&subject), before);
}

#[test]
fn a_login_that_is_guessed_at_from_everywhere_stays_open_to_its_owner() {
    let subject = Subject::start_with(Kind::Store, QUICK);
    assert_eq!(subject.ask_right(), OK);
    for number in 0..20 {
        let client = format!("203.0.113.{number}");
        assert_eq!(ask(&subject, USER, &format!("{WRONG}{number}"), &client), NO);
    }
    assert!((7..=8).contains(&throttled(&subject)), "{}", subject.log());
    assert_eq!(ask(&subject, USER, PASSWORD, "198.51.100.9"), OK);
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn a_mail_program_with_an_old_password_is_no_attack() {
    let subject = Subject::start_with(Kind::Store, QUICK);
    for _ in 0..30 {
        assert_eq!(ask(&subject, USER, WRONG, "192.0.2.7"), NO);
        assert_eq!(subject.ask(USER, WRONG, REALM), NO);
    }
    assert_eq!(throttled(&subject), 0);
    assert_eq!(ask(&subject, USER, PASSWORD, "192.0.2.7"), OK);
}

#[test]
fn exempt_networks_and_a_throttle_that_is_off_count_nothing() {
    for settings in ["exempt = [\"192.0.2.0/24\"]\n", "enabled = false\n"] {
        let subject = Subject::start_with(Kind::Store, &format!("{QUICK}{settings}"));
        for number in 0..30 {
            assert_eq!(ask(&subject, USER, &format!("{WRONG}{number}"), "192.0.2.7"), NO);
        }
        assert_eq!(throttled(&subject), 0);
        assert_eq!(ask(&subject, USER, PASSWORD, "192.0.2.7"), OK);
    }
}
