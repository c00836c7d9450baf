//! The backend `store`: checks a password against the store.
//!
//! The look-up runs on the calling thread and takes microseconds; the hash runs
//! in the pool (`judge`). An app password is answered right away. A locked
//! account is called locked only to somebody who knows its password.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::creation::{self, Creation};
use super::error::StoreError;
use super::judge::Judge;
use super::keeper::Keeper;
use super::lookup::{Connections, Found};
use super::schema::Patience;
use super::settings::{Scram, Settings};
use crate::auth::{Answer, Attempt, Grounds, Revision, Verification, Verify};
use crate::backend::hashing::{Cost, HashError, HashPool, Refused, Verifier, Worker};
use crate::base::{Identity, Reason, ReasonCode};

/// The password store as authd asks it.
pub struct PasswordStore {
    connections: Arc<Connections>,
    pool: HashPool,
    keeper: Arc<Keeper>,
    dummy: Arc<Verifier>,
    cost: Cost,
    scram: Scram,
    /// Keys the digests that [`Verify::grounds`] gives.
    digests: RandomState,
}

impl PasswordStore {
    /// Opens the store and starts its threads. A missing file is made, empty,
    /// so that a fresh installation starts. Call this as the user that the
    /// service runs as: the file must belong to it, with mode 0600.
    ///
    /// # Errors
    /// Why the store cannot be used: start-up should fail with it.
    pub fn start(settings: &Settings) -> Result<Arc<Self>, StoreError> {
        let cost = settings.cost()?;
        if creation::create_if_missing(&settings.path)? == Creation::Made {
            tracing::info!(
                "made an empty password store {}: add users with \"saslgate user add\"",
                settings.path.display()
            );
        }
        let connections = Arc::new(Connections::open(&settings.path)?);
        Ok(Arc::new(Self {
            pool: HashPool::start(settings.hash_threads, settings.max_waiting, cost)
                .map_err(|error| StoreError::Hash(format!("no thread: {error}")))?,
            keeper: Arc::new(Keeper::start(Arc::clone(&connections))?),
            dummy: Arc::new(Verifier::dummy(cost).map_err(|error| hash_failed(&error))?),
            connections,
            cost,
            scram: settings.scram,
            digests: RandomState::new(),
        }))
    }

    /// Hashes begun since the start.
    #[cfg(test)]
    pub(super) fn hashes(&self) -> u64 {
        self.pool.hashes()
    }

    /// Writes what is not written yet and ends the threads; attempts that wait
    /// become unavailable. Blocks for as long as the hashes that run. Dropping does the same.
    pub fn stop(&self) {
        self.pool.stop();
        self.keeper.stop();
    }
}

impl Verify for PasswordStore {
    fn name(&self) -> &'static str {
        "store"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        let found = match self.connections.find(&attempt.identity, Patience::None) {
            Ok(found) => Lookup::Done(found),
            // Another process opens or recovers the file this moment: wait where it hurts nobody.
            Err(StoreError::Busy { .. }) => Lookup::Again(Arc::clone(&self.connections)),
            Err(error) => return Verification::Ready(Answer::Unavailable(error.reason())),
        };
        let judge = Judge {
            attempt,
            keeper: Arc::clone(&self.keeper),
            dummy: Arc::clone(&self.dummy),
            cost: self.cost,
            scram: self.scram,
        };
        if let Lookup::Done(Some(found)) = &found
            && let Some(answer) = judge.at_once(found)
        {
            return Verification::Ready(answer);
        }
        match self.pool.submit(move |worker| found.answer(&judge, worker)) {
            Ok(answer) => Verification::Pending(Box::pin(await_answer(answer))),
            Err(refused) => Verification::Ready(Answer::Unavailable(refused.into())),
        }
    }

    fn revision(&self) -> Revision {
        Revision(self.connections.revision())
    }

    /// Whatever decides about the user: not when the user was last seen, which we write ourselves.
    fn grounds(&self, identity: &Identity) -> Option<Grounds> {
        let found = self.connections.find(identity, Patience::None).ok()?;
        Some(Grounds(self.digests.hash_one(found)))
    }

    fn may_change_unseen(&self) -> bool {
        false
    }

    fn recalled(&self, identity: &Identity, label: Option<&str>) {
        self.keeper.note_use(identity, label);
    }
}

enum Lookup {
    Done(Option<Found>),
    Again(Arc<Connections>),
}

impl Lookup {
    /// Runs on a hash thread.
    fn answer(self, judge: &Judge, worker: &mut Worker<'_>) -> Answer {
        let found = match self {
            Self::Done(found) => Ok(found),
            Self::Again(connections) => {
                connections.find(&judge.attempt.identity, Patience::Seconds)
            }
        };
        found
            .and_then(|found| judge.judge(found.as_ref(), worker))
            .unwrap_or_else(|error| Answer::Unavailable(error.reason()))
    }
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::new(
                ReasonCode::Busy,
                "too many passwords wait to be hashed: see store.hash_threads and \
                 store.max_waiting",
            ),
            Refused::Stopping => ReasonCode::Stopping.into(),
        }
    }
}

async fn await_answer(answer: oneshot::Receiver<Answer>) -> Answer {
    match tokio::time::timeout(DEADLINE, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Answer::Unavailable(ReasonCode::Stopping.into()),
        Err(_) => Answer::Unavailable(Reason::new(
            ReasonCode::Timeout,
            "the password waited for a hash thread for too long: see store.hash_threads",
        )),
    }
}

pub(super) fn hash_failed(error: &HashError) -> StoreError {
    StoreError::Hash(error.to_string())
}

/// How long an attempt may wait for its hash. A queue that is slower than this is an outage.
const DEADLINE: Duration = Duration::from_secs(30);
