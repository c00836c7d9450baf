//! `saslgate gate` beside the bare backend, and beside sendmail doing STARTTLS
//! and AUTH itself: one machine, one run.
//!
//! `cargo bench --features peer-tests --bench gate`. Client, gate and backend
//! share the machine's cores: a row compares fronts and is no absolute limit.
//! Passwords are checked by a daemon that says yes, so that rows show the front.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a program that measures and prints")]

#[path = "load.rs"]
mod load;
#[path = "peers.rs"]
mod peers;
#[path = "smtp.rs"]
mod smtp;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "table.rs"]
mod table;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use smtp::{Entry, Session};
use support::gate::{Ready, Service};
use support::process::{descendants, free_port};
use support::sendmail::{Options, Sendmail};

const TIME: Duration = Duration::from_secs(4);
const CLIENTS: [usize; 2] = [1, 8];
const SMALL: usize = 4 * 1024;
const LARGE: usize = 5 * 1024 * 1024;
const IDLE_SESSIONS: usize = 200;

/// sendmail accepts and drops at RCPT: what is left is its SMTP.
const DISCARD: &str = "LOCAL_RULESETS\nSLocal_check_rcpt\nR$*\t\t\t$#discard $: discard\n";

/// A front under test.
struct Front<'a> {
    name: &'static str,
    server: SocketAddr,
    entry: &'a Entry,
    /// Processes whose memory an idle session costs.
    pids: Vec<u32>,
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let saslauthd = dir.path().join("mux");
    peers::yes_saslauthd(&saslauthd);
    let tls = smtp::trusting();

    let sink = peers::sink();
    let (gate, at) = gate(&dir.path().join("sink"), sink, &saslauthd);
    let fronts = [
        Front {
            name: "bare sink, no TLS, no AUTH",
            server: sink,
            entry: &Entry::Plain,
            pids: vec![],
        },
        Front {
            name: "gate (TLS, AUTH) before it",
            server: at,
            entry: &tls,
            pids: vec![gate.pid()],
        },
    ];
    compare("Before a sink that costs next to nothing", &fronts);
    drop(gate);

    let bare = Sendmail::start(&Options { extra_mc: DISCARD.to_owned(), ..Options::default() });
    let own = Sendmail::start(&Options {
        saslauthd: Some(saslauthd.clone()),
        has_tls: true,
        extra_mc: DISCARD.to_owned(),
        ..Options::default()
    });
    let (gate, at) = self::gate(&dir.path().join("sendmail"), bare.address(), &saslauthd);
    let fronts = [
        Front {
            name: "sendmail (TLS, AUTH) itself",
            server: own.address(),
            entry: &tls,
            pids: vec![own.pid()],
        },
        Front {
            name: "gate (TLS, AUTH) before sendmail",
            server: at,
            entry: &tls,
            pids: vec![gate.pid()],
        },
        Front {
            name: "bare sendmail, no TLS, no AUTH",
            server: bare.address(),
            entry: &Entry::Plain,
            pids: vec![bare.pid()],
        },
    ];
    compare("Before sendmail (accepts and discards)", &fronts);
}

