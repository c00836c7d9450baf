use super::*;
use crate::policy::pattern::Pattern;

const HOUR: Duration = Duration::from_secs(3600);

fn rates(limits: Vec<Limit>) -> Rates {
    Rates::new(&RateSettings { limits, size: 1000 })
}

fn login(name: &str) -> Arc<str> {
    name.into()
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn admitted(rates: &Rates, party: &Party, counted: Counted, now: Instant) -> usize {
    (0..1000).take_while(|_| rates.admit(party, counted, now).is_ok()).count()
}

#[test]
fn a_soft_limit_says_when_to_come_back_and_means_it() {
    let rates = rates(vec![Limit { soft: 10, ..Limit::default() }]);
    let party = rates.party(Some(&login("alice@x")), address(1));
    let now = Instant::now();
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 10);
    let excess = rates.admit(&party, Counted::Messages, now).unwrap_err();
    assert_eq!(
        excess.to_string(),
        "Too much mail: at most 10 messages an hour for this login, try again in 6 minutes"
    );
    let wait = excess.wait.unwrap();
    // Whoever keeps trying does not have to wait for longer.
    for second in 0..359 {
        let now = now + Duration::from_secs(second);
        assert!(rates.admit(&party, Counted::Messages, now).is_err(), "{second}");
    }
    assert!(rates.admit(&party, Counted::Messages, now + wait).is_ok());
}

#[test]
fn each_login_and_each_unit_is_counted_for_itself() {
    let rates = rates(vec![Limit { soft: 2, ..Limit::default() }]);
    let now = Instant::now();
    for name in ["alice@x", "bob@x"] {
        let party = rates.party(Some(&login(name)), address(1));
        assert_eq!(admitted(&rates, &party, Counted::Messages, now), 2, "{name}");
        assert_eq!(admitted(&rates, &party, Counted::Recipients, now), 1000, "{name}");
    }
    // From elsewhere it is the same login.
    let party = rates.party(Some(&login("alice@x")), address(2));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 0);
    // Nobody is no login.
    let party = rates.party(None, address(1));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 1000);
}

#[test]
fn what_one_limit_refuses_does_not_count_towards_another() {
    let day = Limit { soft: 20, per: 24 * HOUR, ..Limit::default() };
    let rates = rates(vec![Limit { soft: 5, ..Limit::default() }, day]);
    let party = rates.party(Some(&login("alice@x")), address(1));
    let now = Instant::now();
    for _ in 0..100 {
        let _ = rates.admit(&party, Counted::Messages, now);
    }
    assert_eq!(admitted(&rates, &party, Counted::Messages, now + HOUR), 5);
    assert_eq!(admitted(&rates, &party, Counted::Messages, now + 2 * HOUR), 5);
}

#[test]
fn of_two_limits_the_longer_wait_is_told() {
    let day = Limit { soft: 5, per: 24 * HOUR, ..Limit::default() };
    let rates = rates(vec![Limit { soft: 5, ..Limit::default() }, day]);
    let party = rates.party(Some(&login("alice@x")), address(1));
    let now = Instant::now();
    admitted(&rates, &party, Counted::Messages, now);
    let excess = rates.admit(&party, Counted::Messages, now).unwrap_err();
    assert_eq!(excess.limit.per, 24 * HOUR);
}

#[test]
fn attempts_count_towards_a_hard_limit() {
    let limit = Limit { soft: 5, hard: Some(20), ..Limit::default() };
    let rates = rates(vec![limit]);
    let party = rates.party(Some(&login("alice@x")), address(1));
    let now = Instant::now();
    let outcomes: Vec<_> = (0..25).map(|_| rates.admit(&party, Counted::Messages, now)).collect();
    assert!(outcomes[..5].iter().all(Result::is_ok));
    assert!(outcomes[5..20].iter().all(|it| it.as_ref().is_err_and(|it| it.wait.is_some())));
    assert!(outcomes[20..].iter().all(|it| it.as_ref().is_err_and(|it| it.wait.is_none())));
}

#[test]
fn bytes_are_paid_for_behind() {
    let limit = Limit { soft: 10, count: Counted::Bytes, ..Limit::default() };
    let rates = rates(vec![limit]);
    let party = rates.party(Some(&login("alice@x")), address(1));
    let now = Instant::now();
    assert!(rates.admit(&party, Counted::Bytes, now).is_ok());
    rates.spent(&party, 10 << 20, now);
    assert!(rates.admit(&party, Counted::Bytes, now).is_ok(), "used up, and nothing beyond");
    rates.spent(&party, 1 << 20, now);
    let excess = rates.admit(&party, Counted::Bytes, now).unwrap_err();
    assert_eq!(excess.wait, Some(Duration::from_secs(360)));
    assert!(rates.admit(&party, Counted::Bytes, now + Duration::from_secs(361)).is_ok());
}

#[test]
fn a_limit_of_an_address_is_shared_by_its_logins() {
    let rates = rates(vec![Limit { of: Scope::Address, soft: 3, ..Limit::default() }]);
    let now = Instant::now();
    let party = rates.party(Some(&login("alice@x")), address(1));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 3);
    let party = rates.party(Some(&login("bob@x")), address(1));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 0);
    let party = rates.party(Some(&login("alice@x")), address(2));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 3);
}

