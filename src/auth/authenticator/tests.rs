//! Backends that say this and that, at once and later.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::auth::{
    Accepted, Answer, CacheSettings, Entrance, RealmSource, Route, Service, TagKey,
    ThrottleSettings, Verdict, Verification,
};
use crate::base::{Origin, Secret};

#[derive(Clone, Copy)]
enum Says {
    Yes,
    Renamed,
    No,
    Unknown,
    Down,
}

#[derive(Clone, Copy)]
enum Speed {
    AtOnce,
    Later,
}

struct Backend {
    name: &'static str,
    says: Says,
    speed: Speed,
    asked: AtomicUsize,
}

impl Verify for Backend {
    fn name(&self) -> &'static str {
        self.name
    }

    fn verify(self: Arc<Self>, _attempt: Arc<Attempt>) -> Verification {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = match self.says {
            Says::Yes => Answer::Accepted(Accepted::default()),
            Says::Renamed => Answer::Accepted(Accepted {
                user: Some(Identity::new("mapped", "x").unwrap()),
                ..Accepted::default()
            }),
            Says::No => Answer::Rejected(ReasonCode::BadCredentials.into()),
            Says::Unknown => Answer::Unknown,
            Says::Down => Answer::Unavailable(Reason::new(ReasonCode::Busy, self.name)),
        };
        match self.speed {
            Speed::AtOnce => Verification::Ready(answer),
            Speed::Later => Verification::Pending(Box::pin(async {
                tokio::task::yield_now().await;
                answer
            })),
        }
    }
}

const NAMES: [&str; 3] = ["first", "second", "third"];

fn settings(names: &[&str], floor: Duration) -> Settings {
    Settings { floor, ..Settings::for_tests(names) }
}

fn authenticator(backends: &[Arc<dyn Verify>], settings: &Settings) -> Arc<Authenticator> {
    Authenticator::new(backends, settings, TagKey::for_tests()).unwrap()
}

fn attempt() -> Attempt {
    Attempt {
        realm: RealmSource::Claim,
        identity: Identity::new("alice", "example.org").unwrap(),
        password: Secret::copied_from(b"s3cret").unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    }
}

/// Asks backends that say `answers`; gives verdict, who decided and who was asked.
async fn judge(answers: &[Says], speed: Speed, floor: Duration) -> (Outcome, Vec<usize>) {
    let backends: Vec<Arc<Backend>> = answers
        .iter()
        .zip(NAMES)
        .map(|(&says, name)| Arc::new(Backend { name, says, speed, asked: AtomicUsize::new(0) }))
        .collect();
    let panel: Vec<Arc<dyn Verify>> =
        backends.iter().map(|backend| Arc::clone(backend) as Arc<dyn Verify>).collect();
    let settings = settings(&NAMES[..answers.len()], floor);
    let outcome = match authenticator(&panel, &settings).authenticate(attempt(), None) {
        Authentication::Ready(outcome) => outcome,
        Authentication::Pending(outcome) => outcome.await,
    };
    let asked = backends.iter().map(|backend| backend.asked.load(Ordering::Relaxed)).collect();
    (outcome, asked)
}

async fn both_speeds(answers: &[Says], check: impl Fn(&Verdict, &str, &[usize])) {
    for speed in [Speed::AtOnce, Speed::Later] {
        let (outcome, asked) = judge(answers, speed, Duration::ZERO).await;
        check(&outcome.verdict, outcome.by, &asked);
    }
}

