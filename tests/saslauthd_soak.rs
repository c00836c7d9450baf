//! authd over many requests, right, wrong, unknown and malformed, while worker
//! processes come and go: memory and open files end where they were after the
//! first hundredth.
//!
//! 60,000 requests a test; `SOAK=1000000` (`make soak`) makes it a million.
#![cfg(test)]

mod support;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
#[cfg(feature = "peer-tests")]
use support::process;
use support::process::{PATIENCE, wait_until};
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, WRONG, request};

const CLIENTS: usize = 8;
/// Behind these, everything that is made once has been made.
const FIRST: u64 = 10_000;
/// What the allocators may hold back, and pages that are touched late.
const MARGIN_KIB: u64 = 3 * 1024;
/// Connections to PAM workers that may be open or not.
const MARGIN_FILES: usize = CLIENTS;

/// How many requests a test makes.
fn total() -> u64 {
    let wanted = std::env::var("SOAK").ok().map(|text| text.parse().expect("SOAK is a number"));
    wanted.unwrap_or(60_000)
}

/// What a process takes.
#[derive(Debug, Clone, Copy)]
struct Use {
    resident_kib: u64,
    files: usize,
}

impl Use {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let resident_kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { resident_kib, files: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() }
    }
}

/// Makes `count` requests and checks each answer.
fn ask(subject: &Subject, count: u64) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= count {
                        return;
                    }
                    ask_once(subject, turn);
                }
            });
        }
    });
}

fn ask_once(subject: &Subject, turn: u64) {
    let of = |login: &str, password: &str| request(&[login, password, "smtp", REALM]);
    let right = of(USER, PASSWORD);
    let unknown = format!("nobody-{}", turn % 1000);
    let bytes = match turn % 10 {
        6 => of(USER, WRONG),
        7 => of(&unknown, WRONG),
        8 => malformed(turn / 10, &right),
        _ => right,
    };
    let mut stream = subject.connect();
    // A server that refuses a length may close before all is written.
    let _ = std::io::Write::write_all(&mut stream, &bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let reply = support::saslauthd::read_reply(&mut stream);
    match turn % 10 {
        6 | 7 => assert_eq!(&reply[2..4], b"NO", "turn {turn}: {reply:?}"),
        8 => assert!(!reply.ends_with(b"OK"), "turn {turn}: {reply:?}"),
        _ => assert_eq!(reply, b"\0\x02OK", "turn {turn}"),
    }
}

/// Cut short, a length beyond all bounds, a NUL, nothing at all, no login.
fn malformed(kind: u64, right: &[u8]) -> Vec<u8> {
    match kind % 5 {
        0 => right[..right.len() / 2].to_vec(),
        1 => vec![0xff; 600],
        2 => request(&["al\0ice", PASSWORD, "smtp", REALM]),
        3 => Vec::new(),
        _ => request(&["", PASSWORD, "smtp", REALM]),
    }
}

/// The whole of it; `disturb` runs after each twentieth of the requests.
fn soak(subject: &Subject, disturb: impl Fn()) {
    let total = total();
    ask(subject, FIRST.min(total / 2));
    let before = settled(subject);
    let started = Instant::now();
    let rest = total - FIRST.min(total / 2);
    for _ in 0..20 {
        ask(subject, rest / 20);
        disturb();
    }
    let rate = rest as f64 / started.elapsed().as_secs_f64();
    let after = settled(subject);
    println!(
        "{:?}: {total} requests, {rate:.0}/s; after the first {FIRST}: {} KiB, {} files; \
         at the end: {} KiB, {} files",
        subject.kind, before.resident_kib, before.files, after.resident_kib, after.files
    );
    assert!(after.resident_kib <= before.resident_kib + MARGIN_KIB, "memory grew");
    assert!(after.files <= before.files + MARGIN_FILES, "open files grew");
}

/// What authd takes once the connections of the last requests are closed.
fn settled(subject: &Subject) -> Use {
    let pid = subject.child.id();
    let mut last = Use::of(pid);
    wait_until(PATIENCE, || {
        let now = Use::of(pid);
        let is_still = now.files == last.files && now.files < CLIENTS * 8;
        last = now;
        is_still
    });
    last
}

#[test]
fn memory_and_files_stay_with_the_store_and_its_cache() {
    let subject = Subject::start_with(Kind::Store, "[cache]\nenabled = true");
    soak(&subject, || {
        // A reload forgets the cache, and a passwd of others ends nothing.
        subject.signal(Signal::SIGHUP);
    });
}

#[test]
fn memory_and_files_stay_with_the_store_alone() {
    let subject = Subject::start(Kind::Store);
    soak(&subject, || {});
}

/// Needs saslpasswd2, which writes the file, and here writes into it.
#[cfg(feature = "peer-tests")]
#[test]
fn memory_and_files_stay_with_a_sasldb2_that_is_written_to() {
    let subject = Subject::start(Kind::Sasldb);
    let changes = AtomicU64::new(0);
    soak(&subject, || {
        let user = format!("user-{}", changes.fetch_add(1, Ordering::Relaxed) % 4);
        let file = subject.dir().join("sasldb2");
        support::sasldb::set(&file, &user, REALM, "an-0ther-Zauberwort");
    });
}

/// Needs libpam and pam_matrix.
#[cfg(feature = "peer-tests")]
#[test]
fn memory_and_files_stay_with_pam_whose_workers_come_and_go() {
    let subject = Subject::start(Kind::Pam);
    let helper = process::descendants(subject.child.id())[0].0;
    soak(&subject, || {
        // SIGHUP to the supervisor: every worker ends behind its request.
        process::send(helper, Signal::SIGHUP);
    });
    let helper = Use::of(helper);
    println!("saslgate-pam at the end: {} KiB, {} files", helper.resident_kib, helper.files);
    assert!(helper.files < 16 + CLIENTS * 2, "open files of saslgate-pam");
}
