//! Slows down and then stops whoever guesses passwords, and nobody else.
//!
//! Failed logins (wrong password, unknown user, locked account) are counted, and the counts
//! halve with time:
//!
//! | counted for | beyond a few, refusals are delayed | beyond its limit, nobody is asked |
//! |---|---|---|
//! | a login from an address block (/32, /64) | yes | yes, for that login from there |
//! | a login from anywhere | yes | yes, for that login |
//! | an address block, whatever the login | yes | never: others are behind it, too |
//!
//! A delay doubles with each failure, is a timer and holds no worker, and ends
//! so that the peer (Postfix waits 10 s, chasquid 5 s) is still there. Only
//! refusals are delayed: a right password is told at once.
//!
//! The same wrong password of a login counts once: a forgotten mail program is
//! no attack. A password that was accepted before is always asked about, so
//! that nobody can lock out a user by guessing at the name.
//!
//! Pure but for the tables, which are bounded: `now` and the key come from the
//! caller. Logins and passwords stand in them as [`Tag`]s.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use quick_cache::sync::{self, EntryAction, EntryResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::tag::{Tag, TagKey};
use super::verify::Attempt;
use crate::base::{Origin, Reason, ReasonCode};

/// From the request to a delayed refusal: no more than this.
pub(super) const LONGEST: Duration = Duration::from_millis(3500);

/// Failures that are refused without a delay: typing errors.
const FREE: f64 = 2.5;

/// Doublings at most; more would be beyond [`LONGEST`] whatever the base.
const MOST_DOUBLINGS: f64 = 12.0;

/// How guessing is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Whether it is at all.
    pub enabled: bool,
    /// The first delay of a refusal; it doubles with each further failure.
    pub delay: Duration,
    /// Failures of one login from one address block before it is no longer asked about.
    pub limit: u32,
    /// Failures of one login from anywhere before it is no longer asked about.
    pub login_limit: u32,
    /// Counts halve in this time.
    pub half_life: Duration,
    /// Entries of each table at most.
    pub size: usize,
    /// Refusals that may be waiting for their delay at once; more are told without one.
    pub max_delayed: usize,
    /// Networks whose logins are neither counted nor delayed.
    pub exempt: Vec<IpNet>,
}

/// The counts. Shared by all threads.
pub(super) struct Throttle {
    settings: ThrottleSettings,
    key: Arc<TagKey>,
    counts: sync::Cache<Subject, Count>,
    /// Wrong passwords that have been counted, and when.
    wrong: sync::Cache<Tag, Instant>,
    /// Passwords that were accepted.
    right: sync::Cache<Tag, ()>,
    delays: Arc<Semaphore>,
}

/// What an attempt is counted under.
pub(super) struct Case {
    login: Tag,
    proof: Tag,
    block: Option<IpAddr>,
}

/// A delay of a refusal, and its place among those that are waiting.
pub(super) struct Delay {
    pub(super) length: Duration,
    pub(super) place: OwnedSemaphorePermit,
}

/// Whose failures are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Pair(Tag, IpAddr),
    Login(Tag),
    Block(IpAddr),
}

/// A count that halves with time.
#[derive(Debug, Clone, Copy)]
struct Count {
    failures: f64,
    since: Instant,
}

impl Throttle {
    /// One that has counted nothing; `None` where none is wanted.
    pub(super) fn new(settings: &ThrottleSettings, key: &Arc<TagKey>) -> Option<Arc<Self>> {
        let place = || Self {
            key: Arc::clone(key),
            counts: sync::Cache::new(settings.size),
            wrong: sync::Cache::new(settings.size),
            right: sync::Cache::new(settings.size),
            delays: Arc::new(Semaphore::new(settings.max_delayed.min(Semaphore::MAX_PERMITS))),
            settings: settings.clone(),
        };
        settings.enabled.then(|| Arc::new(place()))
    }

    /// True if it does what `settings` say, and can go on with its counts.
    pub(super) fn fits(&self, settings: &ThrottleSettings) -> bool {
        self.settings == *settings
    }

