//! The cache behind an authenticator, with backends whose passwords change.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::auth::{
    Answer, Authentication, Authenticator, Outcome, RealmSource, Service, Settings, Source, TagKey,
    Verdict, Verification,
};
use crate::base::{Origin, Reason, ReasonCode, Secret};

/// A backend with one user, `alice`, whose password can change under the cache's feet.
struct Fake {
    name: &'static str,
    /// `None`: does not know her.
    password: Mutex<Option<&'static str>>,
    /// Whether changes show in revision and grounds.
    sees: bool,
    /// Whether it says so.
    may_miss: bool,
    revision: AtomicU64,
    /// Changes of alice; others leave it.
    grounds: AtomicU64,
    is_down: AtomicUsize,
    says: Mutex<Accepted>,
    asked: AtomicUsize,
    recalled: Mutex<Vec<String>>,
}

impl Fake {
    fn new(name: &'static str, sees: bool, password: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self {
            name,
            password: Mutex::new(password),
            sees,
            may_miss: !sees,
            revision: AtomicU64::new(1),
            grounds: AtomicU64::new(1),
            is_down: AtomicUsize::new(0),
            says: Mutex::default(),
            asked: AtomicUsize::new(0),
            recalled: Mutex::default(),
        })
    }

    fn change(&self, password: Option<&'static str>) {
        *self.password.lock().unwrap() = password;
        self.grounds.fetch_add(1, Ordering::Relaxed);
        self.change_somebody_else();
    }

    fn change_somebody_else(&self) {
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Verify for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::Relaxed) > 0 {
            let reason = Reason::new(ReasonCode::BackendDown, "off");
            return Verification::Ready(Answer::Unavailable(reason));
        }
        let known = self.password.lock().unwrap().filter(|_| attempt.identity.user() == "alice");
        Verification::Ready(match known {
            None => Answer::Unknown,
            Some(password) if attempt.password.expose() == password.as_bytes() => {
                Answer::Accepted(self.says.lock().unwrap().clone())
            }
            Some(_) => Answer::Rejected(ReasonCode::BadCredentials.into()),
        })
    }

    fn revision(&self) -> Revision {
        Revision(if self.sees { self.revision.load(Ordering::Relaxed) } else { 0 })
    }

    fn grounds(&self, _: &Identity) -> Option<Grounds> {
        Some(Grounds(if self.sees { self.grounds.load(Ordering::Relaxed) } else { 0 }))
    }

    fn may_change_unseen(&self) -> bool {
        self.may_miss
    }

    fn recalled(&self, identity: &Identity, label: Option<&str>) {
        self.recalled.lock().unwrap().push(format!("{identity} {label:?}"));
    }
}

struct Site {
    backends: Vec<Arc<dyn Verify>>,
    settings: Settings,
    authenticator: Arc<Authenticator>,
}

impl Site {
    fn of(fakes: &[&Arc<Fake>]) -> Self {
        let backends: Vec<Arc<dyn Verify>> =
            fakes.iter().map(|fake| Arc::clone(fake) as Arc<dyn Verify>).collect();
        let names: Vec<&str> = fakes.iter().map(|fake| fake.name).collect();
        let cache = CacheSettings { enabled: true, size: 100, ttl: Duration::from_secs(3600) };
        let settings = Settings { cache, ..Settings::for_tests(&names) };
        let authenticator = Authenticator::new(&backends, &settings, TagKey::for_tests()).unwrap();
        Self { backends, settings, authenticator }
    }

    fn ask(&self, attempt: Attempt) -> Outcome {
        match self.authenticator.authenticate(attempt, None) {
            Authentication::Ready(outcome) => outcome,
            Authentication::Pending(_) => panic!("these backends answer at once"),
        }
    }

    /// True if alice's login with this password is good; and where the answer came from.
    fn login(&self, password: &str) -> (bool, Source) {
        let outcome = self.ask(attempt("alice", password));
        (matches!(outcome.verdict, Verdict::Accepted(_)), outcome.source)
    }
}

fn attempt(user: &str, password: &str) -> Attempt {
    Attempt {
        identity: Identity::new(user, "ex.org").unwrap(),
        realm: RealmSource::Claim,
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin::default(),
    }
}

const FRESH: (bool, Source) = (true, Source::Asked);
const CACHED: (bool, Source) = (true, Source::Remembered);
const NO: (bool, Source) = (false, Source::Asked);

#[test]
fn the_second_login_asks_nobody_and_tells_the_backend() {
    let fake = Fake::new("store", true, Some("s3cret"));
    let label = Some("phone".into());
    *fake.says.lock().unwrap() = Accepted { label, ..Accepted::default() };
    let site = Site::of(&[&fake]);
    assert_eq!(site.login("s3cret"), FRESH);
    assert_eq!((site.login("s3cret"), site.login("s3cret")), (CACHED, CACHED));
    assert_eq!(fake.asked(), 1);
    assert_eq!(*fake.recalled.lock().unwrap(), ["alice@ex.org Some(\"phone\")"; 2]);
    assert_eq!(site.ask(attempt("alice", "s3cret")).by, "store");
}

