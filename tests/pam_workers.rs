//! The workers of `saslgate-pam`: modules that hang or crash, queues, signals, and
//! ends of every kind, with the real libpam.
//!
//! Needs what `support/pam.rs` needs.
#![cfg(test)]

mod support;

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use saslgate::auth::Answer;
use saslgate::base::ReasonCode;

use support::pam::{PASSWORD, World, assert_accepted, assert_unavailable, is_alive, login, until};

#[tokio::test]
async fn a_module_that_hangs_is_killed_and_others_go_on() {
    let world = World::with("auth=sleep", |settings| settings.timeout = Duration::from_secs(2));
    world.module("imap", "");
    let hung = world.begin("smtp");
    until("the hung worker", || world.workers().len() == 1).await;
    let victim = *world.workers().iter().next().unwrap();
    for _ in 0..20 {
        assert_accepted(&login(&world.pam, "imap", PASSWORD).await);
    }
    assert_unavailable(&hung.await.unwrap(), ReasonCode::Timeout);
    until("the end of the hung worker", || !is_alive(victim)).await;
    until("its line in the log", || world.log().contains("did not end in time")).await;
    assert!(world.log().contains(&format!("service=smtp user=alice pid={victim}")));
    assert_accepted(&login(&world.pam, "imap", PASSWORD).await);
}

#[tokio::test]
async fn hung_workers_give_their_places_back() {
    let world = World::with("auth=sleep", |settings| {
        settings.timeout = Duration::from_secs(1);
        settings.max_workers = 2;
    });
    let (first, second) = (world.begin("smtp"), world.begin("smtp"));
    assert_unavailable(&first.await.unwrap(), ReasonCode::Timeout);
    assert_unavailable(&second.await.unwrap(), ReasonCode::Timeout);
    world.module("smtp", "");
    until("the end of the hung workers", || world.workers().is_empty()).await;
    assert_accepted(&world.login(PASSWORD).await);
}

#[tokio::test]
async fn a_module_that_crashes_costs_one_request() {
    let world = World::new("");
    for (arguments, told) in [
        ("auth=segv", "signal=SIGSEGV"),
        ("acct=abort", "signal=SIGABRT"),
        ("auth=exit", "ended by a module: service=smtp user=alice"),
    ] {
        world.module("smtp", arguments);
        assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
        until("its line in the log", || world.log().contains(told)).await;
        world.module("smtp", "");
        assert_accepted(&world.login(PASSWORD).await);
    }
}

#[tokio::test]
async fn many_requests_share_few_workers() {
    let world = World::new(&format!("password={PASSWORD}"));
    let logins: Vec<_> = (0..200).map(|_| world.begin("smtp")).collect();
    let mut most = 0;
    for login in logins {
        most = most.max(world.workers().len());
        assert_accepted(&login.await.unwrap());
    }
    assert!(most <= 4, "{most} workers");
    assert!(world.workers().len() <= 4);
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once() {
    let world = World::with("wait=DIR/go", |settings| {
        settings.services = vec!["smtp".to_owned()];
        settings.max_workers = 2;
        settings.max_waiting = 3;
    });
    let mut logins: Vec<_> = (0..9).map(|_| world.begin("smtp")).collect();
    let mut busy = 0;
    until("the refusals", || {
        busy += logins.extract_if(.., |login| login.is_finished()).count();
        busy == 4
    })
    .await;
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::Busy);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(logins.len(), 5);
    for login in logins {
        assert_accepted(&login.await.unwrap());
    }
}