#[tokio::test]
async fn unknown_goes_on_to_the_next() {
    both_speeds(&[Says::Unknown, Says::Yes, Says::No], |verdict, by, asked| {
        let Verdict::Accepted(proof) = verdict else { panic!("{verdict:?}") };
        assert_eq!((proof.identity().user(), proof.backend(), by), ("alice", "second", "second"));
        assert_eq!(asked, [1, 1, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_elsewhere() {
    both_speeds(&[Says::No, Says::Yes], |verdict, by, asked| {
        assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
        assert_eq!((by, asked), ("first", &[1, 0][..]));
    })
    .await;
}

#[tokio::test]
async fn nobody_knows_is_a_wrong_password() {
    both_speeds(&[Says::Unknown, Says::Unknown], |verdict, by, asked| {
        let Verdict::Rejected(reason) = verdict else { panic!("{verdict:?}") };
        assert_eq!(reason.code, ReasonCode::BadCredentials);
        assert_eq!((by, asked), ("second", &[1, 1][..]));
    })
    .await;
}

#[tokio::test]
async fn an_outage_wins_over_unknown_and_the_first_is_told() {
    for answers in
        [[Says::Down, Says::Unknown, Says::Down], [Says::Unknown, Says::Down, Says::Unknown]]
    {
        both_speeds(&answers, |verdict, by, asked| {
            let Verdict::Unavailable(reason) = verdict else { panic!("{verdict:?}") };
            assert_eq!(reason.detail, by);
            assert_eq!(asked, [1, 1, 1]);
        })
        .await;
    }
}

#[tokio::test]
async fn a_later_decision_wins_over_an_outage() {
    both_speeds(&[Says::Down, Says::Yes], |verdict, by, _| {
        assert!(matches!(verdict, Verdict::Accepted(_)), "{verdict:?}");
        assert_eq!(by, "second");
    })
    .await;
    both_speeds(&[Says::Down, Says::No], |verdict, by, _| {
        assert!(matches!(verdict, Verdict::Rejected(_)), "{verdict:?}");
        assert_eq!(by, "second");
    })
    .await;
}

#[tokio::test]
async fn takes_the_name_that_the_backend_knows() {
    both_speeds(&[Says::Renamed], |verdict, _, _| {
        let Verdict::Accepted(proof) = verdict else { panic!("{verdict:?}") };
        assert_eq!(proof.identity().to_string(), "mapped@x");
    })
    .await;
}

#[tokio::test]
async fn without_backends_nothing_is_decided() {
    both_speeds(&[], |verdict, _, _| {
        assert!(matches!(verdict, Verdict::Unavailable(_)), "{verdict:?}");
    })
    .await;
}

#[tokio::test]
async fn only_refusals_wait_for_the_floor() {
    let floor = Duration::from_millis(30);
    for speed in [Speed::AtOnce, Speed::Later] {
        // Would hang for an hour if these waited.
        judge(&[Says::Yes], speed, Duration::from_secs(3600)).await;
        judge(&[Says::Down], speed, Duration::from_secs(3600)).await;
        for refusal in [Says::No, Says::Unknown] {
            let before = Instant::now();
            let (outcome, _) = judge(&[refusal], speed, floor).await;
            assert!(before.elapsed() >= floor);
            assert!(outcome.elapsed < before.elapsed(), "the log gets the time without it");
        }
    }
}

#[tokio::test]
async fn replaces_backends_and_realm_under_way() {
    let backend = |name, says| -> Arc<dyn Verify> {
        Arc::new(Backend { name, says, speed: Speed::Later, asked: AtomicUsize::new(0) })
    };
    let authenticator =
        authenticator(&[backend("old", Says::Yes)], &settings(&["old"], Duration::ZERO));
    let Authentication::Pending(under_way) = authenticator.authenticate(attempt(), None) else {
        panic!("was to be pending")
    };
    let renamed =
        Settings { default_realm: "new.test".to_owned(), ..settings(&["new"], Duration::ZERO) };
    authenticator.replace(&[backend("new", Says::No)], &renamed).unwrap();
    assert_eq!(under_way.await.by, "old");
    let Authentication::Pending(later) = authenticator.authenticate(attempt(), None) else {
        panic!("was to be pending")
    };
    assert_eq!(later.await.by, "new");
    let missing = authenticator.replace(&[], &renamed).unwrap_err();
    assert_eq!(missing, NoBackend("new".to_owned()));
    assert_eq!(authenticator.identify(b"alice", b"").unwrap().0.realm(), "new.test");
}

#[tokio::test]
async fn asks_whom_the_route_or_the_socket_names_and_nobody_else() {
    let backend = |name| -> Arc<dyn Verify> {
        Arc::new(Backend {
            name,
            says: Says::Yes,
            speed: Speed::AtOnce,
            asked: AtomicUsize::new(0),
        })
    };
    let opened = [backend("first"), backend("second"), backend("third")];
    let routed = Route {
        realms: vec!["example.org".to_owned()],
        services: vec!["imap".to_owned()],
        backends: vec!["second".to_owned()],
    };
    let own = Entrance { name: "own".to_owned(), backends: vec!["third".to_owned()] };
    let open = Entrance { name: "open".to_owned(), backends: Vec::new() };
    let mut settings = settings(&["first"], Duration::ZERO);
    settings.routes = vec![routed];
    settings.entrances = vec![own, open];
    let hub = authenticator(&opened, &settings);
    let ask = |entrance: Option<&str>, service: &[u8]| {
        let service = Service::from_wire(service).unwrap();
        match hub.authenticate(Attempt { service, ..attempt() }, entrance) {
            Authentication::Ready(outcome) => outcome,
            Authentication::Pending(_) => panic!("these answer at once"),
        }
    };
    assert_eq!(ask(None, b"smtp").by, "first");
    assert_eq!(ask(None, b"imap").by, "second");
    assert_eq!(ask(Some("open"), b"imap").by, "second");
    assert_eq!(ask(Some("own"), b"imap").by, "third");
    let gone = ask(Some("gone"), b"imap");
    assert!(matches!(gone.verdict, Verdict::Unavailable(_)), "{gone:?}");
}

/// A backend whose answers wait until the test lets them.
struct Parked {
    gate: Arc<tokio::sync::Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Verify for Parked {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn verify(self: Arc<Self>, _attempt: Arc<Attempt>) -> Verification {
        Verification::Pending(Box::pin(async move {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let _pass = self.gate.acquire().await;
            Answer::Accepted(Accepted::default())
        }))
    }
}

#[tokio::test]
async fn users_of_a_backend_that_hangs_keep_nobody_else_waiting() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let waiting = Arc::new(AtomicUsize::new(0));
    let slow: Arc<dyn Verify> =
        Arc::new(Parked { gate: Arc::clone(&gate), waiting: Arc::clone(&waiting) });
    let fast: Arc<dyn Verify> = Arc::new(Backend {
        name: "fast",
        says: Says::Yes,
        speed: Speed::Later,
        asked: AtomicUsize::new(0),
    });
    let mut settings = settings(&["fast"], Duration::ZERO);
    settings.cache = CacheSettings { enabled: true, size: 10, ttl: Duration::from_secs(60) };
    settings.throttle = ThrottleSettings { enabled: true, ..settings.throttle };
    settings.routes = vec![Route {
        realms: vec!["slow.test".to_owned()],
        backends: vec!["slow".to_owned()],
        ..Route::default()
    }];
    let hub = authenticator(&[slow, fast], &settings);
    let claim = |user: String, realm| Attempt {
        identity: Identity::new(&user, realm).unwrap(),
        ..attempt()
    };
    let mut parked = tokio::task::JoinSet::new();
    for number in 0..500 {
        match hub.authenticate(claim(format!("user{number}"), "slow.test"), None) {
            Authentication::Pending(outcome) => parked.spawn(outcome),
            Authentication::Ready(outcome) => panic!("{outcome:?}"),
        };
    }
    while waiting.load(Ordering::Relaxed) < 500 {
        tokio::task::yield_now().await;
    }
    for number in 0..500 {
        let outcome = match hub.authenticate(claim(format!("user{number}"), "fast.test"), None) {
            Authentication::Pending(outcome) => outcome.await,
            Authentication::Ready(outcome) => outcome,
        };
        assert!(matches!(outcome.verdict, Verdict::Accepted(_)), "{outcome:?}");
    }
    assert_eq!(parked.len(), 500, "all the slow ones are still waiting");
    gate.add_permits(500);
    while let Some(outcome) = parked.join_next().await {
        assert!(matches!(outcome.unwrap().verdict, Verdict::Accepted(_)));
    }
}

#[tokio::test]
async fn refusals_of_a_guesser_are_delayed_and_right_passwords_are_not() {
    let mut settings = settings(&["first"], Duration::ZERO);
    settings.throttle = ThrottleSettings {
        enabled: true,
        delay: Duration::from_millis(1),
        limit: 1000,
        login_limit: 1000,
        ..settings.throttle
    };
    let backend: Arc<dyn Verify> = Arc::new(ByPassword);
    let hub = authenticator(&[backend], &settings);
    for number in 0..8 {
        let password = Secret::new(format!("guess {number}").into_bytes()).unwrap();
        match hub.authenticate(Attempt { password, ..attempt() }, None) {
            Authentication::Ready(_) => assert!(number < 2, "the third is delayed"),
            Authentication::Pending(outcome) => {
                assert!(number >= 2, "the first two are not");
                let outcome = outcome.await;
                assert!(matches!(outcome.verdict, Verdict::Rejected(_)), "{outcome:?}");
            }
        }
    }
    let right = hub.authenticate(attempt(), None);
    assert!(matches!(right, Authentication::Ready(_)), "told at once");
}

/// Accepts the password of [`attempt`] only; calls the account locked for the last guess.
struct ByPassword;

impl Verify for ByPassword {
    fn name(&self) -> &'static str {
        "first"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        Verification::Ready(match attempt.password.expose() {
            b"s3cret" => Answer::Accepted(Accepted::default()),
            b"guess 7" => Answer::Rejected(ReasonCode::AccountLocked.into()),
            _ => Answer::Rejected(ReasonCode::BadCredentials.into()),
        })
    }
}
