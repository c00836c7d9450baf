//! App passwords beside the password of the account: who gets in, what it
//! costs, and what a cache may remember of it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{id, secret, settings, sql, store_with_alice};
use crate::auth::{Accepted, Answer, Attempt, RealmSource, Service, Verification, Verify};
use crate::backend::store::{
    Access, Label, Moment, PasswordStore, Scope, Settings, State, Store, StoreError,
};
use crate::base::{Origin, ReasonCode, Secret};

/// The answer, and whether it was there at once.
async fn ask(
    store: &Arc<PasswordStore>,
    name: &str,
    password: &Secret,
    service: &str,
) -> (Answer, bool) {
    let attempt = Attempt {
        realm: RealmSource::Claim,
        identity: id(name),
        password: Secret::copied_from(password.expose()).unwrap(),
        service: Service::from_wire(service.as_bytes()).unwrap(),
        origin: Origin::default(),
    };
    match Arc::clone(store).verify(Arc::new(attempt)) {
        Verification::Ready(answer) => (answer, true),
        Verification::Pending(answer) => (answer.await, false),
    }
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn add(settings: &Settings, name: &str, scope: &[&str], expires: Option<Moment>) -> Secret {
    let scope = Scope::of(scope.iter().copied()).unwrap();
    Store::open(settings, Access::Existing)
        .unwrap()
        .add_app_password(&id("alice"), &label(name), &scope, expires)
        .unwrap()
}

fn in_seconds(seconds: i64) -> Option<Moment> {
    Some(Moment::from_unix(Moment::now().unix() + seconds))
}

#[tokio::test]
async fn an_app_password_works_beside_the_one_of_the_account_and_costs_no_hash() {
    let (_directory, settings) = store_with_alice();
    let phone = add(&settings, "phone", &[], None);
    let laptop = add(&settings, "laptop", &["imap"], None);
    let store = PasswordStore::start(&settings).unwrap();
    for (password, expected) in [(&phone, "phone"), (&laptop, "laptop")] {
        let (answer, is_at_once) = ask(&store, "alice", password, "imap").await;
        match answer {
            Answer::Accepted(Accepted {
                user: None, label: Some(label), valid_for: None, ..
            }) => {
                assert_eq!(&*label, expected);
            }
            other => panic!("{other:?}"),
        }
        assert!(is_at_once);
    }
    assert_eq!(store.hashes(), 0);
    let (answer, _) = ask(&store, "alice", &secret("s3cret"), "imap").await;
    assert!(matches!(answer, Answer::Accepted(Accepted { label: None, .. })), "{answer:?}");
}

#[tokio::test]
async fn whatever_is_refused_costs_one_hash() {
    let (_directory, settings) = store_with_alice();
    let imap = add(&settings, "imap only", &["imap"], None);
    let over = add(&settings, "over", &[], in_seconds(-1));
    let revoked = add(&settings, "revoked", &[], None);
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    admin.revoke_app_password(&id("alice"), &label("revoked")).unwrap();
    for number in 0..100 {
        add(&settings, &format!("app {number}"), &[], None);
    }
    let store = PasswordStore::start(&settings).unwrap();
    for (name, password, code, detail) in [
        ("alice", &imap, ReasonCode::ServiceNotAllowed, "\"imap only\" is for imap and not for"),
        ("alice", &over, ReasonCode::BadCredentials, "\"over\" has expired"),
        ("alice", &revoked, ReasonCode::BadCredentials, ""),
        ("alice", &secret("wrong"), ReasonCode::BadCredentials, ""),
    ] {
        let before = store.hashes();
        match ask(&store, name, password, "smtp").await {
            (Answer::Rejected(reason), false) => {
                assert_eq!(reason.code, code, "{reason}");
                assert!(reason.detail.contains(detail), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(store.hashes() - before, 1, "{detail}");
    }
    let before = store.hashes();
    assert!(matches!(ask(&store, "nobody", &imap, "imap").await.0, Answer::Unknown));
    assert_eq!(store.hashes() - before, 1);
}

#[tokio::test]
async fn a_locked_account_locks_its_app_passwords() {
    let (_directory, settings) = store_with_alice();
    let phone = add(&settings, "phone", &["imap"], None);
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    let store = PasswordStore::start(&settings).unwrap();
    admin.lock(&id("alice")).unwrap();
    for service in ["imap", "smtp"] {
        match ask(&store, "alice", &phone, service).await {
            (Answer::Rejected(reason), false) => {
                assert_eq!(reason.code, ReasonCode::AccountLocked);
            }
            other => panic!("{other:?}"),
        }
    }
    admin.unlock(&id("alice")).unwrap();
    assert!(matches!(ask(&store, "alice", &phone, "imap").await, (Answer::Accepted(_), true)));
}

#[tokio::test]
async fn an_acceptance_lasts_no_longer_than_the_app_password() {
    let (_directory, settings) = store_with_alice();
    let short = add(&settings, "short", &[], in_seconds(100));
    let store = PasswordStore::start(&settings).unwrap();
    match ask(&store, "alice", &short, "imap").await.0 {
        Answer::Accepted(Accepted { valid_for: Some(time), .. }) => {
            assert!(time <= Duration::from_secs(100) && time > Duration::from_secs(30), "{time:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_without_a_password_may_have_app_passwords_only() {
    let (_directory, settings) = store_with_alice();
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    admin.add(&id("bob"), None).unwrap();
    let all = Scope::default();
    let phone = admin.add_app_password(&id("bob"), &label("phone"), &all, None).unwrap();
    let user = admin.find(&id("bob")).unwrap().unwrap();
    assert_eq!((user.has_password(), user.mechanisms()), (false, vec!["PLAIN", "LOGIN"]));
    let store = PasswordStore::start(&settings).unwrap();
    assert!(matches!(ask(&store, "bob", &phone, "imap").await.0, Answer::Accepted(_)));
    assert!(matches!(ask(&store, "bob", &secret("x"), "imap").await.0, Answer::Rejected(_)));
    assert!(matches!(ask(&store, "alice", &phone, "imap").await.0, Answer::Rejected(_)));
}

#[tokio::test]
async fn what_a_cache_remembers_ends_with_the_app_password() {
    let (_directory, settings) = store_with_alice();
    let store = PasswordStore::start(&settings).unwrap();
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    let mut seen = vec![(store.revision(), store.grounds(&id("alice")))];
    add(&settings, "phone", &[], None);
    seen.push((store.revision(), store.grounds(&id("alice"))));
    admin.revoke_app_password(&id("alice"), &label("phone")).unwrap();
    seen.push((store.revision(), store.grounds(&id("alice"))));
    assert!(seen[0].0 != seen[1].0 && seen[1].0 != seen[2].0);
    assert!(seen[0].1 != seen[1].1 && seen[1].1 != seen[2].1);
    assert_eq!(seen[0].1, seen[2].1, "as before");
}

#[tokio::test]
async fn the_last_use_is_that_of_the_app_password_used() {
    let (_directory, settings) = store_with_alice();
    let phone = add(&settings, "phone", &[], None);
    add(&settings, "laptop", &[], None);
    let store = PasswordStore::start(&settings).unwrap();
    ask(&store, "alice", &phone, "imap").await;
    store.recalled(&id("alice"), Some("phone"));
    drop(store);
    let admin = Store::open(&settings, Access::Existing).unwrap();
    let list = admin.app_passwords(&id("alice")).unwrap();
    let used: Vec<_> = list.iter().map(|it| (it.label.as_str(), it.last_used.is_some())).collect();
    assert_eq!(used, [("laptop", false), ("phone", true)]);
    assert!(admin.find(&id("alice")).unwrap().unwrap().last_used.is_some());
}

#[tokio::test]
async fn a_damaged_digest_is_an_outage_that_says_what_to_type() {
    let (_directory, settings) = store_with_alice();
    let phone = add(&settings, "my phone", &[], None);
    sql(&settings.path, "UPDATE credentials SET verifier = 'x' WHERE kind = 'app-password'");
    let store = PasswordStore::start(&settings).unwrap();
    match ask(&store, "alice", &phone, "imap").await.0 {
        Answer::Unavailable(reason) => {
            let line = "saslgate user app-password revoke alice@example.org \"my phone\"";
            assert!(reason.detail.contains(line), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn labels_are_unique_for_a_user_and_errors_name_them() {
    let (_directory, settings) = store_with_alice();
    add(&settings, "phone", &["imap", "smtp"], in_seconds(60));
    let mut admin = Store::open(&settings, Access::Existing).unwrap();
    let changed = || {
        let admin = Store::open(&settings, Access::Existing).unwrap();
        admin.find(&id("alice")).unwrap().unwrap().changed
    };
    sql(&settings.path, "UPDATE users SET changed = 7");
    let again = admin.add_app_password(&id("alice"), &label("phone"), &Scope::default(), None);
    assert!(matches!(again.err(), Some(StoreError::LabelExists { .. })));
    let missing = admin.revoke_app_password(&id("alice"), &label("fax")).unwrap_err().to_string();
    assert!(missing.contains("has no app password \"fax\""), "{missing}");
    let nobody = admin.add_app_password(&id("bob"), &label("x"), &Scope::default(), None);
    assert!(matches!(nobody.err(), Some(StoreError::NoSuchUser(_))));
    assert_eq!(changed(), Moment::from_unix(7), "what was refused has changed nothing");
    let list = admin.app_passwords(&id("alice")).unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].scope.services().collect::<Vec<_>>(), ["imap", "smtp"]);
    assert!(list[0].expires.is_some());
    admin.set_password(&id("alice"), &secret("other")).unwrap();
    assert_eq!(admin.app_passwords(&id("alice")).unwrap().len(), 1, "a password of its own");
    admin.delete(&id("alice")).unwrap();
    let left: i64 = Connection::open(&settings.path)
        .unwrap()
        .query_row("SELECT count(*) FROM credentials", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

// --- the format before

#[tokio::test]
async fn a_store_of_format_1_is_upgraded_and_a_program_that_has_it_open_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(&directory);
    let (_other, made) = store_with_alice();
    let verifier: String = Connection::open(&made.path)
        .unwrap()
        .query_row("SELECT verifier FROM credentials", [], |row| row.get(0))
        .unwrap();
    let old = Connection::open(&settings.path).unwrap();
    old.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; {FORMAT_1}
         INSERT INTO users VALUES ('example.org', 'alice', 'active', 1, 2, 3);
         INSERT INTO credentials VALUES ('example.org', 'alice', 'argon2id', '', '{verifier}', 1, 2, 3);"
    ))
    .unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&settings.path, permissions).unwrap();
    let look_up = "SELECT users.state, credentials.verifier FROM users LEFT JOIN credentials
                   ON credentials.realm = users.realm AND credentials.user = users.user
                   AND credentials.kind = 'argon2id' AND credentials.label = ''
                   WHERE users.realm = 'example.org' AND users.user = 'alice'";
    let mut as_before = old.prepare(look_up).unwrap();
    let store = PasswordStore::start(&settings).unwrap();
    let found: String = as_before.query_row([], |row| row.get(1)).unwrap();
    assert_eq!(found, verifier);
    let version: i64 = old.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 2, "and refused when it is opened anew");
    assert!(matches!(ask(&store, "alice", &secret("s3cret"), "").await.0, Answer::Accepted(_)));
    let phone = add(&settings, "phone", &[], None);
    assert!(matches!(ask(&store, "alice", &phone, "").await.0, Answer::Accepted(_)));
    let admin = Store::open(&settings, Access::Existing).unwrap();
    let user = admin.find(&id("alice")).unwrap().unwrap();
    assert_eq!((user.state, user.created), (State::Active, Moment::from_unix(1)));
}

const FORMAT_1: &str = "
    CREATE TABLE users (
        realm     TEXT    NOT NULL,
        user      TEXT    NOT NULL CHECK (user <> ''),
        state     TEXT    NOT NULL CHECK (state IN ('active', 'locked')),
        created   INTEGER NOT NULL,
        changed   INTEGER NOT NULL,
        last_used INTEGER,
        PRIMARY KEY (realm, user)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credentials (
        realm     TEXT    NOT NULL,
        user      TEXT    NOT NULL,
        kind      TEXT    NOT NULL CHECK (kind <> ''),
        label     TEXT    NOT NULL DEFAULT '',
        verifier  TEXT    NOT NULL,
        created   INTEGER NOT NULL,
        changed   INTEGER NOT NULL,
        last_used INTEGER,
        PRIMARY KEY (realm, user, kind, label),
        FOREIGN KEY (realm, user) REFERENCES users (realm, user) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    PRAGMA application_id = 1397507924;
    PRAGMA user_version = 1;
";
