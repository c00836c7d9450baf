//! `saslgate authd` beside Cyrus saslauthd: same machine, same users, one run.
//!
//! `cargo bench --features peer-tests --bench authd`, with words behind `--` only
//! the scenes that have one of them in their name; needs root. The daemons run
//! side by side and are asked in turns (A B A B ...), so that what else the
//! machine does meets both; figures are the median of the rounds, ratios the
//! median of the rounds' ratios. Load and daemons share the machine's cores, so a
//! row compares daemons and is no absolute limit.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a program that measures and prints")]

#[path = "daemons.rs"]
mod daemons;
#[path = "goals.rs"]
mod goals;
#[path = "knocking.rs"]
mod knocking;
#[path = "place.rs"]
mod place;
#[path = "rounds.rs"]
mod rounds;
#[path = "table.rs"]
mod table;
#[path = "usage.rs"]
mod usage;

use std::path::Path;
use std::thread;
use std::time::Duration;

use daemons::{CYRUS, Daemon};
use goals::Goals;
use knocking::Group;
use place::{OTHER, PASSWORD, USER, request};
use rounds::{Run, alternate, ratio};

/// Rounds of a comparison that only the daemons' own speed decides.
const SHORT: Duration = Duration::from_millis(1000);
/// Rounds of one where modules wait or hash.
const LONG: Duration = Duration::from_millis(2500);

/// A scene: its name, and what plays in it.
type Scene = (&'static str, fn(&Path, &mut Goals) -> Result<(), String>);

const SCENES: &[Scene] = &[
    ("idle", idle),
    ("cached", cached),
    ("users", users),
    ("sasldb", sasldb),
    ("pam", pam),
    ("slow", slow),
    ("crowd", crowd),
    ("wrong", wrong),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, socket] = &words[..]
        && first == daemons::ECHO
    {
        return daemons::echo_server(Path::new(socket));
    }
    if !nix::unistd::geteuid().is_root() || !Path::new(CYRUS).exists() {
        println!("authd: SKIPPED: needs root and {CYRUS}");
        return;
    }
    let words: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let mut goals = Goals::new();
    for (name, play) in SCENES {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        place::prepare(dir.path());
        if let Err(log) = play(dir.path(), &mut goals) {
            println!("\n{name}: SKIPPED: saslgate authd did not start:\n{log}");
        }
    }
    goals.print();
}

/// Our settings: `authd` are lines of `[authd]`, `more` whole sections.
fn config(dir: &Path, authd: &str, more: &str) -> String {
    let services = place::SERVICES.map(|name| format!("\"{name}\"")).join(", ");
    let dir = dir.display();
    format!(
        "[authd]\n{authd}\nsocket = \"{dir}/ours/mux\"\ndefault_realm = \"bench.test\"\n\
         [pam]\nservices = [{services}]\n\
         [store]\npath = \"{dir}/users.db\"\nmemory = \"8KiB\"\niterations = 1\n{more}\n"
    )
}

const CACHE: &str = "[cache]\nenabled = true\n";

/// So many clients that ask for `service` with the right password.
fn right(clients: usize, service: &str) -> Group {
    let requests = vec![request(USER, PASSWORD, service)];
    Group { clients, requests, wants: b"OK", after: None }
}

/// As many clients as there are users of the store, up to a thousand, in turns.
fn each_user(clients: usize, users: u32) -> Group {
    let requests = (0..users.min(1000)).map(|n| request(&format!("u{n}"), PASSWORD, "fast"));
    Group { clients, requests: requests.collect(), wants: b"OK", after: None }
}

/// One login in ten is wrong; nobody who is right waits for it.
fn one_wrong_in_ten(clients: usize, service: &str) -> [Group; 2] {
    let requests = vec![request(OTHER, "wrong", service)];
    [right(clients, service), Group { clients, requests, wants: b"NO", after: Some(9) }]
}

fn warm(daemon: &Daemon, group: &Group) {
    knocking::run(&daemon.socket, std::slice::from_ref(group), Duration::from_secs(1));
}