#[tokio::test]
async fn a_service_that_hangs_leaves_the_others_workers_and_places() {
    let world = World::with("wait=DIR/go", |settings| {
        settings.max_workers = 4;
        settings.max_waiting = 8;
    });
    world.module("imap", "");
    let hung: Vec<_> = (0..50).map(|_| world.begin("smtp")).collect();
    // It has three of the workers and six of the places, and all else is refused at once.
    until("the refusals", || hung.iter().filter(|login| login.is_finished()).count() == 41).await;
    until("the workers", || world.workers().len() == 3).await;
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::Busy);
    for _ in 0..20 {
        assert_accepted(&login(&world.pam, "imap", PASSWORD).await);
    }
    let others: Vec<_> = (0..2).map(|_| world.begin("imap")).collect();
    for other in others {
        assert_accepted(&other.await.unwrap());
    }
    assert!(hung.iter().filter(|login| !login.is_finished()).count() == 9);
    fs::write(world.path("go"), "").unwrap();
    for login in hung {
        let answer = login.await.unwrap();
        if !matches!(&answer, Answer::Unavailable(reason) if reason.code == ReasonCode::Busy) {
            assert_accepted(&answer);
        }
    }
}

#[tokio::test]
async fn idle_workers_leave_and_come_back() {
    let world = World::with("", |settings| settings.idle_timeout = Duration::from_millis(200));
    assert_accepted(&world.login(PASSWORD).await);
    until("the end of the idle worker", || world.workers().is_empty()).await;
    assert_accepted(&world.login(PASSWORD).await);
}

#[tokio::test]
async fn a_login_in_the_moment_a_worker_leaves_is_not_lost() {
    // Each round asks about when the idle time is over.
    let idle = Duration::from_millis(20);
    let world = World::with("", |settings| settings.idle_timeout = idle);
    for round in 0..100u32 {
        assert_accepted(&world.login(PASSWORD).await);
        tokio::time::sleep(idle - Duration::from_millis(1) + Duration::from_micros(20) * round)
            .await;
    }
}

#[tokio::test]
async fn a_worker_is_replaced_after_its_requests() {
    let world = World::with("leak=65536", |settings| settings.requests_per_worker = 3);
    let mut seen = HashSet::new();
    for _ in 0..9 {
        assert_accepted(&world.login(PASSWORD).await);
        seen.extend(world.workers());
    }
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(world.workers().len() <= 1);
}

#[tokio::test]
async fn sigterm_lets_a_running_request_finish() {
    let mut world = World::new("count=DIR/count wait=DIR/go");
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    kill(world.pid(), Signal::SIGTERM).unwrap();
    until("its line in the log", || world.log().contains("stopping")).await;
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    assert!(is_alive(world.pid().as_raw()));
    fs::write(world.path("go"), "").unwrap();
    assert_accepted(&running.await.unwrap());
    assert!(world.child.wait().unwrap().success());
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_module_that_hangs_for_ever() {
    let mut world = World::with("count=DIR/count auth=sleep", |settings| {
        settings.timeout = Duration::from_secs(2);
    });
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    kill(world.pid(), Signal::SIGTERM).unwrap();
    assert_unavailable(&running.await.unwrap(), ReasonCode::Timeout);
    assert!(world.child.wait().unwrap().success());
}

#[tokio::test]
async fn sighup_replaces_the_workers_and_loses_no_request() {
    let world = World::new("count=DIR/count wait=DIR/go");
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    let before = world.workers();
    kill(world.pid(), Signal::SIGHUP).unwrap();
    fs::write(world.path("go"), "").unwrap();
    assert_accepted(&running.await.unwrap());
    until("the end of the old worker", || world.workers().is_disjoint(&before)).await;
    assert_accepted(&world.login(PASSWORD).await);
}

#[tokio::test]
async fn the_supervisor_ends_when_its_authd_has_gone() {
    let mut world = World::new("");
    assert_accepted(&world.login(PASSWORD).await);
    let workers = world.workers();
    drop(world.pipe.take());
    assert!(world.child.wait().unwrap().success());
    assert!(workers.iter().all(|pid| !is_alive(*pid)));
}

#[tokio::test]
async fn workers_die_with_a_supervisor_that_is_killed() {
    let mut world = World::new("count=DIR/count auth=sleep");
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    let workers = world.workers();
    assert_eq!(workers.len(), 1);
    world.child.kill().unwrap();
    assert_unavailable(&running.await.unwrap(), ReasonCode::BackendDown);
    until("the end of the worker", || workers.iter().all(|pid| !is_alive(*pid))).await;
}
