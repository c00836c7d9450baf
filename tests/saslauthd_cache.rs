//! The credential cache of the built program, with the real store: an old
//! password fails on its first try, whoever changed it.
#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, WRONG, saslgate};

const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";
const CACHE: &str = "[cache]\nenabled = true\n";

fn user(config: &Path, words: &[&str], input: &str) {
    let mut command = saslgate();
    command.arg("--config").arg(config).arg("user").args(words);
    process::run(&mut command, input.as_bytes()).expect_success();
}

/// Asks with the right password; true if the answer came from the cache.
fn is_cached(subject: &Subject) -> bool {
    let count = |text: &str| subject.log().matches(text).count();
    let (all, cached) = ("auth success", "auth success (cached): [user=alice]");
    let before = (count(all), count(cached));
    assert_eq!(subject.ask_right(), OK, "{}", subject.log());
    assert!(wait_until(PATIENCE, || count(all) > before.0), "{}", subject.log());
    count(cached) > before.1
}

#[test]
fn a_login_is_remembered_and_an_old_password_fails_on_the_first_try_after_a_change() {
    let subject = Subject::start_with(Kind::Store, CACHE);
    assert!(!is_cached(&subject));
    assert!(is_cached(&subject) && is_cached(&subject));
    assert_eq!(subject.ask(USER, WRONG, REALM), NO);
    let name = format!("{USER}@{REALM}");
    // By another process, which tells nobody.
    user(&subject.config(), &["passwd", &name], "another-Zauberwort\n");
    assert_eq!(subject.ask_right(), NO);
    assert_eq!(subject.ask(USER, "another-Zauberwort", REALM), OK);
    user(&subject.config(), &["passwd", &name], &format!("{PASSWORD}\n"));
    assert_eq!(subject.ask(USER, "another-Zauberwort", REALM), NO);
    assert!(!is_cached(&subject) && is_cached(&subject));
}

#[test]
fn a_lock_and_a_removal_are_seen_at_once_and_a_change_of_another_costs_nothing() {
    let subject = Subject::start_with(Kind::Store, CACHE);
    assert!(!is_cached(&subject) && is_cached(&subject));
    user(&subject.config(), &["add", &format!("bob@{REALM}")], "bobs-Zauberwort\n");
    assert!(is_cached(&subject), "bob is somebody else");
    let name = format!("{USER}@{REALM}");
    user(&subject.config(), &["lock", &name], "");
    assert_eq!(subject.ask_right(), NO);
    user(&subject.config(), &["unlock", &name], "");
    assert!(!is_cached(&subject) && is_cached(&subject));
    user(&subject.config(), &["del", &name], "");
    assert_eq!(subject.ask_right(), NO);
}

#[test]
fn a_reload_and_a_restart_forget_and_without_the_cache_nothing_is_remembered() {
    let mut subject = Subject::start_with(Kind::Store, CACHE);
    assert!(!is_cached(&subject) && is_cached(&subject));
    subject.signal(Signal::SIGHUP);
    let is_done = || subject.log().contains("reloaded");
    assert!(wait_until(PATIENCE, is_done), "{}", subject.log());
    assert!(!is_cached(&subject) && is_cached(&subject));
    process::stop(&mut subject.child);
    subject.restart();
    assert!(!is_cached(&subject) && is_cached(&subject));
    process::stop(&mut subject.child);
    let text = fs::read_to_string(subject.config()).unwrap().replace(CACHE, "");
    fs::write(subject.config(), text).unwrap();
    subject.restart();
    assert!(!is_cached(&subject) && !is_cached(&subject));
}