/// Rows for each front; ratios are against the first.
fn compare(title: &str, fronts: &[Front<'_>]) {
    let mut table = table::new(
        title,
        &[
            "front",
            "clients",
            "sessions/s",
            "ratio",
            "messages/s",
            "ratio",
            "p99 ms",
            "MB/s",
            "ratio",
        ],
    );
    for clients in CLIENTS {
        let mut first = None;
        for front in fronts {
            let sessions = load::run(clients, TIME, || || session(front).is_ok());
            let submission = content(SMALL);
            let submissions = load::run(clients, TIME, || || submit(front, &submission).is_ok());
            let messages = messages(front, clients, SMALL);
            let large = self::messages(front, clients, LARGE);
            let megabytes = large.rate * LARGE as f64 / 1e6;
            let failed = sessions.failed + submissions.failed + messages.failed + large.failed;
            let figures = (sessions.rate, messages.rate, megabytes, submissions.rate);
            let base = *first.get_or_insert(figures);
            let name = if failed > 0 {
                format!("{} ({failed} failed)", front.name)
            } else {
                front.name.to_owned()
            };
            table.add_row([
                name,
                clients.to_string(),
                table::rate(figures.0),
                table::ratio(figures.0, base.0),
                table::rate(figures.3),
                table::ratio(figures.3, base.3),
                table::rate(figures.1),
                table::ratio(figures.1, base.1),
                table::ms(messages.p99),
                table::rate(figures.2),
                table::ratio(figures.2, base.2),
            ]);
        }
    }
    println!("{table}");
    for front in fronts.iter().filter(|front| !front.pids.is_empty()) {
        let (kib, processes) = idle_cost(front);
        println!("{}: {kib:.0} KiB and {processes:.2} processes an idle session", front.name);
    }
}

fn session(front: &Front<'_>) -> std::io::Result<()> {
    Session::open(front.server, front.entry)?.quit()
}

/// What a mail program does: one message, and goodbye.
fn submit(front: &Front<'_>, content: &[u8]) -> std::io::Result<()> {
    let mut session = Session::open(front.server, front.entry)?;
    session.send(content)?;
    session.quit()
}

/// Messages a second over sessions that stay open.
fn messages(front: &Front<'_>, clients: usize, bytes: usize) -> load::Figures {
    let content = content(bytes);
    load::run(clients, TIME, || {
        let mut session = Session::open(front.server, front.entry).ok();
        let content = &content;
        move || session.as_mut().is_some_and(|session| session.send(content).is_ok())
    })
}

/// A message of about `bytes` bytes, lines of 72.
fn content(bytes: usize) -> Vec<u8> {
    let mut text = b"Subject: load\r\n\r\n".to_vec();
    while text.len() < bytes {
        text.extend_from_slice(&[b'x'; 72]);
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// KiB of memory (PSS) and processes that one idle, authenticated session costs.
fn idle_cost(front: &Front<'_>) -> (f64, f64) {
    let before = footprint(&front.pids);
    let sessions: Vec<Session> =
        (0..IDLE_SESSIONS).filter_map(|_| Session::open(front.server, front.entry).ok()).collect();
    let after = footprint(&front.pids);
    let count = sessions.len().max(1) as f64;
    ((after.0 - before.0) / count, (after.1 - before.1) / count)
}

/// PSS in KiB and number of processes, children included.
fn footprint(pids: &[u32]) -> (f64, f64) {
    let all = pids.iter().flat_map(|pid| {
        std::iter::once(*pid).chain(descendants(*pid).into_iter().map(|(pid, _)| pid))
    });
    all.fold((0.0, 0.0), |(kib, count), pid| (kib + pss_kib(pid), count + 1.0))
}

fn pss_kib(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0.0)
}

/// A gate with default limits, but for as many sessions from one address as the load needs.
fn gate(dir: &Path, backend: SocketAddr, saslauthd: &Path) -> (Service, SocketAddr) {
    fs::create_dir(dir).expect("the gate's directory");
    let pair =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    fs::write(dir.join("cert.pem"), pair.cert.pem()).expect("cert.pem");
    fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).expect("key.pem");
    fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o600)).expect("its mode");
    let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = format!(
        "[gate]\nhostname = \"gate.test\"\nauth = \"saslauthd:{}\"\nmax_sessions = 2000\n\
         max_sessions_per_address = 2000\nmax_commands = 1000000\n\
         [[gate.listener]]\naddress = \"{at}\"\nkind = \"submission\"\n\
         [[gate.backend]]\naddress = \"{backend}\"\n\
         [tls]\ncertificate = \"{dir}/cert.pem\"\nkey = \"{dir}/key.pem\"\n",
        saslauthd.display(),
        dir = dir.display(),
    );
    let file = dir.join("saslgate.toml");
    fs::write(&file, config).expect("the gate's configuration");
    (Service::start("gate", &file, &[Ready::Tcp(at)]), at)
}
