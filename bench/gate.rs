//! `saslgate gate` as a share of the ceiling, and beside sendmail: one machine, one run.
//!
//! `cargo bench --features peer-tests --bench gate`, with words behind `--` only
//! the scenes that have one of them in their name. TLS 1.3, ECDSA P-256, full
//! handshakes, STARTTLS, AUTH PLAIN against our authd (store, cache). Load,
//! fronts and sink share the machine's cores, so rates are no limits; the ceiling
//! is a server that does the least (`ceiling.rs`), and shares of it travel.
//! Fronts are asked in turns, and figures are the median of the rounds. The sink
//! knows each message: one that is lost, doubled or altered ends the run.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a program that measures and prints")]

#[path = "ceiling.rs"]
mod ceiling;
#[path = "fronts.rs"]
mod fronts;
#[path = "goals.rs"]
mod goals;
#[path = "load.rs"]
mod load;
#[path = "smtp.rs"]
mod smtp;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "table.rs"]
mod table;
#[path = "usage.rs"]
mod usage;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fronts::{Ceiling, Front, House, Letters};
use goals::Goals;
use load::Figures;
use smtp::{Entry, Session};
use support::sendmail::{Options, Sendmail};
use usage::Usage;

/// One front in one round.
const ROUND: Duration = Duration::from_millis(2000);
const ROUNDS: usize = 5;
const SMALL: usize = 4 * 1024;
const LARGE: usize = 1024 * 1024;
const MESSAGES_A_SESSION: usize = 20;

/// sendmail accepts and drops at RCPT: what is left is its SMTP.
const DISCARD: &str = "LOCAL_RULESETS\nSLocal_check_rcpt\nR$*\t\t\t$#discard $: discard\n";

/// What clients do in one request of the load.
type Work = fn(&Front, &Entry) -> bool;

/// A row of the table.
struct Scene {
    name: &'static str,
    clients: usize,
    work: Work,
    /// What one request counts for.
    weight: f64,
    /// Share of the ceiling to reach.
    goal: f64,
}

const SCENES: &[Scene] = &[
    Scene { name: "logins/s, 256 clients", clients: 256, work: log_in, weight: 1.0, goal: 0.70 },
    Scene {
        name: "sessions with one 4 KiB message/s, 64 clients",
        clients: 64,
        work: submit,
        weight: 1.0,
        goal: 0.70,
    },
    Scene {
        name: "messages/s, 20 a session, 64 clients",
        clients: 64,
        work: submit_many,
        weight: MESSAGES_A_SESSION as f64,
        goal: 0.62,
    },
    Scene {
        name: "messages/s, pipelined, 8 clients",
        clients: 8,
        work: pipelined,
        weight: 1.0,
        goal: 0.55,
    },
    Scene {
        name: "MB/s, 1 MiB messages, 4 clients",
        clients: 4,
        work: large,
        weight: LARGE as f64 / 1e6,
        goal: 0.60,
    },
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|first| first == Ceiling::ARGUMENT) {
        return Ceiling::serve();
    }
    raise_open_files();
    let words: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(*word));
    let house = House::start();
    let entry = smtp::trusting();
    let mut goals = Goals::new();
    let mut table = table::new(
        "before a fast sink",
        &["", "ceiling", "gate", "share", "p99 ms", "ceiling p99"],
    );
    for scene in SCENES.iter().filter(|scene| is_wanted(scene.name)) {
        let runs = alternate(&[&house.ceiling, &house.gate], scene, &entry);
        house.check();
        let [top, ours] = [&runs[0], &runs[1]];
        let share = median((0..ROUNDS).map(|n| ours[n].rate / top[n].rate).collect());
        goals.at_least(scene.name, scene.goal, share);
        table.add_row([
            scene.name.to_owned(),
            rate(top, scene.weight),
            rate(ours, scene.weight),
            format!("{share:.2}"),
            table::ms(p99(ours)),
            table::ms(p99(top)),
        ]);
    }
    println!("{table}");
    if is_wanted("one client") {
        one_client(&house, &entry, &mut goals);
    }
    if is_wanted("cpu") {
        processor_time(&house, &entry, &mut goals);
    }
    if is_wanted("idle") {
        idle(&house, &entry, &mut goals);
    }
    if is_wanted("sendmail") {
        before_sendmail(&house, &entry, &mut goals);
    }
    goals.print();
}

/// Each front in turns, `ROUNDS` times.
fn alternate(fronts: &[&Front], scene: &Scene, entry: &Entry) -> Vec<Vec<Figures>> {
    let mut runs: Vec<Vec<Figures>> = fronts.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (front, run) in fronts.iter().zip(&mut runs) {
            run.push(load::run(scene.clients, ROUND, || || (scene.work)(front, entry)));
        }
    }
    runs
}

fn log_in(front: &Front, entry: &Entry) -> bool {
    Session::open(front.server, entry).is_ok_and(|session| session.quit().is_ok())
}

fn submit(front: &Front, entry: &Entry) -> bool {
    session_of(1, front, entry)
}

fn submit_many(front: &Front, entry: &Entry) -> bool {
    session_of(MESSAGES_A_SESSION, front, entry)
}

fn session_of(count: usize, front: &Front, entry: &Entry) -> bool {
    let Ok(mut session) = Session::open(front.server, entry) else { return false };
    let send = |_| front.letters.send(&mut session, SMALL, Session::send_step_by_step);
    (0..count).all(send) && session.quit().is_ok()
}

thread_local! {
    /// The session of a client that keeps it, with the front it is open to.
    static KEPT: RefCell<Option<(std::net::SocketAddr, Session)>> = const { RefCell::new(None) };
}