#[test]
fn refusals_are_never_remembered() {
    let fake = Fake::new("store", true, Some("s3cret"));
    let site = Site::of(&[&fake]);
    assert_eq!((site.login("wrong"), site.login("wrong")), (NO, NO));
    assert_eq!(site.login("s3cret"), FRESH);
    assert_eq!(site.login("wrong"), NO, "another password is another entry");
    assert_eq!(fake.asked(), 4);
}

#[test]
fn each_service_and_realm_source_is_remembered_by_itself() {
    let fake = Fake::new("store", true, Some("s3cret"));
    let site = Site::of(&[&fake]);
    let service = Service::from_wire(b"imap").unwrap();
    site.ask(attempt("alice", "s3cret"));
    site.ask(Attempt { service, ..attempt("alice", "s3cret") });
    site.ask(Attempt { realm: RealmSource::Default, ..attempt("alice", "s3cret") });
    assert_eq!(fake.asked(), 3);
}

#[test]
fn an_old_password_fails_on_the_first_try_after_a_change() {
    let fake = Fake::new("store", true, Some("old"));
    let site = Site::of(&[&fake]);
    assert_eq!((site.login("old"), site.login("old")), (FRESH, CACHED));
    fake.change(Some("new"));
    assert_eq!(site.login("old"), NO);
    assert_eq!((site.login("new"), site.login("new")), (FRESH, CACHED));
    fake.change(None);
    assert_eq!(site.login("new"), NO, "she was removed");
}

#[test]
fn a_change_of_one_user_costs_another_only_a_look() {
    let fake = Fake::new("store", true, Some("s3cret"));
    let site = Site::of(&[&fake]);
    assert_eq!(site.login("s3cret"), FRESH);
    fake.change_somebody_else();
    assert_eq!((site.login("s3cret"), site.login("s3cret")), (CACHED, CACHED));
    assert_eq!(fake.asked(), 1);
}

#[test]
fn an_acceptance_rests_on_those_who_did_not_know_the_user_too() {
    let (first, second) =
        (Fake::new("first", true, None), Fake::new("second", true, Some("s3cret")));
    let site = Site::of(&[&first, &second]);
    assert_eq!((site.login("s3cret"), site.login("s3cret")), (FRESH, CACHED));
    // She is created in front, with another password: that one decides from now on.
    first.change(Some("other"));
    assert_eq!(site.login("s3cret"), NO);
    assert_eq!(second.asked(), 1);
}

#[test]
fn an_acceptance_past_an_outage_is_not_remembered() {
    let (first, second) = (Fake::new("first", true, None), Fake::new("second", true, Some("x")));
    let site = Site::of(&[&first, &second]);
    first.is_down.store(1, Ordering::Relaxed);
    assert_eq!((site.login("x"), site.login("x")), (FRESH, FRESH));
    first.is_down.store(0, Ordering::Relaxed);
    assert_eq!((site.login("x"), site.login("x")), (FRESH, CACHED));
}

#[test]
fn without_sight_of_changes_the_new_password_ends_the_old_one() {
    let fake = Fake::new("ldap", false, Some("old"));
    let site = Site::of(&[&fake]);
    let service = Service::from_wire(b"imap").unwrap();
    let imap = |password| {
        let attempt = Attempt { service: service.clone(), ..attempt("alice", password) };
        matches!(site.ask(attempt).verdict, Verdict::Accepted(_))
    };
    assert!(imap("old"));
    assert_eq!((site.login("old"), site.login("old")), (FRESH, CACHED));
    fake.change(Some("new"));
    assert_eq!(site.login("old"), CACHED, "nobody can know");
    assert_eq!(site.login("new"), FRESH);
    assert_eq!(site.login("old"), NO);
    assert!(!imap("old"), "for whichever service it was remembered");
    assert_eq!(site.login("new"), CACHED);
}

#[test]
fn a_backend_that_may_miss_a_change_is_held_to_both() {
    let mut fake = Fake::new("pam", true, Some("old"));
    Arc::get_mut(&mut fake).unwrap().may_miss = true;
    let site = Site::of(&[&fake]);
    assert_eq!((site.login("old"), site.login("old")), (FRESH, CACHED));
    // One that it misses.
    *fake.password.lock().unwrap() = Some("new");
    assert_eq!((site.login("old"), site.login("new")), (CACHED, FRESH));
    assert_eq!((site.login("old"), site.login("new")), (NO, CACHED));
    // And one that it sees.
    fake.change(Some("newer"));
    assert_eq!(site.login("new"), NO);
}

