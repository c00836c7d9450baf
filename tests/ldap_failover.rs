//! The backend `ldap` with directories that die, hang and come back, and with more
//! clients than it has connections.
//!
//! Needs slapd and ldap-utils.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::ldap::{Asked, people};
use support::process::{PATIENCE, wait_until};
use support::slapd::{PASSWORD, Slapd, WRONG};

fn two(first: &str, second: &str, more: &str) -> String {
    format!(
        "servers = [\"{first}\", \"{second}\"]\nbase = \"ou=people,dc=example,dc=org\"\n{more}\n"
    )
}

#[test]
fn the_next_server_is_asked_when_one_dies_and_the_first_again_when_it_is_back() {
    let (mut first, mut second) = (Slapd::start(), Slapd::start());
    first.set_password("bob", "of-the-first");
    let ours = Asked::ours(&two(&first.url(), &second.url(), "retry_after = \"100ms\""));
    assert_eq!(ours.ask("bob", "of-the-first", ""), "OK");
    // Idle connections lead to it; nobody is told of it.
    first.kill();
    assert_eq!(ours.ask("bob", PASSWORD, ""), "OK", "{}", ours.log());
    assert_eq!(ours.ask("bob", WRONG, ""), "NO");
    second.kill();
    assert_eq!(ours.ask("bob", PASSWORD, ""), "closed", "an outage is no wrong password");
    second.restart();
    assert_eq!(ours.ask("bob", PASSWORD, ""), "OK", "{}", ours.log());
    first.restart();
    assert!(wait_until(PATIENCE, || ours.ask("bob", "of-the-first", "") == "OK"), "{}", ours.log());
    ours.wait_for_log("answers again");
}

#[test]
fn a_restart_of_the_only_server_is_noticed_by_nobody() {
    let mut slapd = Slapd::start();
    let conf = people(&slapd);
    let ours = Asked::ours_with(&conf);
    for _ in 0..5 {
        assert_eq!(ours.ask("alice", PASSWORD, ""), "OK", "{}", ours.log());
        assert_eq!(ours.ask("alice", WRONG, ""), "NO", "{}", ours.log());
        slapd.restart();
    }
}

/// A proxy that can be told to let nothing through any more.
struct Stalling {
    port: u16,
    is_stalled: Arc<AtomicBool>,
}

impl Stalling {
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let is_stalled = Arc::new(AtomicBool::new(false));
        let stalled = Arc::clone(&is_stalled);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                pump(client.try_clone().unwrap(), server.try_clone().unwrap(), &stalled);
                pump(server, client, &stalled);
            }
        });
        Self { port: own, is_stalled }
    }

    fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}/", self.port)
    }

    fn stall(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_stalled: &Arc<AtomicBool>) {
    let is_stalled = Arc::clone(is_stalled);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            // What comes while it is stalled is swallowed.
            if !is_stalled.load(Ordering::SeqCst) && to.write_all(&chunk[..count]).is_err() {
                return;
            }
        }
    });
}

#[test]
fn a_server_that_hangs_is_left_in_time_and_passed_over_then() {
    let slapd = Slapd::start();
    let proxy = Stalling::before(slapd.port());
    // Alone, it is an outage within the deadline.
    let alone = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\ntimeout = \"1s\"\n",
        proxy.url()
    ));
    assert_eq!(alone.ask("alice", PASSWORD, ""), "OK");
    proxy.stall(true);
    assert_eq!(alone.ask("alice", PASSWORD, ""), "closed");
    alone.wait_for_log("it did not answer in time");
    // With another behind it, half of the time is left for that.
    let both =
        Asked::ours(&two(&proxy.url(), &slapd.url(), "timeout = \"2s\"\nretry_after = \"1h\""));
    for _ in 0..3 {
        assert_eq!(both.ask("alice", PASSWORD, ""), "OK", "{}", both.log());
    }
    // It was tried once.
    both.wait_for_log("it did not answer in time");
    assert_eq!(both.log().matches("it did not answer in time").count(), 1, "{}", both.log());
    proxy.stall(false);
    assert!(wait_until(PATIENCE, || alone.ask("alice", PASSWORD, "") == "OK"), "{}", alone.log());
}

#[test]
fn sixty_four_clients_share_four_connections_of_each_kind() {
    let slapd = Slapd::start();
    let ours = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\nmax_connections = 4\n\
         timeout = \"60s\"\n",
        slapd.url()
    ));
    thread::scope(|scope| {
        for client in 0..64 {
            let ours = &ours;
            scope.spawn(move || {
                for _ in 0..5 {
                    let (password, expected) =
                        if client % 4 == 0 { (WRONG, "NO") } else { (PASSWORD, "OK") };
                    assert_eq!(ours.ask("alice", password, ""), expected);
                }
            });
        }
    });
    let open = connections_to(ours.service.pid(), slapd.port());
    assert!((1..=8).contains(&open), "{open} connections are open");
}

#[test]
fn whoever_is_one_too_many_in_the_queue_is_told_at_once() {
    let slapd = Slapd::start();
    let proxy = Stalling::before(slapd.port());
    proxy.stall(true);
    let ours = Asked::ours(&format!(
        "servers = [\"{}\"]\nbase = \"ou=people,dc=example,dc=org\"\nmax_connections = 1\n\
         max_waiting = 1\ntimeout = \"2s\"\n",
        proxy.url()
    ));
    let answers: Vec<&str> = thread::scope(|scope| {
        let asked: Vec<_> =
            (0..8).map(|_| scope.spawn(|| ours.ask("alice", PASSWORD, ""))).collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(answers, ["closed"; 8]);
    let log = ours.log();
    assert!(log.contains("logins wait for the directory already"), "{log}");
}

/// Established connections of a process to a port.
fn connections_to(pid: u32, port: u16) -> usize {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.to_owned();
            Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let remote = format!(":{port:04X}");
    table
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|fields| {
            fields.len() > 9
                && fields[2].ends_with(&remote)
                && sockets.contains(&fields[9].to_owned())
        })
        .count()
}