fn pipelined(front: &Front, entry: &Entry) -> bool {
    over_kept(front, entry, SMALL)
}

fn large(front: &Front, entry: &Entry) -> bool {
    over_kept(front, entry, LARGE)
}

fn over_kept(front: &Front, entry: &Entry, bytes: usize) -> bool {
    KEPT.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(server, _)| *server != front.server) {
            *kept = Session::open(front.server, entry).ok().map(|open| (front.server, open));
        }
        let Some((_, session)) = kept else { return false };
        front.letters.send(session, bytes, Session::send)
    })
}

fn one_client(house: &House, entry: &Entry, goals: &mut Goals) {
    let login = Scene { name: "", clients: 1, work: log_in, weight: 1.0, goal: 0.0 };
    let message = Scene { work: pipelined, ..login };
    let mut table = table::new("one client, p50 in ms", &["", "ceiling", "gate"]);
    for (what, scene, goal) in [("login", login, 0.60), ("message", message, 0.25)] {
        let runs = alternate(&[&house.ceiling, &house.gate], &scene, entry);
        let times = [&runs[0], &runs[1]].map(|run| {
            median(run.iter().map(|figures| figures.p50.as_secs_f64() * 1000.0).collect())
        });
        goals.at_most(&format!("one client, {what} p50 in ms"), goal, times[1]);
        table.add_row([what.to_owned(), format!("{:.2}", times[0]), format!("{:.2}", times[1])]);
    }
    house.check();
    println!("{table}");
}

/// Processor time of all processes of a front for a session with one message.
fn processor_time(house: &House, entry: &Entry, goals: &mut Goals) {
    let micros = |front: &Front| {
        let used = || front.pids.iter().map(|pid| Usage::of(*pid).cpu).sum::<Duration>();
        let (before, count) = (used(), AtomicU64::new(0));
        load::run(16, ROUND, || {
            || {
                count.fetch_add(1, Ordering::Relaxed);
                submit(front, entry)
            }
        });
        let sessions = count.load(Ordering::Relaxed).max(1) as f64;
        (used() - before).as_secs_f64() * 1e6 / sessions
    };
    let of = |front: &Front| median((0..ROUNDS).map(|_| micros(front)).collect());
    let (top, ours) = (of(&house.ceiling), of(&house.gate));
    println!(
        "\nCPU of a session with one message: ceiling {top:.0} us, gate and authd {ours:.0} us"
    );
    goals.at_most("CPU of a session with one message, in us", 290.0, ours);
    house.check();
}

/// What an idle session with TLS and a login holds.
fn idle(house: &House, entry: &Entry, goals: &mut Goals) {
    const SESSIONS: usize = 10_000;
    let kib = |front: &Front| {
        let held = || front.pids.iter().map(|pid| Usage::of(*pid).pss_kib).sum::<u64>() as f64;
        let before = held();
        let open: Vec<Session> =
            (0..SESSIONS).filter_map(|_| Session::open(front.server, entry).ok()).collect();
        assert_eq!(open.len(), SESSIONS, "sessions that could not be opened");
        // What came with the last of them settles.
        std::thread::sleep(Duration::from_secs(1));
        (held() - before) / SESSIONS as f64
    };
    let (top, ours) = (kib(&house.ceiling), kib(&house.gate));
    println!("\nan idle session, {SESSIONS} of them: ceiling {top:.1} KiB, gate {ours:.1} KiB");
    goals.at_most("KiB of an idle session", 16.0, ours);
}

/// Sessions with one message: sendmail with TLS and AUTH of its own, and behind the gate.
fn before_sendmail(house: &House, entry: &Entry, goals: &mut Goals) {
    let own = Sendmail::start(&Options {
        saslauthd: Some(house.saslauthd.clone()),
        has_tls: true,
        extra_mc: DISCARD.to_owned(),
        ..Options::default()
    });
    let bare = Sendmail::start(&Options { extra_mc: DISCARD.to_owned(), ..Options::default() });
    let gate = house.gate_before(bare.address(), "sendmail");
    let alone = Front {
        server: own.address(),
        pids: Vec::new(),
        letters: Letters::default(),
        _running: None,
    };
    let scene = Scene { name: "", clients: 32, work: submit, weight: 1.0, goal: 0.0 };
    let runs = alternate(&[&alone, &gate], &scene, entry);
    let times = median((0..ROUNDS).map(|n| runs[1][n].rate / runs[0][n].rate).collect());
    println!(
        "\nsessions with one message before real sendmail, 32 clients: sendmail itself {}/s, \
         gate {}/s, {times:.1}x",
        rate(&runs[0], 1.0),
        rate(&runs[1], 1.0),
    );
    goals.at_least("sessions before sendmail, beside sendmail itself", 10.0, times);
}

fn rate(run: &[Figures], weight: f64) -> String {
    let rate = table::rate(weight * median(run.iter().map(|figures| figures.rate).collect()));
    match run.iter().map(|figures| figures.failed).sum::<usize>() {
        0 => rate,
        failed => format!("{rate} ({failed} failed)"),
    }
}

fn p99(run: &[Figures]) -> Duration {
    let times = run.iter().map(|figures| figures.p99.as_secs_f64());
    Duration::from_secs_f64(median(times.collect()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Each idle session is a descriptor here, and in each front: as many as may be had.
fn raise_open_files() {
    let files = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let (_, most) = nix::sys::resource::getrlimit(files).expect("the limit on open files");
    nix::sys::resource::setrlimit(files, most, most).expect("open files up to the limit");
}

/// Waits until `is_so`, and gives up with `what`.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
