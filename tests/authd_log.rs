//! Whoever reads authd's log may stall: no login waits for it, and no line is
//! lost without a word.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Stdio};

use nix::sys::signal::Signal;
use support::process::{PATIENCE, send, wait_until};
use support::saslauthd::{read_reply, request, saslgate};
use support::site::Site;

/// An authd whose log goes into a pipe that nobody reads until the test does.
struct Muffled {
    site: Site,
    child: Child,
    log: ChildStderr,
}

impl Muffled {
    fn start() -> Self {
        let site = Site::with_alice("open sesame");
        let socket = format!("socket = \"{}\"\n", site.path("mux").display());
        let config = site.config(&site.path("users.db")) + &socket;
        fs::write(site.path("saslgate.toml"), config).unwrap();
        let mut child = saslgate()
            .arg("--config")
            .arg(site.path("saslgate.toml"))
            .arg("authd")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = child.stderr.take().unwrap();
        let muffled = Self { site, child, log };
        assert!(wait_until(PATIENCE, || UnixStream::connect(muffled.site.path("mux")).is_ok()));
        muffled
    }

    /// Makes requests that are refused at once and logged, with names of 250 bytes.
    fn refuse(&self, count: usize) {
        let nameless = request(&["x".repeat(250).as_str(), "", "smtp", "example.org"]);
        for _ in 0..count {
            let mut stream = UnixStream::connect(self.site.path("mux")).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&nameless).unwrap();
            assert_eq!(read_reply(&mut stream), b"\0\x19NO NULL password received");
        }
    }

    /// Ends it, and reads all that it had to say.
    fn end(mut self) -> String {
        send(self.child.id(), Signal::SIGTERM);
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        assert!(wait_until(PATIENCE, || self.child.try_wait().unwrap().is_some()));
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{log}");
        log
    }
}

fn refusals(log: &str) -> usize {
    log.lines().filter(|line| line.contains("auth failure: [user=xxx")).count()
}

#[test]
fn logins_go_on_while_nobody_reads_the_log_and_each_has_its_line_in_the_end() {
    let authd = Muffled::start();
    // A pipe holds 64 KiB.
    authd.refuse(1_000);
    let log = authd.end();
    assert_eq!(refusals(&log), 1_000);
    assert!(!log.contains("log lines were lost"), "{log}");
}

#[test]
fn what_is_lost_beyond_all_bounds_is_counted() {
    let authd = Muffled::start();
    // The buffer holds 4 MiB.
    authd.refuse(12_000);
    let log = authd.end();
    let lost: usize = log
        .lines()
        .filter_map(|line| line.split_once(" log lines were lost")?.0.rsplit(' ').next())
        .map(|count| count.parse::<usize>().unwrap())
        .sum();
    assert!(lost > 0);
    assert_eq!(refusals(&log) + lost, 12_000);
}