fn idle(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    place::store(dir, &config(dir, "", ""), 10);
    let ours = Daemon::ours(dir, &config(dir, "backends = [\"store\", \"pam\"]", ""))?;
    let cyrus = Daemon::cyrus(dir, &["-a", "pam"]);
    // Both have answered once, to whoever waited for their sockets.
    thread::sleep(Duration::from_secs(1));
    let mut table = table::new("idle", &["", "processes", "PSS KiB", "RSS KiB"]);
    for (name, daemon) in [("saslgate (authd, helper)", &ours), ("Cyrus -n 5", &cyrus)] {
        let usage = daemon.usage();
        let numbers = [usage.processes as u64, usage.pss_kib, usage.rss_kib];
        let row = numbers.map(|number| number.to_string());
        table.add_row([name.to_owned()].into_iter().chain(row));
    }
    println!("{table}");
    let mib = |kib: u64| kib as f64 / 1024.0;
    goals.at_most("resident memory, idle, MiB (RSS)", 12.0, mib(ours.usage().rss_kib));
    Ok(())
}

fn cached(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let ours = Daemon::ours(dir, &config(dir, "backends = [\"sasldb\"]", CACHE))?;
    let cyrus = Daemon::cyrus(dir, &["-a", "sasldb", "-c"]);
    let echo = Daemon::echo(dir);
    let mut table = rounds::table("-a sasldb -c: cached answers");
    for clients in [1, 8, 64, 256] {
        let ask = [right(clients, "fast")];
        warm(&ours, &ask[0]);
        warm(&cyrus, &ask[0]);
        let runs = alternate(&[(&ours, &ask[..]), (&cyrus, &ask[..]), (&echo, &ask[..])], SHORT);
        let [ours, cyrus, echo] = &runs[..] else { unreachable!("three daemons") };
        let what = format!("{clients} clients");
        rounds::row(&mut table, &what, 0, ours, Some(cyrus));
        rounds::row(&mut table, "  echo", 0, echo, None);
        if clients >= 64 {
            goals.at_least(
                &format!("cached, {what}: times Cyrus -c"),
                1.8,
                ratio(ours, cyrus, Run::RATE),
            );
            goals.at_most(
                &format!("cached, {what}: p99, times Cyrus's"),
                0.25,
                ratio(ours, cyrus, Run::P99),
            );
            goals.at_least(
                &format!("cached, {what}: times the echo server"),
                0.7,
                ratio(ours, echo, Run::RATE),
            );
            goals.at_most(
                &format!("cached, {what}: CPU a request, times Cyrus's"),
                0.5,
                ratio(ours, cyrus, Run::CPU),
            );
        }
    }
    println!("{table}");
    Ok(())
}

fn users(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let mut table = rounds::table("the store, cache warm, 1,000 of its users log in in turns");
    let many = dir.join("many");
    std::fs::create_dir(&many).expect("a directory");
    place::prepare(&many);
    let start = |dir: &Path, count: u32| {
        place::store(dir, &config(dir, "", ""), count);
        Daemon::ours(dir, &config(dir, "backends = [\"store\"]", CACHE))
    };
    let (few, many) = (start(dir, 1_000)?, start(&many, 1_000_000)?);
    let ask = [each_user(64, 1_000)];
    warm(&few, &ask[0]);
    warm(&many, &ask[0]);
    let runs = alternate(&[(&few, &ask[..]), (&many, &ask[..])], SHORT);
    rounds::row(&mut table, "1,000 users", 0, &runs[0], None);
    rounds::row(&mut table, "1,000,000 users", 0, &runs[1], None);
    println!("{table}");
    goals.at_least(
        "store, cache warm: 1,000,000 users, times 1,000 users",
        0.9,
        ratio(&runs[1], &runs[0], Run::RATE),
    );
    Ok(())
}

fn sasldb(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let ours = Daemon::ours(dir, &config(dir, "backends = [\"sasldb\"]", ""))?;
    let cyrus = Daemon::cyrus(dir, &["-a", "sasldb"]);
    let mut table = rounds::table("-a sasldb on an unchanged sasldb2, no cache");
    for clients in [1, 8, 64, 256] {
        let ask = [right(clients, "fast")];
        let runs = alternate(&[(&ours, &ask[..]), (&cyrus, &ask[..])], SHORT);
        let what = format!("{clients} clients");
        rounds::row(&mut table, &what, 0, &runs[0], Some(&runs[1]));
        if clients >= 64 {
            goals.at_least(
                &format!("sasldb, {what}: times Cyrus"),
                2.0,
                ratio(&runs[0], &runs[1], Run::RATE),
            );
        }
    }
    println!("{table}");
    Ok(())
}

