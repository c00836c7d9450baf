//! The backend `sasldb`: compares a password with that of the file as it is now.
//!
//! Answers at once, except where the file has just changed: a large one is read
//! elsewhere, and *no* is said only when two looks at a file that is being
//! written agree, since a user may be on its way from one page to another.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::realms::HostNames;
use super::settings::Settings;
use super::table::Sealer;
use super::watched::{Held, Watched};
use crate::auth::{
    Accepted, Answer, Attempt, Grounds, RealmSource, Revision, Verification, Verify,
};
use crate::base::{Identity, Reason, ReasonCode};

/// The sasldb2 as authd asks it.
pub struct Sasldb {
    file: Arc<Watched>,
    host: HostNames,
}

impl Sasldb {
    /// Reads the file. One that is missing or cannot be read is in the log,
    /// and its users are unavailable until it can: a host starts its services
    /// in an order of its own.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub fn open(settings: &Settings, host: HostNames) -> Result<Arc<Self>, getrandom::Error> {
        let file = Arc::new(Watched::open(settings, Sealer::draw()?));
        Ok(Arc::new(Self { file, host }))
    }

    /// How often the file was read.
    #[cfg(test)]
    pub(super) fn readings(&self) -> u64 {
        self.file.readings()
    }

    fn judge(&self, attempt: &Attempt, held: &Held) -> Answer {
        let table = match &held.table {
            Ok(table) => table,
            Err(error) => return Answer::Unavailable(error.reason()),
        };
        let seals = self.host.find(table, &attempt.identity, attempt.realm);
        let is_right = self.file.sealer.is_among(&attempt.password, seals);
        match (is_right, seals) {
            (true, Some(_)) => Answer::Accepted(Accepted::default()),
            (_, None) => Answer::Unknown,
            (false, Some(_)) => Answer::Rejected(ReasonCode::BadCredentials.into()),
        }
    }

    fn later(self: Arc<Self>, attempt: Arc<Attempt>, seen: Option<Arc<Held>>) -> Verification {
        Verification::Pending(Box::pin(async move {
            let judging = self.judge_later(attempt, seen);
            tokio::time::timeout(DEADLINE, judging).await.unwrap_or_else(|_| {
                Answer::Unavailable(Reason::new(
                    ReasonCode::Timeout,
                    "reading the sasldb2 takes too long: look at the disk it is on",
                ))
            })
        }))
    }

    /// Looks at the file until an answer is certain.
    async fn judge_later(
        self: Arc<Self>,
        attempt: Arc<Attempt>,
        seen: Option<Arc<Held>>,
    ) -> Answer {
        let mut seen = seen;
        let mut answer = Answer::Unknown;
        for _ in 0..LOOKS {
            if seen.is_some() {
                tokio::time::sleep(BETWEEN).await;
            }
            let held = match Arc::clone(&self.file).look_later().await {
                Ok(held) => held,
                Err(_) => return Answer::Unavailable(ReasonCode::Stopping.into()),
            };
            answer = self.judge(&attempt, &held);
            let is_seen = seen.is_some_and(|seen| seen.revision == held.revision);
            if is_seen || is_certain(&answer, &held) {
                return answer;
            }
            seen = Some(held);
        }
        answer
    }
}

impl Verify for Sasldb {
    fn name(&self) -> &'static str {
        "sasldb"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        let Ok(held) = self.file.look() else {
            return self.later(attempt, None);
        };
        let answer = self.judge(&attempt, &held);
        if is_certain(&answer, &held) {
            Verification::Ready(answer)
        } else {
            self.later(attempt, Some(held))
        }
    }

    fn revision(&self) -> Revision {
        match self.file.look() {
            Ok(held) => Revision(held.revision),
            // Not known without waiting: like no other.
            Err(_) => Revision(self.file.next_revision()),
        }
    }

    fn grounds(&self, identity: &Identity) -> Option<Grounds> {
        let held = self.file.look().ok()?;
        let table = held.table.as_ref().ok()?;
        let mut digest = DefaultHasher::new();
        for source in [RealmSource::Claim, RealmSource::Login, RealmSource::Default] {
            self.host.find(table, identity, source).hash(&mut digest);
        }
        Some(Grounds(digest.finish()))
    }

    fn may_change_unseen(&self) -> bool {
        false
    }
}

/// A right password is right; *no* may be due to a file half written.
fn is_certain(answer: &Answer, held: &Held) -> bool {
    !held.is_fresh || matches!(answer, Answer::Accepted(_) | Answer::Unavailable(_))
}

/// Between two looks at a file that is being written: what a writer needs and more.
const BETWEEN: Duration = Duration::from_millis(25);

/// After so many, what was seen last counts.
const LOOKS: usize = 8;

/// A file that takes longer to read than this is out of reach.
const DEADLINE: Duration = Duration::from_secs(10);
