//! Tables of failures and what follows from them, at times that the test says.

use super::*;
use crate::auth::{RealmSource, Service};
use crate::base::{Identity, Secret};

fn settings() -> ThrottleSettings {
    ThrottleSettings {
        enabled: true,
        delay: Duration::from_millis(200),
        limit: 20,
        login_limit: 100,
        half_life: Duration::from_secs(900),
        size: 1000,
        max_delayed: 100,
        exempt: Vec::new(),
    }
}

fn throttle(settings: &ThrottleSettings) -> Arc<Throttle> {
    Throttle::new(settings, &Arc::new(TagKey::for_tests())).unwrap()
}

fn case(throttle: &Throttle, user: &str, password: &str, client: &str) -> Case {
    let attempt = Attempt {
        identity: Identity::new(user, "ex.org").unwrap(),
        realm: RealmSource::Claim,
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin { client: client.parse().ok(), ..Origin::default() },
    };
    throttle.case(&attempt).unwrap()
}

/// Counts `count` different wrong passwords; gives the delay of the last one in milliseconds.
fn guess(throttle: &Throttle, user: &str, client: &str, count: usize, now: Instant) -> u128 {
    let mut last = 0;
    for number in 0..count {
        let case = case(throttle, user, &format!("guess {client} {number}"), client);
        last = throttle.failed(&case, now).map_or(0, |delay| delay.length.as_millis());
    }
    last
}

fn admits(throttle: &Throttle, user: &str, password: &str, client: &str, now: Instant) -> bool {
    throttle.admit(&case(throttle, user, password, client), now).is_ok()
}

const HERE: &str = "192.0.2.7";
const ELSEWHERE: &str = "198.51.100.9";

#[test]
fn delays_double_behind_two_free_failures_and_never_exceed_the_longest() {
    let expected = [0, 0, 200, 400, 800, 1600, 3200, 3500, 3500];
    for client in [HERE, "no address"] {
        let throttle = throttle(&settings());
        let now = Instant::now();
        for (number, delay) in expected.into_iter().enumerate() {
            let case = case(&throttle, "alice", &format!("guess {number}"), client);
            let said = throttle.failed(&case, now).map_or(0, |it| it.length.as_millis());
            assert_eq!(said, delay, "failure {} from {client}", number + 1);
        }
        assert!(guess(&throttle, "alice", client, 5000, now) <= LONGEST.as_millis());
    }
}

#[test]
fn the_same_wrong_password_counts_once() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    for _ in 0..1000 {
        let case = case(&throttle, "alice", "old", HERE);
        assert!(throttle.failed(&case, now).is_none());
    }
    assert!(admits(&throttle, "alice", "other", HERE, now));
    // It is another guess at another name, and again long after.
    assert_eq!(guess(&throttle, "bob", HERE, 1, now), 0);
    let case = case(&throttle, "alice", "old", HERE);
    assert!(!throttle.is_repeat(&case, now + Duration::from_secs(901)));
}

#[test]
fn a_pair_over_its_limit_is_not_asked_about_and_the_others_are() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    guess(&throttle, "alice", HERE, 19, now);
    assert!(admits(&throttle, "alice", "x", HERE, now));
    guess(&throttle, "alice", HERE, 30, now);
    assert!(!admits(&throttle, "alice", "x", HERE, now));
    assert!(admits(&throttle, "alice", "x", ELSEWHERE, now), "her other devices");
    assert!(admits(&throttle, "bob", "x", HERE, now), "others behind the same address");
    assert!(admits(&throttle, "alice", "x", "no address", now));
}

#[test]
fn an_address_with_many_victims_is_delayed_and_never_locked_out() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    let mut last = 0;
    for number in 0..300 {
        last = guess(&throttle, &format!("user{number}"), HERE, 1, now);
    }
    assert_eq!(last, LONGEST.as_millis(), "the refusals of a spray are slow");
    assert!(admits(&throttle, "bob", "right", HERE, now));
    assert_eq!(guess(&throttle, "carol", ELSEWHERE, 1, now), 0);
}

