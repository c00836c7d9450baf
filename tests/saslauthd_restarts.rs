//! authd under load, replaced and killed: with socket activation a restart
//! loses no request, and `kill -9` of any process answers none wrongly.
#![cfg(test)]

mod support;

use std::time::Duration;

use nix::sys::signal::Signal;
use support::activation::{Activated, Load};
use support::process;
use support::saslauthd::Kind;

const CLIENTS: usize = 64;
const RESTARTS: u64 = 50;
const KILLS: u64 = 20;

#[test]
fn fifty_restarts_under_load_lose_no_request() {
    let authd = Activated::start(Kind::Store, "");
    let load = Load::start(&authd.subject.socket(), CLIENTS);
    let mut longest = Duration::ZERO;
    for _ in 0..RESTARTS {
        load.wait_for_answers(CLIENTS as u64);
        process::send(authd.pid(), Signal::SIGHUP);
        load.wait_for_answers(CLIENTS as u64);
        authd.replace(Signal::SIGTERM);
        longest = longest.max(load.wait_for_answers(1));
    }
    let (answered, lost, losses) = load.stop();
    assert_eq!(lost, 0, "of {answered}: {losses:?}\n{}", authd.subject.log());
    println!(
        "{RESTARTS} reloads and restarts, {CLIENTS} clients: {answered} answered, none lost, \
         first answer of a new authd after at most {longest:?}"
    );
}

#[test]
fn a_killed_authd_answers_nobody_wrongly_and_the_next_one_serves() {
    let authd = Activated::start(Kind::Store, "");
    let load = Load::start(&authd.subject.socket(), CLIENTS);
    let mut longest = Duration::ZERO;
    for _ in 0..KILLS {
        load.wait_for_answers(CLIENTS as u64);
        authd.replace(Signal::SIGKILL);
        longest = longest.max(load.wait_for_answers(1));
    }
    let (answered, lost, _) = load.stop();
    println!(
        "kill -9 of authd, {KILLS} times: {answered} answered, {lost} cut off, \
         whole after at most {longest:?}"
    );
}
