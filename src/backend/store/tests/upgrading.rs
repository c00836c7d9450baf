//! Hashes of others, and our own of other days, become those of today at the
//! next login, and nothing that was set meanwhile is undone.

use std::sync::Arc;

use rusqlite::Connection;

use super::verifying::verify;
use super::{id, secret, settings, sql, store_with_alice};
use crate::auth::Answer;
use crate::backend::store::{Access, Kind, PasswordStore, Scram, Settings, Store};
use crate::base::ReasonCode;

/// Of `s3cret`.
const SHA512_CRYPT: &str = "$6$saltstring$xwVXmdoFwkuFfkvrCnFqepsb1G.0z7.VoLCq69.god.O.zXvYSQsLM/oDMuI05ufmibO/tzUYEh4IPt9kZAc0.";
const SALTED: &str = "{SSHA}JVrhyTqab1YvH3vR2b1RYUumqqZzYWx0";

fn import(settings: &Settings, kind: Kind, verifier: &str) {
    let kind = kind.as_str();
    sql(
        &settings.path,
        &format!("UPDATE credentials SET kind = '{kind}', verifier = '{verifier}'"),
    );
}

/// Kind and verifier of alice's password.
fn stored(settings: &Settings) -> Vec<(String, String)> {
    let connection = Connection::open(&settings.path).unwrap();
    let mut rows = connection.prepare("SELECT kind, verifier FROM credentials").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(|row| row.unwrap()).collect()
}

async fn accepts(store: &Arc<PasswordStore>, password: &str) -> bool {
    match verify(store, "alice", password).await {
        Answer::Accepted(_) => true,
        Answer::Rejected(reason) => {
            assert_eq!(reason.code, ReasonCode::BadCredentials);
            false
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_imported_hash_is_argon2id_after_the_first_login() {
    for verifier in [SHA512_CRYPT, SALTED] {
        let (_directory, settings) = store_with_alice();
        import(&settings, Kind::Crypt, verifier);
        let store = PasswordStore::start(&settings).unwrap();
        assert!(!accepts(&store, "wrong").await);
        assert_eq!(store.hashes(), 2, "its own, and the one that hides it");
        assert_eq!(stored(&settings), [("crypt".to_owned(), verifier.to_owned())]);
        assert!(accepts(&store, "s3cret").await);
        store.stop();
        let after = stored(&settings);
        assert_eq!(after.len(), 1);
        assert_eq!(after[0].0, "argon2id");
        assert!(after[0].1.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{after:?}");
        let store = PasswordStore::start(&settings).unwrap();
        assert!(accepts(&store, "s3cret").await && !accepts(&store, "wrong").await);
        store.stop();
        assert_eq!(stored(&settings), after, "once is enough");
    }
}

#[tokio::test]
async fn other_costs_become_those_of_the_settings() {
    let (_directory, settings) = store_with_alice();
    let before = stored(&settings);
    let dearer = Settings { memory_kib: 128, scram: Scram::Made, ..settings.clone() };
    let store = PasswordStore::start(&dearer).unwrap();
    assert!(!accepts(&store, "wrong").await);
    assert!(accepts(&store, "s3cret").await);
    store.stop();
    let after = stored(&settings);
    assert_ne!(after, before);
    assert!(after[0].1.starts_with("$argon2id$v=19$m=128,t=1,p=1$"), "{after:?}");
    assert_eq!(after[1].0, "scram-sha-256", "made, since the password was at hand");
}

#[tokio::test]
async fn a_password_that_was_set_meanwhile_stays() {
    let (_directory, settings) = store_with_alice();
    import(&settings, Kind::Crypt, SALTED);
    let store = PasswordStore::start(&settings).unwrap();
    assert!(accepts(&store, "s3cret").await);
    // The upgrade is noted, and perhaps not written yet. Whichever comes first, the new one stays.
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    admin.set_password(&id("alice"), &secret("set meanwhile")).unwrap();
    let set = stored(&settings);
    store.stop();
    assert_eq!(stored(&settings), set);
}

#[tokio::test]
async fn a_user_who_was_deleted_or_locked_meanwhile_stays_so() {
    let (_directory, settings) = store_with_alice();
    import(&settings, Kind::Crypt, SALTED);
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    let store = PasswordStore::start(&settings).unwrap();
    assert!(accepts(&store, "s3cret").await);
    admin.delete(&id("alice")).unwrap();
    store.stop();
    assert_eq!(stored(&settings), []);
    admin.add(&id("alice"), Some(&secret("x"))).unwrap();
    import(&settings, Kind::Crypt, SALTED);
    admin.lock(&id("alice")).unwrap();
    let store = PasswordStore::start(&settings).unwrap();
    match verify(&store, "alice", "s3cret").await {
        Answer::Rejected(reason) => assert_eq!(reason.code, ReasonCode::AccountLocked),
        other => panic!("{other:?}"),
    }
    store.stop();
    assert_eq!(stored(&settings), [("crypt".to_owned(), SALTED.to_owned())]);
}

#[tokio::test]
async fn an_imported_hash_that_cannot_be_checked_is_an_outage() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    Store::open(&settings, Access::Create).unwrap().add(&id("alice"), Some(&secret("x"))).unwrap();
    let store = PasswordStore::start(&settings).unwrap();
    for verifier in ["", "!", "ab01FAX.bQRSU", "$6$", "{SSHA}", "{CRAM-MD5}00", "$2b$31$"] {
        import(&settings, Kind::Crypt, verifier);
        match verify(&store, "alice", "s3cret").await {
            Answer::Unavailable(reason) => {
                assert_eq!(reason.code, ReasonCode::Damaged);
                assert!(reason.detail.contains("alice@example.org"), "{reason}");
            }
            other => panic!("{verifier}: {other:?}"),
        }
    }
}