#[test]
fn a_login_that_many_addresses_guess_at_is_closed_except_to_its_known_password() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    let known = case(&throttle, "alice", "s3cret", ELSEWHERE);
    throttle.passed(&known);
    for number in 0..101 {
        guess(&throttle, "alice", &format!("203.0.113.{number}"), 1, now);
    }
    assert!(!admits(&throttle, "alice", "guess", "192.0.2.99", now));
    let refused = throttle.admit(&case(&throttle, "alice", "x", "192.0.2.99"), now).unwrap_err();
    assert_eq!(refused.code, ReasonCode::Throttled);
    assert!(admits(&throttle, "alice", "s3cret", "192.0.2.99", now), "from wherever");
    assert!(admits(&throttle, "alice", "s3cret", "no address", now));
    // Once it is refused, it is a guess as any other.
    throttle.failed(&known, now);
    assert!(!admits(&throttle, "alice", "s3cret", "192.0.2.99", now));
}

#[test]
fn counts_halve_with_time() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    guess(&throttle, "alice", HERE, 40, now);
    let later = |seconds| now + Duration::from_secs(seconds);
    assert!(!admits(&throttle, "alice", "x", HERE, later(890)));
    assert!(admits(&throttle, "alice", "x", HERE, later(910)), "20 of 40");
    let fresh = case(&throttle, "alice", "fresh", HERE);
    assert!(throttle.failed(&fresh, later(36_000)).is_none(), "after hours it is forgotten");
}

#[test]
fn a_success_clears_its_own_pair_only() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    guess(&throttle, "alice", HERE, 40, now);
    guess(&throttle, "bob", HERE, 40, now);
    throttle.passed(&case(&throttle, "alice", "s3cret", HERE));
    assert!(admits(&throttle, "alice", "x", HERE, now));
    assert!(!admits(&throttle, "bob", "x", HERE, now));
    let login = Subject::Login(case(&throttle, "alice", "x", HERE).login);
    assert!(throttle.level(&login, now) > 39.0, "or a guesser would wait for her logins");
}

#[test]
fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
    let (throttle, now) = (throttle(&settings()), Instant::now());
    guess(&throttle, "alice", "2001:db8:0:1::1", 30, now);
    assert!(!admits(&throttle, "alice", "x", "2001:db8:0:1:ffff::2", now));
    assert!(admits(&throttle, "alice", "x", "2001:db8:0:2::1", now));
    guess(&throttle, "alice", "::ffff:192.0.2.7", 30, now);
    assert!(!admits(&throttle, "alice", "x", HERE, now));
}

#[test]
fn exempt_networks_are_not_counted() {
    let exempt = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let throttle = throttle(&ThrottleSettings { exempt, ..settings() });
    let attempt = |client: &str| Attempt {
        identity: Identity::new("alice", "ex.org").unwrap(),
        realm: RealmSource::Claim,
        password: Secret::copied_from(b"x").unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin { client: client.parse().ok(), ..Origin::default() },
    };
    for client in [HERE, "::ffff:192.0.2.7", "2001:db8::1"] {
        assert!(throttle.case(&attempt(client)).is_none(), "{client}");
    }
    for client in [ELSEWHERE, "no address"] {
        assert!(throttle.case(&attempt(client)).is_some(), "{client}");
    }
}

#[test]
fn only_so_many_refusals_wait_at_once() {
    let throttle = throttle(&ThrottleSettings { max_delayed: 2, ..settings() });
    let now = Instant::now();
    guess(&throttle, "alice", HERE, 10, now);
    let delay = |number: u32| {
        let case = case(&throttle, "alice", &format!("more {number}"), HERE);
        throttle.failed(&case, now)
    };
    let held = (delay(1), delay(2));
    assert!(held.0.is_some() && held.1.is_some() && delay(3).is_none());
    drop(held);
    assert!(delay(4).is_some());
}

#[test]
fn the_tables_are_bounded_whatever_comes() {
    let throttle = throttle(&ThrottleSettings { size: 50, ..settings() });
    let now = Instant::now();
    for number in 0..5000_u32 {
        let client = std::net::Ipv4Addr::from(number << 8).to_string();
        let case = case(&throttle, &format!("user{number}"), "x", &client);
        throttle.failed(&case, now);
        throttle.passed(&case);
    }
    // Each of three tables is sharded, and each shard is rounded up.
    assert!(throttle.len() <= 3 * 64, "{}", throttle.len());
}