#[test]
fn an_exception_gets_its_own_limit() {
    let news = || vec![Pattern::parse("news@x").unwrap()];
    let general = Limit { soft: 3, except: news(), ..Limit::default() };
    let rates = rates(vec![general, Limit { soft: 30, logins: news(), ..Limit::default() }]);
    let now = Instant::now();
    let party = rates.party(Some(&login("news@x")), address(1));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 30);
    let party = rates.party(Some(&login("alice@x")), address(1));
    assert_eq!(admitted(&rates, &party, Counted::Messages, now), 3);
}

#[test]
fn the_tables_are_bounded() {
    let rates = Rates::new(&RateSettings {
        limits: vec![Limit { of: Scope::Address, ..Limit::default() }],
        size: 100,
    });
    let now = Instant::now();
    for number in 0..10_000_u32 {
        let party = rates.party(None, IpAddr::from(number.to_be_bytes()));
        assert!(rates.admit(&party, Counted::Messages, now).is_ok());
    }
    assert!(rates.meters[0].len() <= 200, "{}", rates.meters[0].len());
}

#[test]
fn threads_together_get_no_more_than_the_limit() {
    let rates = Arc::new(rates(vec![Limit { soft: 100, ..Limit::default() }]));
    let now = Instant::now();
    let count = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let party = rates.party(Some(&login("alice@x")), address(1));
                let admitted = admitted(&rates, &party, Counted::Messages, now);
                count.fetch_add(admitted, std::sync::atomic::Ordering::Relaxed);
            });
        }
    });
    assert_eq!(count.into_inner(), 100);
}

const THEFT: TheftSettings = TheftSettings { networks: 3, within: HOUR, lock: HOUR, size: 100 };

fn network(number: u8) -> IpAddr {
    IpAddr::from([198, 51, number, 7])
}

#[test]
fn many_new_networks_in_a_short_time_are_a_sign() {
    let theft = Theft::new(100);
    let (alice, now) = (login("alice@x"), Instant::now());
    assert_eq!(theft.sends(&alice, network(0), &THEFT, now), None, "home");
    assert_eq!(theft.sends(&alice, network(1), &THEFT, now), None);
    assert_eq!(theft.sends(&alice, network(2), &THEFT, now), None);
    assert_eq!(theft.sends(&alice, network(1), &THEFT, now), None, "known by now");
    assert_eq!(theft.sends(&alice, network(3), &THEFT, now), Some(Sign::NewNetworks(3)));
    let bob = login("bob@x");
    assert_eq!(theft.sends(&bob, network(3), &THEFT, now), None);
}

#[test]
fn a_traveller_is_no_thief() {
    let theft = Theft::new(100);
    let alice = login("alice@x");
    let mut now = Instant::now();
    for number in 0..200 {
        assert_eq!(theft.sends(&alice, network(number), &THEFT, now), None);
        now += HOUR / 2 + Duration::from_secs(1);
    }
    // And one at home neither, whatever address of the network it is.
    for last in 0..255 {
        let address = IpAddr::from([198, 51, 199, last]);
        assert_eq!(theft.sends(&alice, address, &THEFT, now), None);
    }
}

#[test]
fn a_lock_is_told_once_and_ends() {
    let theft = Theft::new(100);
    let (alice, now) = (login("alice@x"), Instant::now());
    assert!(theft.note(&alice, Sign::HardLimit, &THEFT, now));
    assert!(!theft.note(&alice, Sign::NewNetworks(3), &THEFT, now));
    assert_eq!(theft.locked("alice@x", now), Some(HOUR));
    assert_eq!(theft.locked("bob@x", now), None);
    assert_eq!(theft.locked("alice@x", now + HOUR), None);
    assert!(theft.note(&alice, Sign::HardLimit, &THEFT, now + HOUR));
}

#[test]
fn without_a_lock_a_sign_is_told_and_nobody_is_kept_out() {
    let settings = TheftSettings { lock: Duration::ZERO, ..THEFT };
    let theft = Theft::new(100);
    let (alice, now) = (login("alice@x"), Instant::now());
    assert!(theft.note(&alice, Sign::HardLimit, &settings, now));
    assert_eq!(theft.locked("alice@x", now), None);
    assert!(!theft.note(&alice, Sign::HardLimit, &settings, now + HOUR / 2));
    assert!(theft.note(&alice, Sign::HardLimit, &settings, now + HOUR));
}

#[test]
fn a_release_names_whom_it_releases() {
    let theft = Theft::new(100);
    let now = Instant::now();
    for name in ["bob@x", "alice@x"] {
        assert!(theft.note(&login(name), Sign::HardLimit, &THEFT, now));
    }
    let names: Vec<_> = theft.release(now).into_iter().map(|lock| lock.login.to_string()).collect();
    assert_eq!(names, ["alice@x", "bob@x"]);
    assert_eq!(theft.locked("alice@x", now), None);
    assert_eq!(theft.release(now), []);
}