/// Both daemons, asking PAM.
fn with_pam(dir: &Path) -> Result<(Daemon, Daemon), String> {
    let ours = Daemon::ours(dir, &config(dir, "backends = [\"pam\"]", ""))?;
    Ok((ours, Daemon::cyrus(dir, &["-a", "pam"])))
}

fn pam(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let (ours, cyrus) = with_pam(dir)?;
    let mut table = rounds::table("PAM, no cache");
    for (service, module) in [("fast", "pam_permit"), ("userdb", "pam_userdb")] {
        for clients in [1, 64] {
            let ask = [right(clients, service)];
            let runs = alternate(&[(&ours, &ask[..]), (&cyrus, &ask[..])], SHORT);
            let what = format!("{module}, {clients} clients");
            rounds::row(&mut table, &what, 0, &runs[0], Some(&runs[1]));
            if clients == 64 {
                goals.at_least(
                    &format!("{what}: times Cyrus"),
                    2.0,
                    ratio(&runs[0], &runs[1], Run::RATE),
                );
                goals.at_most(
                    &format!("{what}: p99, times Cyrus's"),
                    0.5,
                    ratio(&runs[0], &runs[1], Run::P99),
                );
            }
        }
    }
    println!("{table}");
    Ok(())
}

fn slow(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let (ours, cyrus) = with_pam(dir)?;
    let mut table = rounds::table("8 clients on pam_permit, 64 on a module that takes 200 ms");
    let (alone, both) = ([right(8, "fast")], [right(8, "fast"), right(64, "slow")]);
    let calm = alternate(&[(&ours, &alone[..]), (&cyrus, &alone[..])], SHORT);
    let busy = alternate(&[(&ours, &both[..]), (&cyrus, &both[..])], LONG);
    rounds::row(&mut table, "the fast, undisturbed", 0, &calm[0], Some(&calm[1]));
    rounds::row(&mut table, "the fast, beside the slow", 0, &busy[0], Some(&busy[1]));
    rounds::row(&mut table, "the slow", 1, &busy[0], Some(&busy[1]));
    println!("{table}");
    goals.at_least(
        "fast beside slow: of the undisturbed rate",
        0.8,
        ratio(&busy[0], &calm[0], Run::RATE),
    );
    goals.at_least("64 slow clients: logins a second", 320.0 * 0.95, busy[0].rate(1));
    Ok(())
}

fn crowd(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let (ours, cyrus) = with_pam(dir)?;
    let mut table = rounds::table("400 clients, 10 % of them on a module that takes 200 ms");
    let (alone, both) = ([right(360, "fast")], [right(360, "fast"), right(40, "slow")]);
    let calm = alternate(&[(&ours, &alone[..]), (&cyrus, &alone[..])], SHORT);
    let busy = alternate(&[(&ours, &both[..]), (&cyrus, &both[..])], LONG);
    rounds::row(&mut table, "360 fast, undisturbed", 0, &calm[0], Some(&calm[1]));
    rounds::row(&mut table, "360 fast, beside the slow", 0, &busy[0], Some(&busy[1]));
    rounds::row(&mut table, "40 slow", 1, &busy[0], Some(&busy[1]));
    println!("{table}");
    goals.at_most(
        "400 clients, 10 % slow: p99 of the others, times undisturbed",
        2.0,
        ratio(&busy[0], &calm[0], Run::P99),
    );
    Ok(())
}

fn wrong(dir: &Path, goals: &mut Goals) -> Result<(), String> {
    let (ours, cyrus) = with_pam(dir)?;
    let mut table =
        rounds::table("pam_unix (yescrypt), 8 clients; then with one wrong password in ten logins");
    let (alone, both) = ([right(8, "unix")], one_wrong_in_ten(8, "unix"));
    let calm = alternate(&[(&ours, &alone[..]), (&cyrus, &alone[..])], LONG);
    let busy = alternate(&[(&ours, &both[..]), (&cyrus, &both[..])], LONG);
    rounds::row(&mut table, "all right", 0, &calm[0], Some(&calm[1]));
    rounds::row(&mut table, "the right ones of 10 % wrong", 0, &busy[0], Some(&busy[1]));
    rounds::row(&mut table, "the wrong ones", 1, &busy[0], Some(&busy[1]));
    println!("{table}");
    goals.at_least(
        "10 % wrong passwords: right ones, of their rate without",
        0.8,
        ratio(&busy[0], &calm[0], Run::RATE),
    );
    Ok(())
}
