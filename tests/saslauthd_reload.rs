//! A changed configuration file comes into force without a signal; a bad one
//! does not, and says where its mistake is.
#![cfg(test)]

mod support;

use std::fs;

use nix::sys::signal::Signal;
use support::process::{PATIENCE, wait_until};
use support::saslauthd::{Kind, PASSWORD, Subject, USER};

const OK: &[u8] = b"\0\x02OK";

/// Whether alice of no realm is alice@example.org, by the present configuration.
fn is_in_example_org(subject: &Subject) -> bool {
    subject.ask(USER, PASSWORD, "") == OK
}

#[test]
fn a_changed_file_is_read_again_by_itself_and_a_bad_one_is_refused() {
    let subject = Subject::start(Kind::Store);
    let good = fs::read_to_string(subject.config()).unwrap();
    let other = good.replace("default_realm = \"example.org\"", "default_realm = \"else.test\"");
    assert!(is_in_example_org(&subject));

    // Written in place.
    fs::write(subject.config(), &other).unwrap();
    assert!(wait_until(PATIENCE, || !is_in_example_org(&subject)), "{}", subject.log());

    // Renamed over it, with a mistake: line and column are told, nothing changes.
    let bad = format!("{good}[authd]\n");
    let line = bad.lines().count();
    fs::write(subject.dir().join("new"), bad).unwrap();
    fs::rename(subject.dir().join("new"), subject.config()).unwrap();
    subject.wait_for_log("reload refused, the old configuration stays in force");
    subject.wait_for_log(&format!("saslgate.toml:{line}:"));
    assert!(!is_in_example_org(&subject));

    // The mended one comes into force, and so does a later one.
    fs::write(subject.dir().join("new"), &good).unwrap();
    fs::rename(subject.dir().join("new"), subject.config()).unwrap();
    assert!(wait_until(PATIENCE, || is_in_example_org(&subject)), "{}", subject.log());

    // A file that goes is no configuration: not even the defaults.
    fs::remove_file(subject.config()).unwrap();
    subject.wait_for_log("is gone: what was read from it stays in force");
    assert!(is_in_example_org(&subject));
}

#[test]
fn watching_can_be_turned_off() {
    let subject = Subject::start_with(Kind::Store, "watch_config = false");
    let good = fs::read_to_string(subject.config()).unwrap();
    let other = good.replace("default_realm = \"example.org\"", "default_realm = \"else.test\"");
    fs::write(subject.config(), &other).unwrap();
    // What a watch would do it would have done by the end of a reload that a signal asked for.
    subject.signal(Signal::SIGHUP);
    assert!(wait_until(PATIENCE, || !is_in_example_org(&subject)), "{}", subject.log());
    assert!(!subject.log().contains("the configuration file has changed"), "{}", subject.log());
}
