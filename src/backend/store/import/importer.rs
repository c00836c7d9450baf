//! Writes candidates: thousands in a transaction, in the order of the tree.
//!
//! Whether a user is there, and the same, is decided inside of the transaction
//! that writes. Hashing comes before it: all cores hash the passwords of one
//! batch, while nobody is locked out. Bounded by the batch that the caller gives.

use std::collections::BTreeMap;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::candidate::{Candidate, Transfer};
use crate::backend::hashing::{HashError, HashPool, Verifier};
use crate::backend::store::admin::{Access, Store};
use crate::backend::store::error::StoreError;
use crate::backend::store::lookup::{self, Credential};
use crate::backend::store::password::{self, Verifiers};
use crate::backend::store::record::{Kind, Moment, State};
use crate::backend::store::schema;
use crate::backend::store::settings::Settings;
use crate::backend::store::verify::hash_failed;
use crate::base::{Identity, Secret};

/// What an import may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode {
    /// Users who are there get the password and state of the source. Their app
    /// passwords stay.
    pub overwrite: bool,
    /// Nothing is written; [`Outcome`]s are what they would be.
    pub dry_run: bool,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Is new in the store.
    Added,
    /// Was there, and has been overwritten.
    Replaced,
    /// Was there, just so.
    Unchanged,
    /// Was there, is not the same or may not be, and was left alone.
    Exists,
}

/// An open store that takes users in.
pub struct Importer {
    /// `None` in a dry run without a store.
    store: Option<Store>,
    pool: Option<HashPool>,
    settings: Settings,
    mode: Mode,
}

/// The password of a candidate, as far as it had to be looked at before the transaction.
enum Prepared {
    /// Nothing to hash, or nothing to do.
    AsIs,
    /// Verifiers of the password in clear text.
    Hashed(Verifiers),
    /// The one that is stored fits.
    Same,
}

/// A job of the pool, and what it will give.
type Hashing = tokio::sync::oneshot::Receiver<Result<Prepared, HashError>>;

impl Importer {
    /// Opens the store, or makes one unless nothing is to be written.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(settings: &Settings, mode: Mode) -> Result<Self, StoreError> {
        let access = if mode.dry_run { Access::Existing } else { Access::Create };
        let store = match Store::open(settings, access) {
            Ok(store) => Some(store),
            Err(StoreError::Missing { .. }) if mode.dry_run => None,
            Err(error) => return Err(error),
        };
        if let Some(store) = &store {
            let tune = format!("PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = 0;");
            store
                .connection
                .execute_batch(&tune)
                .map_err(|error| StoreError::from_sqlite(&store.path, &error))?;
        }
        Ok(Self { store, pool: None, settings: settings.clone(), mode })
    }

    /// Takes in all of `batch`, or nothing of it; the outcomes are in its order.
    /// When this returns, they are on the disk.
    ///
    /// # Errors
    /// Why nothing was written.
    pub fn take(&mut self, batch: &[Candidate]) -> Result<Vec<Outcome>, StoreError> {
        let Some(store) = &self.store else { return Ok(vec![Outcome::Added; batch.len()]) };
        let prepared = if self.mode.dry_run {
            batch.iter().map(|_| Prepared::AsIs).collect()
        } else {
            self.pool = match self.pool.take() {
                None if batch.iter().any(Candidate::is_plain) => Some(self.start_pool()?),
                pool => pool,
            };
            prepare(store, self.pool.as_ref(), self.mode, batch)?
        };
        let Some(store) = &mut self.store else { return Ok(Vec::new()) };
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by(|one, other| key(&batch[*one].identity).cmp(&key(&batch[*other].identity)));
        write(store, self.mode, batch, &prepared, &order)
    }

    fn start_pool(&self) -> Result<HashPool, StoreError> {
        HashPool::start(self.settings.hash_threads, MAX_BATCH, self.settings.cost()?)
            .map_err(|error| StoreError::Hash(format!("no thread: {error}")))
    }
}

fn key(identity: &Identity) -> (&str, &str) {
    (identity.realm(), identity.user())
}

/// Hashes what is in clear text and will be needed, on all threads of the pool.
fn prepare(
    store: &Store,
    pool: Option<&HashPool>,
    mode: Mode,
    batch: &[Candidate],
) -> Result<Vec<Prepared>, StoreError> {
    let mut waiting: BTreeMap<usize, Hashing> = BTreeMap::new();
    for (at, candidate) in batch.iter().enumerate() {
        let (Some(pool), Some(plain)) = (pool, &candidate.plain) else { continue };
        let present = Present::of(&store.connection, &candidate.identity)
            .map_err(|error| StoreError::from_sqlite(&store.path, &error))?;
        if present.is_some() && !mode.overwrite {
            continue;
        }
        let stored = present.and_then(Present::into_verifier);
        let job = hashing(store, plain, stored)?;
        let receiver = pool
            .submit(job)
            .map_err(|_| StoreError::Hash("too many passwords in one batch".to_owned()))?;
        waiting.insert(at, receiver);
    }
    (0..batch.len())
        .map(|at| match waiting.remove(&at).map(Hashing::blocking_recv) {
            None => Ok(Prepared::AsIs),
            Some(Ok(prepared)) => prepared.map_err(|error| hash_failed(&error)),
            Some(Err(_)) => Err(StoreError::Hash("a hash thread ended".to_owned())),
        })
        .collect()
}