#[test]
fn a_slow_answer_about_the_old_password_does_not_bring_it_back() {
    let fake = Fake::new("ldap", false, Some("any")) as Arc<dyn Verify>;
    let settings = CacheSettings { enabled: true, size: 10, ttl: Duration::from_secs(60) };
    let cache = Cache::new(&settings, &Arc::new(TagKey::for_tests())).unwrap();
    let (early, late) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    let remember = |password, started| {
        let attempt = attempt("alice", password);
        let tag = cache.tag(&attempt, 0);
        let rests_on = vec![Footing::take(&fake, &attempt.identity)];
        let acceptance = Acceptance { accepted: Accepted::default(), rests_on, started };
        cache.remember(tag, &attempt, acceptance);
        cache.recall(&tag, &attempt.identity, started).is_some()
    };
    assert!(remember("new", late));
    assert!(!remember("old", early), "its check began before the other one's");
    assert!(remember("new", early));
}

#[test]
fn entries_end_by_time_and_no_later_than_what_they_rest_on() {
    let fake = Fake::new("store", true, Some("s3cret")) as Arc<dyn Verify>;
    let ttl = Duration::from_secs(60);
    let settings = CacheSettings { enabled: true, size: 10, ttl };
    let cache = Cache::new(&settings, &Arc::new(TagKey::for_tests())).unwrap();
    let (attempt, started) = (attempt("alice", "s3cret"), Instant::now());
    let tag = cache.tag(&attempt, 0);
    for (valid_for, ends) in [(None, 60), (Some(5), 5), (Some(600), 60), (Some(0), 0)] {
        let valid_for = valid_for.map(Duration::from_secs);
        let accepted = Accepted { valid_for, ..Accepted::default() };
        let rests_on = vec![Footing::take(&fake, &attempt.identity)];
        cache.remember(tag, &attempt, Acceptance { accepted, rests_on, started });
        let end = started + Duration::from_secs(ends);
        let is_there = |now| cache.recall(&tag, &attempt.identity, now).is_some();
        assert!(ends == 0 || is_there(end - Duration::from_nanos(1)), "{valid_for:?}");
        assert!(!is_there(end), "{valid_for:?}");
        assert_eq!(cache.len(), 0, "what has ended is dropped");
    }
}

#[test]
fn the_mapped_name_comes_back_with_the_login() {
    let fake = Fake::new("pam", false, Some("s3cret"));
    let user = Some(Identity::new("mapped", "x").unwrap());
    *fake.says.lock().unwrap() = Accepted { user, ..Accepted::default() };
    let site = Site::of(&[&fake]);
    for source in [Source::Asked, Source::Remembered] {
        let outcome = site.ask(attempt("alice", "s3cret"));
        let Verdict::Accepted(proof) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
        assert_eq!((proof.identity().to_string().as_str(), outcome.source), ("mapped@x", source));
    }
}

#[test]
fn a_reload_forgets_everything() {
    let fake = Fake::new("pam", false, Some("s3cret"));
    let site = Site::of(&[&fake]);
    assert_eq!((site.login("s3cret"), site.login("s3cret")), (FRESH, CACHED));
    site.authenticator.replace(&site.backends, &site.settings).unwrap();
    assert_eq!(site.login("s3cret"), FRESH);
}

#[test]
fn the_table_is_bounded_whatever_comes() {
    let settings = CacheSettings { enabled: true, size: 50, ttl: Duration::from_secs(60) };
    let cache = Cache::new(&settings, &Arc::new(TagKey::for_tests())).unwrap();
    let fake = Fake::new("ldap", false, None) as Arc<dyn Verify>;
    for number in 0..5000 {
        let attempt = attempt(&format!("user{number}"), "x");
        let rests_on = vec![Footing::take(&fake, &attempt.identity)];
        let started = Instant::now();
        let acceptance = Acceptance { accepted: Accepted::default(), rests_on, started };
        cache.remember(cache.tag(&attempt, 0), &attempt, acceptance);
    }
    // The table is sharded, and each shard is rounded up.
    assert!(cache.len() <= 64 && cache.latest.len() <= 64, "{}", cache.len());
}

#[test]
fn nothing_is_remembered_unless_it_is_wanted() {
    let fake = Fake::new("store", true, Some("s3cret"));
    let site = Site::of(&[&fake]);
    let cache = CacheSettings { enabled: false, ..site.settings.cache.clone() };
    let settings = Settings { cache, ..site.settings.clone() };
    site.authenticator.replace(&site.backends, &settings).unwrap();
    assert_eq!((site.login("s3cret"), site.login("s3cret")), (FRESH, FRESH));
}