    /// What `attempt` is counted under; `None` if it is exempt.
    pub(super) fn case(&self, attempt: &Attempt) -> Option<Case> {
        let client = attempt.origin.client.map(|address| address.to_canonical());
        let exempt = |network: &IpNet| client.is_some_and(|client| network.contains(&client));
        (!self.settings.exempt.iter().any(exempt)).then(|| Case {
            login: self.key.user(&attempt.identity),
            proof: self.key.proof(attempt),
            block: client.map(Origin::block),
        })
    }

    /// Whether anybody is to be asked about the case at `now`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admit(&self, case: &Case, now: Instant) -> Result<(), Reason> {
        let over = |subject: Subject, limit: u32| self.level(&subject, now) >= f64::from(limit);
        let pair = case.block.map(|block| Subject::Pair(case.login, block));
        let why = if pair.is_some_and(|pair| over(pair, self.settings.limit)) {
            "too many failed logins of this user from this address (throttle.limit)"
        } else if over(Subject::Login(case.login), self.settings.login_limit) {
            "too many failed logins of this user (throttle.login_limit)"
        } else {
            return Ok(());
        };
        if self.right.get(&case.proof).is_some() {
            return Ok(());
        }
        Err(Reason::new(ReasonCode::Throttled, why))
    }

    /// Notes that the case was accepted.
    pub(super) fn passed(&self, case: &Case) {
        self.right.insert(case.proof, ());
        if let Some(block) = case.block {
            self.counts.remove(&Subject::Pair(case.login, block));
        }
    }

    /// Counts a failure; gives the delay of its refusal. `None` is without one.
    pub(super) fn failed(&self, case: &Case, now: Instant) -> Option<Delay> {
        self.right.remove(&case.proof);
        let weight = if self.is_repeat(case, now) { 0.0 } else { 1.0 };
        let own = self.add(Subject::Login(case.login), weight, now);
        let pair = case.block.map(|it| self.add(Subject::Pair(case.login, it), weight, now));
        let block = case.block.map(|it| self.add(Subject::Block(it), weight, now));
        // Many users may be behind one block.
        let shared = block.map_or(0.0, |count| count - f64::from(self.settings.limit));
        let length = self.delay(own.max(pair.unwrap_or(0.0)).max(shared));
        if length.is_zero() {
            return None;
        }
        let place = Arc::clone(&self.delays).try_acquire_owned().ok()?;
        Some(Delay { length, place })
    }

    fn delay(&self, failures: f64) -> Duration {
        if failures < FREE {
            return Duration::ZERO;
        }
        let doublings = (failures - FREE).floor().min(MOST_DOUBLINGS);
        self.settings.delay.mul_f64(doublings.exp2()).min(LONGEST)
    }

    /// True if this password of this login has been counted, and not long ago.
    fn is_repeat(&self, case: &Case, now: Instant) -> bool {
        let counted = self.wrong.get(&case.proof);
        if counted.is_some_and(|at| now.saturating_duration_since(at) < self.settings.half_life) {
            return true;
        }
        self.wrong.insert(case.proof, now);
        false
    }

    fn level(&self, subject: &Subject, now: Instant) -> f64 {
        self.counts.get(subject).map_or(0.0, |count| self.decayed(count, now))
    }

    fn add(&self, subject: Subject, weight: f64, now: Instant) -> f64 {
        let update = |_: &Subject, count: &mut Count| {
            *count = Count { failures: self.decayed(*count, now) + weight, since: now };
            EntryAction::Retain(count.failures)
        };
        match self.counts.entry(&subject, None, update) {
            EntryResult::Retained(failures) => failures,
            EntryResult::Vacant(place) if weight > 0.0 => {
                // It cannot be kept only if somebody else has just put one there.
                let _ = place.insert(Count { failures: weight, since: now });
                weight
            }
            _ => weight,
        }
    }

    fn decayed(&self, count: Count, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(count.since).as_secs_f64();
        let half_lives = elapsed / self.settings.half_life.as_secs_f64().max(f64::MIN_POSITIVE);
        count.failures * (-half_lives).exp2()
    }

    /// Entries in all tables.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.counts.len() + self.wrong.len() + self.right.len()
    }
}

#[cfg(test)]
mod tests;