/// The job that compares `plain` with what is `stored`, and hashes it if that does not fit.
fn hashing(
    store: &Store,
    plain: &Secret,
    stored: Option<Box<str>>,
) -> Result<
    impl FnOnce(&mut crate::backend::hashing::Worker<'_>) -> Result<Prepared, HashError>
    + Send
    + 'static,
    StoreError,
> {
    let password =
        Secret::copied_from(plain.expose()).map_err(|error| StoreError::Hash(error.to_string()))?;
    let (cost, scram) = (store.cost, store.scram);
    Ok(move |worker: &mut crate::backend::hashing::Worker<'_>| {
        let stored = stored.and_then(|text| Verifier::parse(&text).ok());
        if let Some(stored) = stored
            && worker.matches(&stored, &password)?
        {
            return Ok(Prepared::Same);
        }
        let verifier = worker.verifier(cost, &password)?;
        password::with_scram(verifier, scram, &password).map(Prepared::Hashed)
    })
}

fn write(
    store: &mut Store,
    mode: Mode,
    batch: &[Candidate],
    prepared: &[Prepared],
    order: &[usize],
) -> Result<Vec<Outcome>, StoreError> {
    let path = store.path.clone();
    let on_error = |error: rusqlite::Error| StoreError::from_sqlite(&path, &error);
    let mut outcomes = vec![Outcome::Exists; batch.len()];
    let transaction = store
        .connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(on_error)?;
    let now = Moment::now();
    for at in order {
        outcomes[*at] =
            take_in(&transaction, mode, &batch[*at], &prepared[*at], now).map_err(on_error)?;
    }
    if mode.dry_run {
        // Nothing to undo, but other writers need not wait any longer.
        transaction.rollback().map_err(on_error)?;
        return Ok(outcomes);
    }
    transaction.commit().map_err(on_error)?;
    schema::settle(&store.connection);
    Ok(outcomes)
}

/// Decides about one candidate, and writes it.
fn take_in(
    transaction: &Transaction<'_>,
    mode: Mode,
    candidate: &Candidate,
    prepared: &Prepared,
    now: Moment,
) -> rusqlite::Result<Outcome> {
    let present = Present::of(transaction, &candidate.identity)?;
    let outcome = match &present {
        None => Outcome::Added,
        Some(present) if present.is_as(candidate, prepared) => Outcome::Unchanged,
        Some(_) if mode.overwrite => Outcome::Replaced,
        Some(_) => Outcome::Exists,
    };
    let is_changed = matches!(outcome, Outcome::Added | Outcome::Replaced);
    if !is_changed || mode.dry_run {
        return Ok(outcome);
    }
    put_user(transaction, candidate, now)?;
    match prepared {
        // Only the state is another.
        Prepared::Same => {}
        Prepared::Hashed(verifiers) => {
            password::replace(transaction, &candidate.identity, verifiers, now.unix())?;
        }
        Prepared::AsIs => {
            if present.is_some() {
                password::replace(transaction, &candidate.identity, &Vec::new(), now.unix())?;
            }
            for transfer in &candidate.credentials {
                put_credential(transaction, candidate, transfer, now)?;
            }
        }
    }
    Ok(outcome)
}

fn put_user(
    transaction: &Transaction<'_>,
    candidate: &Candidate,
    now: Moment,
) -> rusqlite::Result<()> {
    let dates = &candidate.dates;
    transaction
        .prepare_cached(
            "INSERT INTO users (realm, user, state, created, changed, last_used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET state = ?3, changed = ?5",
        )?
        .execute(params![
            candidate.identity.realm(),
            candidate.identity.user(),
            candidate.state.as_str(),
            dates.created.unwrap_or(now).unix(),
            dates.changed.unwrap_or(now).unix(),
            dates.last_used.map(Moment::unix),
        ])?;
    Ok(())
}

fn put_credential(
    transaction: &Transaction<'_>,
    candidate: &Candidate,
    transfer: &Transfer,
    now: Moment,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO credentials
             (realm, user, kind, label, verifier, created, changed, services, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE
             SET verifier = ?5, changed = ?6, services = ?7, expires = ?8",
        )?
        .execute(params![
            candidate.identity.realm(),
            candidate.identity.user(),
            transfer.kind.as_str(),
            transfer.label,
            transfer.verifier,
            now.unix(),
            transfer.scope.as_str(),
            transfer.expires.map(Moment::unix),
        ])?;
    Ok(())
}

/// A user who is in the store.
struct Present {
    state: Option<State>,
    credentials: Vec<Credential>,
}

impl Present {
    fn of(connection: &Connection, identity: &Identity) -> rusqlite::Result<Option<Self>> {
        let (word, credentials) = lookup::find_in(connection, identity)?;
        Ok(word.map(|word| Self { state: State::from_word(&word), credentials }))
    }

    fn into_verifier(self) -> Option<Box<str>> {
        let mut credentials = self.credentials.into_iter();
        credentials.find(|it| it.kind == Kind::Argon2id).map(|it| it.verifier)
    }

    /// True if taking the candidate in would change nothing.
    fn is_as(&self, candidate: &Candidate, prepared: &Prepared) -> bool {
        if self.state != Some(candidate.state) {
            return false;
        }
        if candidate.is_plain() {
            return matches!(prepared, Prepared::Same);
        }
        let is_there = |transfer: &Transfer| {
            self.credentials.iter().any(|it| {
                it.kind == transfer.kind
                    && *it.label == *transfer.label
                    && *it.verifier == *transfer.verifier
                    && it.scope == transfer.scope
                    && it.expires == transfer.expires
            })
        };
        let of_account = self.credentials.iter().filter(|it| it.label.is_empty()).count();
        let to_come = candidate.credentials.iter().filter(|it| it.label.is_empty()).count();
        of_account == to_come && candidate.credentials.iter().all(is_there)
    }
}

/// Pages of the file that are kept: random names touch many of them.
const CACHE_KIB: u32 = 64 * 1024;
/// Passwords that may wait to be hashed; batches are smaller.
const MAX_BATCH: usize = 65_536;
