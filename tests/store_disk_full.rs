//! A write that the operating system refuses: nothing is acknowledged, and
//! what was acknowledged before stays.
//!
//! The refusal is real and needs no privileges: the child may write no file
//! beyond a size (`ulimit -f`, with SIGXFSZ ignored, so that `write` fails). A
//! reader that holds an old view keeps the log from being emptied, so it grows
//! with each change until it meets the limit.
#![cfg(test)]

mod support;

use std::process::Command;

use rusqlite::Connection;
use support::process::{Finished, run};
use support::site::Site;

fn passwd(site: &Site, password: &str, limit_bytes: u32) -> Finished {
    let mut command = Command::new("sh");
    // POSIX counts the limit in blocks of 512 bytes.
    let script = "trap '' XFSZ; ulimit -f $0 || exit 99; exec \"$@\"";
    command
        .args(["-c", script, &(limit_bytes / 512).to_string()])
        .args([env!("CARGO_BIN_EXE_saslgate"), "--config"])
        .arg(site.path("saslgate.toml"))
        .args(["user", "passwd", "alice"]);
    run(&mut command, password.as_bytes())
}

#[test]
fn a_refused_write_is_not_acknowledged_and_loses_nothing() {
    let site = Site::with_alice("p");
    let reader = Connection::open(site.path("users.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM users;").unwrap();
    let mut last = "p".to_owned();
    let mut refused = None;
    for round in 0..20 {
        let password = format!("p{round}");
        // SQLite's shared memory file alone takes 32 KiB.
        let output = passwd(&site, &password, 48 * 1024);
        if output.code != Some(0) {
            refused = Some((password, output));
            break;
        }
        last = password;
    }
    let (password, output) = refused.expect("no write met the limit");
    assert_ne!(last, "p", "the first write met the limit already");
    let stderr = output.stderr;
    assert_eq!(output.code, Some(74), "{stderr}");
    assert_eq!(output.stdout, "");
    assert!(stderr.contains("the change is not acknowledged"), "{stderr}");
    assert!(stderr.contains(&site.path("users.db").display().to_string()), "{stderr}");
    drop(reader);
    assert!(site.accepts(&last), "the last acknowledged password is lost");
    assert!(!site.accepts(&password), "a refused change is there");
    // With space again, everything goes on.
    assert!(passwd(&site, "again", 1024 * 1024).code == Some(0));
    assert!(site.accepts("again") && !site.accepts(&last));
}

#[test]
fn no_half_made_store_stays_behind() {
    let site = Site::new();
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_saslgate"), "--config"])
        .arg(site.path("saslgate.toml"))
        .args(["user", "add", "alice"]);
    let output = run(&mut command, b"s3cret");
    let stderr = output.stderr;
    assert_eq!(output.code, Some(74), "{stderr}");
    let left: Vec<_> = std::fs::read_dir(site.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "saslgate.toml")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
