//! `kill -9` of every process of PAM verification under load: the supervisor
//! that authd started, workers, the standby of a supervisor whose authd gave
//! root up. No answer is wrong, and the service is whole again without help.
#![cfg(test)]

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::activation::{Activated, Load};
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, request};

const OK: &[u8] = b"\0\x02OK";
const CLIENTS: usize = 16;
const KILLS: usize = 10;

/// Pids of the processes whose parent is `parent`, those that nobody waited for included.
fn children(parent: u32) -> Vec<u32> {
    let list = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    list.filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The supervisor below authd, once there is one that lives.
fn helper_of(subject: &Subject) -> u32 {
    let mut found = None;
    wait_until(PATIENCE, || {
        found = children(subject.child.id()).into_iter().find(|pid| group_of(*pid).is_some());
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("no saslgate-pam:\n{}", subject.log()))
}

/// Waits until the right password is accepted again; how long that took.
fn recovery(subject: &Subject) -> Duration {
    let started = Instant::now();
    let is_whole = wait_until(PATIENCE, || subject.ask_right() == OK);
    assert!(is_whole, "it does not come back:\n{}", subject.log());
    started.elapsed()
}

#[test]
fn restarts_under_load_lose_no_request_of_pam() {
    let authd = Activated::start(Kind::Pam, "");
    let load = Load::start(&authd.subject.socket(), CLIENTS);
    for _ in 0..KILLS {
        load.wait_for_answers(2 * CLIENTS as u64);
        authd.replace(Signal::SIGTERM);
    }
    load.wait_for_answers(CLIENTS as u64);
    let (answered, lost, losses) = load.stop();
    assert_eq!(lost, 0, "of {answered}: {losses:?}\n{}", authd.subject.log());
}

#[test]
fn a_killed_supervisor_or_worker_answers_nobody_wrongly_and_comes_back() {
    let subject = Subject::start(Kind::Pam);
    let load = Load::start(&subject.socket(), CLIENTS);
    let mut longest = Duration::ZERO;
    for turn in 0..KILLS {
        load.wait_for_answers(CLIENTS as u64);
        let helper = helper_of(&subject);
        let killed = Instant::now();
        if turn % 2 == 0 {
            process::send(helper, Signal::SIGKILL);
            // Workers follow it a moment later, and may answer until then.
            assert!(wait_until(PATIENCE, || helper_of(&subject) != helper));
        } else {
            children(helper).into_iter().for_each(|worker| process::send(worker, Signal::SIGKILL));
        }
        recovery(&subject);
        longest = longest.max(killed.elapsed());
    }
    let (answered, lost, _) = load.stop();
    println!(
        "kill -9 of saslgate-pam and its workers, {KILLS} times: {answered} answered, \
         {lost} cut off, whole after at most {longest:?}"
    );
}

/// Nobody can start saslgate-pam again then, so it sees to that itself.
#[test]
fn a_killed_supervisor_is_followed_by_its_standby_when_authd_is_not_root() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give it up");
        return;
    }
    let mut subject = Subject::start(Kind::Pam);
    subject.restart_without_root();
    let load = Load::start(&subject.socket(), CLIENTS);
    let mut supervisor = helper_of(&subject);
    let mut known = vec![supervisor];
    let mut longest = Duration::ZERO;
    for _ in 0..KILLS {
        load.wait_for_answers(CLIENTS as u64);
        // The standby is the one child that is not of a process group of its own.
        let standby = wait_for_standby(supervisor);
        known.push(standby);
        process::send(standby, Signal::SIGKILL);
        let mut heir = standby;
        wait_until(PATIENCE, || {
            heir = wait_for_standby(supervisor);
            heir != standby
        });
        process::send(supervisor, Signal::SIGKILL);
        supervisor = heir;
        known.push(heir);
        longest = longest.max(recovery(&subject));
    }
    let (answered, lost, _) = load.stop();
    println!(
        "kill -9 of saslgate-pam below an authd without root, {KILLS} times: {answered} \
         answered, {lost} cut off, whole after at most {longest:?}"
    );
    let last = wait_for_standby(supervisor);
    known.push(last);
    assert_eq!(process::stop(&mut subject.child), Some(0));
    let is_gone = |pid: &u32| group_of(*pid).is_none();
    assert!(wait_until(PATIENCE, || known.iter().all(is_gone)), "left behind: {known:?}");
}

/// As a service of its own it reads `[pam]` again; authd has read the file by itself.
#[test]
fn saslgate_pam_takes_its_settings_over_at_sighup() {
    let mut subject = Subject::start(Kind::Pam);
    process::stop(&mut subject.child);
    let config = fs::read_to_string(subject.config()).unwrap();
    let socket = subject.dir().join("pam.sock");
    let file = subject.config();
    let with = |services: &str| {
        let keys = format!("[pam]\nsocket = \"{}\"\nservices = {services}", socket.display());
        fs::write(&file, config.replace("[pam]", &keys)).unwrap();
    };
    with("[\"smtp\"]");
    let log = fs::File::options().append(true).open(subject.dir().join("log")).unwrap();
    let mut helper = Command::new(env!("CARGO_BIN_EXE_saslgate-pam"))
        .arg("--config")
        .arg(subject.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    // The one that authd had started said so, too.
    let is_ready = || subject.log().matches("saslgate-pam is ready").count() == 2;
    assert!(wait_until(PATIENCE, is_ready), "{}", subject.log());
    with("[\"smtp\", \"pop3\"]");
    subject.restart();
    assert_eq!(subject.ask_right(), OK);
    // pop3 ends behind a right password, as tests/support has it: only PAM can say that.
    let ask = || subject.exchange(&[&request(&[USER, PASSWORD, "pop3", REALM])]);
    ask();
    subject.wait_for_log("saslgate-pam does not serve pop3: its pam.services differ");
    process::send(helper.id(), Signal::SIGHUP);
    let is_served = wait_until(PATIENCE, || ask() == b"\0\x11NO PAM acct error");
    assert!(is_served, "{}", subject.log());
    // A file with a mistake changes nothing, and says so.
    with("[\"smtp\", 7]");
    process::send(helper.id(), Signal::SIGHUP);
    subject.wait_for_log("reload refused, the old configuration stays in force");
    assert_eq!(subject.ask_right(), OK);
    process::stop(&mut subject.child);
    assert_eq!(process::stop(&mut helper), Some(0));
}

/// The standby, seen twice: a worker is of the same group, too, until it has made its own.
fn wait_for_standby(supervisor: u32) -> u32 {
    let mut last = None;
    let is_there = wait_until(PATIENCE, || {
        let now = standby_of(supervisor);
        now.is_some() && std::mem::replace(&mut last, now) == now
    });
    assert!(is_there, "no standby");
    last.unwrap()
}

fn standby_of(supervisor: u32) -> Option<u32> {
    let group = group_of(supervisor)?;
    children(supervisor).into_iter().find(|pid| group_of(*pid) == Some(group))
}

/// Process group of a process that lives (proc(5): fields 3 and 5).
fn group_of(pid: u32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] != "Z").then(|| fields[2].parse().ok())?
}
