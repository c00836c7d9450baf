//! Servers that ask a saslauthd, unmodified, with our authd in its place: each
//! logs in with a right password, fails with a wrong one, comes through our
//! restart without one of its own, and tells an outage as it always did.
//!
//! Prints a table at its end. `SUBJECT=original` runs it with Cyrus saslauthd.
#![cfg(test)]

mod support;

use std::fs;
use std::thread;

use nix::sys::signal::Signal;
use support::activation::Activated;
use support::clients::{ALL, Client, Told};
use support::process::stop;
use support::saslauthd::{Kind, PASSWORD, Subject, WRONG};

/// Restarts below each client while it logs in.
const RESTARTS: usize = 5;

/// A line of the table.
struct Row {
    name: &'static str,
    right: String,
    wrong: String,
    stopped: String,
    restarted: String,
    wrong_after: String,
    /// `None` where no outage can be made.
    outage: Option<String>,
    logs: String,
}

#[test]
fn each_client_logs_in_fails_and_comes_through_our_restart() {
    let here = clients_here();
    let rows: Vec<Row> = thread::scope(|scope| {
        let running: Vec<_> = here.iter().map(|client| scope.spawn(|| row(client))).collect();
        running.into_iter().map(|row| row.join().unwrap()).collect()
    });
    print(&rows);
    for (row, client) in rows.iter().zip(&here) {
        let Told { right, wrong, stopped, outage } = client.told;
        let told = [&row.right, &row.wrong, &row.stopped, &row.restarted, &row.wrong_after];
        let in_outage = row.outage.as_deref().unwrap_or(outage);
        assert_eq!(told, [right, wrong, stopped, right, wrong], "{}:\n{}", row.name, row.logs);
        assert_eq!(in_outage, outage, "{}:\n{}", row.name, row.logs);
    }
}

/// The socket stays with whoever activates it: then there is no moment without an answer.
#[test]
fn with_socket_activation_no_client_notices_a_restart() {
    if Kind::from_env() != Kind::Store {
        return; // The original takes no socket from anybody.
    }
    thread::scope(|scope| {
        for client in clients_here() {
            scope.spawn(move || restart_under_its_feet(client));
        }
    });
}

fn restart_under_its_feet(client: &Client) {
    let authd = Activated::start(Kind::Store, "");
    let server = (client.start)(authd.subject.dir());
    for turn in 0..RESTARTS {
        let told = thread::scope(|scope| {
            scope.spawn(|| authd.replace(Signal::SIGTERM));
            [PASSWORD, WRONG].map(|password| server.log_in(password))
        });
        let logs = || format!("{}--- saslauthd\n{}", server.logs(), authd.subject.log());
        let Told { right, wrong, .. } = client.told;
        assert_eq!(told, [right, wrong], "{}, restart {turn}:\n{}", client.name, logs());
    }
}

/// Those whose programs are here; says who is not.
fn clients_here() -> Vec<&'static Client> {
    if !nix::unistd::geteuid().is_root() {
        skip("root is needed, to lay packages over the host's files in a mount namespace");
        return Vec::new();
    }
    let (here, missing): (Vec<&Client>, Vec<_>) =
        ALL.into_iter().partition(|client| client.missing().is_empty());
    for client in missing {
        skip(&format!("{}: {} is not here", client.name, client.missing().join(", ")));
    }
    here
}

/// On Debian nothing may be missing: `packaging/setup.sh clients` fetches it all.
fn skip(why: &str) {
    let must_run = std::path::Path::new("/etc/debian_version").exists()
        && (std::env::var_os("CI").is_some() || nix::unistd::geteuid().is_root());
    assert!(!must_run, "{why}: run packaging/setup.sh clients");
    eprintln!("SKIPPED: {why}");
}

fn row(client: &Client) -> Row {
    let mut subject = Subject::start(Kind::from_env());
    // Of one user pam_matrix knows one service; all but smtp are to be the service `other`.
    let _ = fs::remove_file(subject.dir().join("pam.d/imap"));
    let server = (client.start)(subject.dir());
    let right = server.log_in(PASSWORD);
    let wrong = server.log_in(WRONG);
    stop(&mut subject.child);
    let stopped = server.log_in(PASSWORD);
    subject.restart();
    let restarted = server.log_in(PASSWORD);
    let wrong_after = server.log_in(WRONG);
    // The backend of the others is PAM, and pam_matrix is never out.
    let outage = (subject.kind == Kind::Store).then(|| {
        break_store(&subject);
        server.log_in(PASSWORD)
    });
    let logs = format!("{}--- saslauthd\n{}", server.logs(), subject.log());
    let name = client.name;
    Row { name, right, wrong, stopped, restarted, wrong_after, outage, logs }
}

/// Puts rubbish in the place of the store.
fn break_store(subject: &Subject) {
    let rubbish = subject.dir().join("rubbish");
    fs::write(&rubbish, [b'x'; 8192]).unwrap();
    fs::rename(rubbish, subject.dir().join("store.db")).unwrap();
}

fn print(rows: &[Row]) {
    let mut table = comfy_table::Table::new();
    table.set_header(["client", "right", "wrong", "restarted", "stopped", "backend out"]);
    for row in rows {
        let outage = row.outage.as_deref().unwrap_or("not tried");
        let cells = [&row.right, &row.wrong, &row.restarted, &row.stopped, outage];
        // A word of the server, or all that a client said that failed otherwise.
        let cells = cells.map(|cell| cell.chars().take(42).collect::<String>());
        table.add_row(std::iter::once(row.name.to_owned()).chain(cells));
    }
    println!("{table}");
}
