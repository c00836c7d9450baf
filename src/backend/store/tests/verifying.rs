//! Answers to attempts, their cost, and the bounds of the pool.

use std::fs;
use std::sync::{Arc, mpsc};

use rusqlite::Connection;

use super::{id, secret, settings, sql, store_with_alice};
use crate::auth::{
    Accepted, Answer, Attempt, RealmSource, Revision, Service, Verification, Verify,
};
use crate::backend::hashing::{HashPool, Refused, Verifier};
use crate::backend::store::{Access, PasswordStore, Settings, Store};
use crate::base::{Origin, ReasonCode};

pub(super) async fn verify(store: &Arc<PasswordStore>, name: &str, password: &str) -> Answer {
    let attempt = Attempt {
        realm: RealmSource::Claim,
        identity: id(name),
        password: secret(password),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    };
    match Arc::clone(store).verify(Arc::new(attempt)) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

#[tokio::test]
async fn answers_what_is_in_the_store_at_the_cost_of_one_hash() {
    let (_directory, settings) = store_with_alice();
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    admin.add(&id("locked"), Some(&secret("s3cret"))).unwrap();
    admin.lock(&id("locked")).unwrap();
    admin.add(&id("bare"), None).unwrap();
    let store = PasswordStore::start(&settings).unwrap();
    let bad = Some(ReasonCode::BadCredentials);
    for (name, password, expected) in [
        ("alice", "s3cret", None),
        ("alice", "s3cre", bad),
        ("alice", "s3cret ", bad),
        ("locked", "s3cret", Some(ReasonCode::AccountLocked)),
        ("locked", "wrong", bad),
        ("bare", "s3cret", bad),
    ] {
        let before = store.hashes();
        match (verify(&store, name, password).await, expected) {
            (Answer::Accepted(Accepted { user: None, .. }), None) => {}
            (Answer::Rejected(reason), Some(code)) => assert_eq!(reason.code, code, "{name}"),
            (other, _) => panic!("{name} {password}: {other:?}"),
        }
        assert_eq!(store.hashes() - before, 1, "{name} {password}");
    }
    let before = store.hashes();
    assert!(matches!(verify(&store, "nobody", "s3cret").await, Answer::Unknown));
    assert_eq!(store.hashes() - before, 1, "an unknown user costs what a wrong password costs");
}

#[tokio::test]
async fn a_stored_verifier_beyond_the_caps_is_an_outage_that_names_the_user() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    for (find, replace) in [("m=64,", "m=2097152,"), ("t=1,", "t=100000,"), ("$argon2id", "x")] {
        sql(
            &settings.path,
            &format!("UPDATE credentials SET verifier = replace(verifier, '{find}', '{replace}')"),
        );
        match verify(&store, "alice", "s3cret").await {
            Answer::Unavailable(reason) => {
                assert_eq!(reason.code, ReasonCode::Damaged);
                assert!(reason.detail.contains("alice@example.org"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(store.hashes(), 0);
}

#[tokio::test]
async fn a_vanished_store_makes_unavailable_and_never_unknown() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    fs::remove_file(&settings.path).unwrap();
    for name in ["alice", "nobody"] {
        match verify(&store, name, "s3cret").await {
            Answer::Unavailable(reason) => assert_eq!(reason.code, ReasonCode::BackendDown),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_is_locked_for_a_moment_delays_the_answer_and_no_async_thread() {
    let (directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    // A restored file that another process still holds, to recover its log for instance.
    let restored = directory.path().join("restored.db");
    fs::copy(&settings.path, &restored).unwrap();
    let other = Connection::open(&restored).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT;").unwrap();
    fs::rename(&restored, &settings.path).unwrap();
    let attempt = Attempt {
        realm: RealmSource::Claim,
        identity: id("alice"),
        password: secret("s3cret"),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    };
    let Verification::Pending(answer) = Arc::clone(&store).verify(Arc::new(attempt)) else {
        panic!("the answer is there at once");
    };
    drop(other);
    assert!(matches!(answer.await, Answer::Accepted(_)));
}

#[tokio::test]
async fn starts_on_nothing_with_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let store = PasswordStore::start(&settings).unwrap();
    assert!(matches!(verify(&store, "alice", "s3cret").await, Answer::Unknown));
    Store::open(&settings, Access::Existing)
        .unwrap()
        .add(&id("alice"), Some(&secret("s3cret")))
        .unwrap();
    assert!(matches!(verify(&store, "alice", "s3cret").await, Answer::Accepted(_)));
}

#[tokio::test]
async fn the_last_use_is_written_when_the_store_stops() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    assert!(matches!(verify(&store, "alice", "wrong").await, Answer::Rejected(_)));
    store.stop();
    let last_used = || {
        let admin = Store::open(&settings, Access::Existing).unwrap();
        admin.find(&id("alice")).unwrap().unwrap().last_used
    };
    assert_eq!(last_used(), None);
    let store = PasswordStore::start(&settings).unwrap();
    assert!(matches!(verify(&store, "alice", "s3cret").await, Answer::Accepted(_)));
    drop(store);
    assert!(last_used().is_some());
}

#[tokio::test]
async fn a_stopped_store_is_unavailable() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    store.stop();
    match verify(&store, "alice", "s3cret").await {
        Answer::Unavailable(reason) => assert_eq!(reason.code, ReasonCode::Stopping),
        other => panic!("{other:?}"),
    }
}

// --- what a cached answer rests on

#[test]
fn the_revision_stays_while_nobody_writes_and_changes_with_any_commit() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    let settled = settled_revision(&store);
    for _ in 0..100 {
        assert_eq!(store.revision(), settled);
    }
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    let mut before = settled;
    for round in 0..100 {
        admin.set_password(&id("alice"), &secret(&format!("p{round}"))).unwrap();
        let after = store.revision();
        assert_ne!(after, before, "round {round}");
        before = after;
    }
}

/// Each of the readers counts the changes on its own, so the first looks may differ.
fn settled_revision(store: &PasswordStore) -> Revision {
    let mut last = store.revision();
    for _ in 0..100 {
        last = store.revision();
    }
    last
}

#[test]
fn the_grounds_of_a_user_change_with_that_user_only() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    let (alice, bob) = (id("alice"), id("bob"));
    let first = (store.grounds(&alice), store.grounds(&bob));
    admin.add(&bob, Some(&secret("s3cret"))).unwrap();
    let second = (store.grounds(&alice), store.grounds(&bob));
    assert_eq!(second.0, first.0);
    assert_ne!(second.1, first.1);
    admin.set_password(&alice, &secret("s3cret")).unwrap();
    assert_ne!(store.grounds(&alice), first.0, "the same password, set anew");
    assert_eq!(store.grounds(&bob), second.1);
    let unlocked = store.grounds(&alice);
    admin.lock(&alice).unwrap();
    assert_ne!(store.grounds(&alice), unlocked);
    admin.unlock(&alice).unwrap();
    assert_eq!(store.grounds(&alice), unlocked);
    sql(&settings.path, "UPDATE users SET last_used = 7");
    assert_eq!(store.grounds(&alice), unlocked, "a login is no reason to forget another");
}

#[test]
fn a_file_that_was_replaced_or_is_gone_shows_in_the_revision() {
    let (directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    let backup = directory.path().join("backup.db");
    fs::copy(&settings.path, &backup).unwrap();
    Store::open(&settings, Access::Existing).unwrap().delete(&id("alice")).unwrap();
    let (before, grounds) = (settled_revision(&store), store.grounds(&id("alice")));
    fs::rename(&backup, &settings.path).unwrap();
    assert_ne!(store.revision(), before);
    assert_ne!(store.grounds(&id("alice")), grounds, "the restored file has her");
    let before = settled_revision(&store);
    fs::remove_file(&settings.path).unwrap();
    assert_ne!(store.revision(), before);
    assert_eq!(store.grounds(&id("alice")), None, "nothing can be told of a file that is gone");
}

#[test]
fn an_acceptance_that_was_recalled_counts_as_a_use() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    store.recalled(&id("alice"), None);
    drop(store);
    let admin = Store::open(&settings, Access::Existing).unwrap();
    assert!(admin.find(&id("alice")).unwrap().unwrap().last_used.is_some());
}

// --- the pool

#[test]
fn the_queue_of_the_pool_is_bounded_and_drops_what_nobody_waits_for() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { max_waiting: 2, ..settings(&directory) };
    let cost = settings.cost().unwrap();
    let pool = HashPool::start(settings.hash_threads, settings.max_waiting, cost).unwrap();
    let (started, wait_started) = mpsc::channel();
    let (release, wait_release) = mpsc::channel::<()>();
    let running = pool.submit(move |_| {
        started.send(()).unwrap();
        wait_release.recv().unwrap();
    });
    wait_started.recv().unwrap();
    let verifier = Arc::new(Verifier::dummy(cost).unwrap());
    let submit = || {
        let verifier = Arc::clone(&verifier);
        pool.submit(move |worker| worker.matches(&verifier, &secret("x")).unwrap())
    };
    let abandoned = submit().unwrap();
    let awaited = submit().unwrap();
    assert_eq!(submit().err(), Some(Refused::Busy));
    drop(abandoned);
    release.send(()).unwrap();
    assert!(!awaited.blocking_recv().unwrap());
    assert_eq!(pool.hashes(), 1, "the abandoned job cost nothing");
    running.unwrap().blocking_recv().unwrap();
    pool.stop();
    assert_eq!(submit().err(), Some(Refused::Stopping));
}
