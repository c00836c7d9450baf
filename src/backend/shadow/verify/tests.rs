//! What an entry comes to, whatever stands in it. Look-ups of real accounts are
//! in `tests/shadow_peers.rs`.

use super::*;
use crate::auth::{RealmSource, Service};
use crate::base::{Origin, Secret};

const RIGHT: &str = "s3cret";
/// Made with crypt(3).
const MD5: &str = "$1$abcdefgh$7.vq19w/w3Vm.hk1FOA7Q/";
const TODAY: u64 = 20_000;

fn attempt(password: &str) -> Attempt {
    Attempt {
        identity: Identity::new("alice", "example.org").unwrap(),
        realm: RealmSource::Claim,
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    }
}

fn entry(password: &str) -> Found {
    let password = Zeroizing::new(password.as_bytes().to_vec());
    Found { name: "alice".to_owned(), password, aging: Aging::default() }
}

/// The answer, and how many hashes it took.
fn judged(database: Database, found: Option<Found>, password: &str) -> (Answer, u64) {
    let pool = HashPool::start(1, 1, Cost::new(8, 1, 1).unwrap()).unwrap();
    let book = Book {
        database,
        files: Files::new(database.paths()),
        decoy: CryptHash::parse(MD5).unwrap().decoy().unwrap(),
    };
    let attempt = attempt(password);
    let now = Duration::from_secs(TODAY * 24 * 3600);
    let answer = pool
        .submit(move |worker: &mut Worker<'_>| {
            book.judge(found, &attempt, worker, now).unwrap_or_else(Answer::Unavailable)
        })
        .unwrap()
        .blocking_recv()
        .unwrap();
    (answer, pool.hashes())
}

fn shadow(found: Found, password: &str) -> Answer {
    let (answer, hashes) = judged(Database::Shadow, Some(found), password);
    assert!(hashes == 1 || matches!(answer, Answer::Unavailable(_)), "{answer:?}: {hashes}");
    answer
}

fn rejected(answer: &Answer, code: ReasonCode) -> bool {
    matches!(answer, Answer::Rejected(reason) if reason.code == code)
}

#[test]
fn the_right_password_is_accepted_and_others_are_not() {
    assert!(matches!(shadow(entry(MD5), RIGHT), Answer::Accepted(Accepted { user: None, .. })));
    assert!(rejected(&shadow(entry(MD5), "wr0ng"), ReasonCode::BadCredentials));
}

#[test]
fn an_unknown_user_costs_one_hash_too() {
    let (answer, hashes) = judged(Database::Shadow, None, RIGHT);
    assert!(matches!(answer, Answer::Unknown));
    assert_eq!(hashes, 1);
}

#[test]
fn a_locked_account_is_called_locked_only_to_who_knows_its_password() {
    for lock in ["!", "!!"] {
        let locked = || entry(&format!("{lock}{MD5}"));
        assert!(rejected(&shadow(locked(), RIGHT), ReasonCode::AccountLocked));
        assert!(rejected(&shadow(locked(), "wr0ng"), ReasonCode::BadCredentials));
    }
}

#[test]
fn nothing_fits_where_there_is_no_hash() {
    for field in ["", "!", "!!", "*", "!*", "*LK*", "!ab01FAX.bQRSU"] {
        for password in [RIGHT, "!", "*", field, "x"].into_iter().filter(|text| !text.is_empty()) {
            let answer = shadow(entry(field), password);
            assert!(rejected(&answer, ReasonCode::BadCredentials), "{field}: {answer:?}");
        }
    }
}

#[test]
fn a_hash_that_cannot_be_checked_is_an_outage_with_its_name() {
    for (field, name) in [
        ("ab01FAX.bQRSU", "DES"),
        ("$gy$j9T$abcd$x", "gost-yescrypt"),
        ("s3cret", "no hash"),
        ("$6$rounds=999999999$ab$RPV7", "beyond the limit"),
        ("\u{e4}", "no hash"),
    ] {
        let Answer::Unavailable(reason) = shadow(entry(field), RIGHT) else {
            panic!("{field} was to be an outage")
        };
        assert!(reason.detail.contains(name) && reason.detail.contains("passwd alice"), "{reason}");
        assert!(!reason.detail.contains(RIGHT) || name != "no hash", "{reason}");
    }
    let mut odd = entry("");
    odd.password = Zeroizing::new(vec![0xff, 0xfe]);
    assert!(matches!(shadow(odd, RIGHT), Answer::Unavailable(_)));
}

#[test]
fn what_has_expired_is_told_only_with_the_right_password() {
    let forced = Aging { last_change: Some(0), ..Aging::default() };
    let expired = Aging { expire: Some(TODAY as i64), ..Aging::default() };
    for (aging, code) in
        [(forced, ReasonCode::PasswordExpired), (expired, ReasonCode::AccountExpired)]
    {
        let aged = || Found { aging, ..entry(MD5) };
        assert!(rejected(&shadow(aged(), RIGHT), code));
        assert!(rejected(&shadow(aged(), "wr0ng"), ReasonCode::BadCredentials));
    }
    let ending = Aging { expire: Some(TODAY as i64 + 1), ..Aging::default() };
    let Answer::Accepted(accepted) = shadow(Found { aging: ending, ..entry(MD5) }, RIGHT) else {
        panic!("it is still good")
    };
    assert_eq!(accepted.valid_for, Some(Duration::from_secs(24 * 3600)));
}

#[test]
fn getpwent_says_where_a_shadowed_password_is() {
    let (answer, hashes) = judged(Database::Passwd, Some(entry("x")), RIGHT);
    let Answer::Rejected(reason) = answer else { panic!("{answer:?}") };
    assert!(reason.detail.contains("shadow file"), "{reason}");
    assert_eq!(hashes, 1);
    let (answer, _) = judged(Database::Passwd, Some(entry(MD5)), RIGHT);
    assert!(matches!(answer, Answer::Accepted(_)));
}

#[test]
fn the_name_is_that_of_the_database() {
    let found = Found { name: "Alice".to_owned(), ..entry(MD5) };
    let Answer::Accepted(accepted) = shadow(found, RIGHT) else { panic!("was to be accepted") };
    assert_eq!(accepted.user.unwrap().to_string(), "Alice@example.org");
    let found = Found { name: "a b\n".to_owned(), ..entry(MD5) };
    assert!(matches!(shadow(found, RIGHT), Answer::Unavailable(_)));
}

#[test]
fn grounds_are_of_one_user_and_a_revision_is_of_the_files() {
    let files = Files::new(Database::Passwd.paths());
    assert_eq!(files.revision(), files.revision());
    assert_eq!(files.grounds("root"), files.grounds("root"));
    assert_ne!(files.grounds("root"), files.grounds("daemon"));
    assert_eq!(files.grounds("no-such-user"), files.grounds("nor-such-a-user"));
}
