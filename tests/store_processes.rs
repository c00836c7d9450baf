//! The store under several processes at once, and under `kill -9`.
#![cfg(test)]

mod support;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use saslgate::auth::{Answer, Verify};
use saslgate::backend::store::{Access, PasswordStore, Store};
use support::process::run;
use support::site::{Site, accepts, answer, id, secret};

#[test]
fn processes_that_make_the_store_together_lose_nobody() {
    let site = Site::new();
    thread::scope(|scope| {
        for number in 0..8 {
            let site = &site;
            scope.spawn(move || {
                let output = run(&mut site.user(&["add", &format!("u{number}")]), b"s3cret");
                assert!(output.code == Some(0), "{}", output.stderr);
            });
        }
    });
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    let names: Vec<String> = store.list().map(|user| user.unwrap().identity.to_string()).collect();
    let expected: Vec<String> = (0..8).map(|number| format!("u{number}@example.org")).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_daemon_answers_while_commands_write() {
    let site = Site::with_alice("s3cret");
    let mut admin = Store::open(&site.settings(), Access::Existing).unwrap();
    for writer in 0..3 {
        admin.add(&id(&format!("w{writer}")), Some(&secret("first"))).unwrap();
    }
    drop(admin);
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    let is_done = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut asked = 0;
            while !is_done.load(Ordering::Relaxed) {
                assert!(accepts(&daemon, "alice", "s3cret"));
                assert!(!accepts(&daemon, "alice", "wrong"));
                let unknown = answer(&daemon, "nobody", "s3cret");
                assert!(matches!(unknown, Answer::Unknown), "{unknown:?}");
                asked += 3;
            }
            asked
        });
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (site, daemon) = (&site, &daemon);
                scope.spawn(move || {
                    let name = format!("w{writer}");
                    for round in 0..12 {
                        let password = format!("p{round}");
                        let output = run(&mut site.user(&["passwd", &name]), password.as_bytes());
                        assert!(output.code == Some(0), "{}", output.stderr);
                        assert!(accepts(daemon, &name, &password), "the next request sees it");
                    }
                })
            })
            .collect();
        let writers: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        is_done.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|outcome| outcome.unwrap());
        reader.join().unwrap()
    });
    assert!(asked > 10, "the reader hardly came to ask");
    drop(daemon);
    let store = Store::open(&site.settings(), Access::Existing).unwrap();
    let used = |name: &str| store.find(&id(name)).unwrap().unwrap().last_used;
    assert!(used("alice").is_some() && used("w0").is_some());
}

/// Whoever has cached an acceptance compares revision and grounds, and nothing
/// else: a password that another process has changed, and was told so, is gone.
#[test]
fn a_change_by_another_process_is_seen_at_the_very_next_look_in_200_rounds() {
    let site = Site::with_alice("s3cret");
    let daemon = PasswordStore::start(&site.settings()).unwrap();
    let alice = id("alice");
    for round in 0..ROUNDS {
        let before = (daemon.revision(), daemon.grounds(&alice));
        let output = run(&mut site.user(&["passwd", "alice"]), format!("p{round}").as_bytes());
        assert!(output.code == Some(0), "{}", output.stderr);
        assert_ne!(daemon.revision(), before.0, "round {round}");
        assert_ne!(daemon.grounds(&alice), before.1, "round {round}");
    }
}

/// Each round changes alice's password in a process of its own and kills that
/// at another moment of its life. A change that was acknowledged (exit code 0)
/// must be there; one that was not is there whole or not at all; and the store
/// opens every time.
#[test]
fn nothing_acknowledged_is_lost_to_kill_9_in_200_rounds() {
    let site = Site::with_alice("p");
    // Follows the machine: shorter after a round that came too late to kill, longer after a kill.
    let mut lifetime = undisturbed_lifetime(&site);
    let mut current = "p".to_owned();
    let (mut acknowledged, mut killed, mut killed_late) = (0, 0, 0);
    for round in 0..ROUNDS {
        let next = format!("p{round}");
        // Dense around the end of the life, where the writing is.
        let moment = lifetime.mul_f64(0.6 + f64::from(round % 40) / 60.0);
        let mut command = site.user(&["passwd", "alice", "--stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{next}").unwrap();
        thread::sleep(moment.saturating_sub(begun.elapsed()));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let is_new = site.accepts(&next);
        lifetime = lifetime.mul_f64(if status.success() { 0.97 } else { 1.03 });
        if status.success() {
            acknowledged += 1;
            assert!(is_new, "round {round}: an acknowledged change is lost");
        } else {
            assert_eq!(status.signal(), Some(9), "round {round}: {status}");
            killed += 1;
            killed_late += u32::from(is_new);
            assert!(is_new || site.accepts(&current), "round {round}: both passwords are gone");
        }
        if is_new {
            assert!(!site.accepts(&current), "round {round}: the old password still opens");
            current = next;
        }
    }
    assert!(killed >= 20 && acknowledged >= 5, "{killed} killed, {acknowledged} acknowledged");
    println!(
        "{killed} killed, {killed_late} of them behind the commit, {acknowledged} ended before"
    );
}

/// How long one change takes when nobody kills it; the median of several.
fn undisturbed_lifetime(site: &Site) -> Duration {
    let mut lifetimes: Vec<Duration> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            let output = run(&mut site.user(&["passwd", "alice", "--stdin"]), b"p");
            assert!(output.code == Some(0), "{}", output.stderr);
            begun.elapsed()
        })
        .collect();
    lifetimes.sort();
    lifetimes[lifetimes.len() / 2]
}

const ROUNDS: u32 = 200;
