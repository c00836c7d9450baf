//! The store's background thread: writes last-used times and the hashes that
//! logins have upgraded, notices a file that was written to behind SQLite's back.
//!
//! Times are collected in a bounded map and written in one transaction every
//! 30 seconds and at the end, so a login never waits for a disk; new hashes
//! within a second. A failure to write them is a warning, once: what is lost is
//! a date, or work that the next login does again.
//!
//! A hash is replaced only if the one it was checked against is still there: a
//! password that an administrator has set meanwhile is never undone.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Transaction, TransactionBehavior, params};

use super::error::StoreError;
use super::lookup::Connections;
use super::password::{self, Verifiers};
use super::record::{Kind, Moment};
use super::schema;
use crate::base::Identity;

/// Keeps an open store in order.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    connections: Arc<Connections>,
    state: Mutex<State>,
    stop: Condvar,
}

#[derive(Default)]
struct State {
    /// By user and label (empty for the account's password), at most
    /// [`MAX_USES`]; others wait for the next round.
    uses: HashMap<(Identity, Box<str>), Moment>,
    /// At most [`MAX_UPGRADES`]; others wait for their next login.
    upgrades: HashMap<Identity, Upgrade>,
    is_stopping: bool,
}

/// New verifiers for a password that has just been right.
pub(super) struct Upgrade {
    /// What it was checked against.
    pub(super) old: (Kind, Box<str>),
    /// What takes its place.
    pub(super) new: Verifiers,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Hash` if the system gives no thread.
    pub(super) fn start(connections: Arc<Connections>) -> Result<Self, StoreError> {
        let shared =
            Arc::new(Shared { connections, state: Mutex::default(), stop: Condvar::new() });
        let keeper = Self { shared: Arc::clone(&shared), thread: Mutex::default() };
        let thread = thread::Builder::new()
            .name("store-keeper".to_owned())
            .spawn(move || shared.keep())
            .map_err(|error| StoreError::Hash(format!("no thread: {error}")))?;
        *keeper.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(keeper)
    }

    /// Notes that `identity` has logged in just now, with the app password of
    /// that label or with the password of the account.
    pub(super) fn note_use(&self, identity: &Identity, label: Option<&str>) {
        let key = (identity.clone(), label.unwrap_or_default().into());
        let mut state = self.shared.lock();
        let is_full = state.uses.len() >= MAX_USES;
        match state.uses.entry(key) {
            Entry::Occupied(mut noted) => drop(noted.insert(Moment::now())),
            Entry::Vacant(free) if !is_full => drop(free.insert(Moment::now())),
            Entry::Vacant(_) => {}
        }
    }

    /// True if an upgrade for `identity` would be taken: none is on its way,
    /// and not too many of others are.
    pub(super) fn has_room_for(&self, identity: &Identity) -> bool {
        let state = self.shared.lock();
        state.upgrades.len() < MAX_UPGRADES && !state.upgrades.contains_key(identity)
    }

    /// Takes an upgrade, to be written within a second.
    pub(super) fn note_upgrade(&self, identity: &Identity, upgrade: Upgrade) {
        if self.has_room_for(identity) {
            self.shared.lock().upgrades.insert(identity.clone(), upgrade);
        }
    }

    /// Writes what is noted and ends the thread.
    pub(super) fn stop(&self) {
        self.shared.lock().is_stopping = true;
        self.shared.stop.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            drop(thread.join());
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self) {
        let mut troubles = Troubles::default();
        let mut written = Instant::now();
        while !self.waited_for_stop() {
            troubles.report("checking", self.connections.refresh());
            if written.elapsed() >= WRITE_INTERVAL || !self.lock().upgrades.is_empty() {
                troubles.report("writing last-used times to", self.write());
                written = Instant::now();
            }
        }
        troubles.report("writing last-used times to", self.write());
    }

    /// Waits for one tick; true if the end came first.
    fn waited_for_stop(&self) -> bool {
        let state = self.lock();
        let (state, _) = self
            .stop
            .wait_timeout_while(state, TICK, |state| !state.is_stopping)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_stopping
    }

    fn write(&self) -> Result<(), StoreError> {
        let (uses, upgrades) = {
            let mut state = self.lock();
            (std::mem::take(&mut state.uses), std::mem::take(&mut state.upgrades))
        };
        if uses.is_empty() && upgrades.is_empty() {
            return Ok(());
        }
        self.connections.change(|connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (identity, upgrade) in &upgrades {
                write_upgrade(&transaction, identity, upgrade)?;
            }
            for ((identity, label), moment) in &uses {
                write_use(&transaction, identity, label, *moment)?;
            }
            transaction.commit()?;
            schema::settle(connection);
            Ok(())
        })
    }
}

fn write_upgrade(
    transaction: &Transaction<'_>,
    identity: &Identity,
    upgrade: &Upgrade,
) -> rusqlite::Result<()> {
    let (kind, verifier) = &upgrade.old;
    let is_unchanged = transaction
        .prepare_cached(
            "SELECT 1 FROM credentials WHERE realm = ?1 AND user = ?2 AND kind = ?3
             AND label = '' AND verifier = ?4",
        )?
        .exists(params![identity.realm(), identity.user(), kind.as_str(), verifier])?;
    if is_unchanged {
        password::replace(transaction, identity, &upgrade.new, Moment::now().unix())?;
    }
    Ok(())
}

fn write_use(
    transaction: &Transaction<'_>,
    identity: &Identity,
    label: &str,
    moment: Moment,
) -> rusqlite::Result<()> {
    let (realm, user) = (identity.realm(), identity.user());
    transaction
        .prepare_cached(
            "UPDATE users SET last_used = ?3 WHERE realm = ?1 AND user = ?2
             AND ifnull(last_used, 0) < ?3",
        )?
        .execute(params![realm, user, moment.unix()])?;
    // SCRAM's verifier was not asked.
    transaction
        .prepare_cached(
            "UPDATE credentials SET last_used = ?3 WHERE realm = ?1 AND user = ?2
             AND label = ?4 AND kind <> ?5 AND ifnull(last_used, 0) < ?3",
        )?
        .execute(params![realm, user, moment.unix(), label, Kind::Scram.as_str()])?;
    Ok(())
}

/// Warns when trouble begins and says when it is over, instead of every second.
#[derive(Default)]
struct Troubles {
    is_reported: bool,
}

impl Troubles {
    fn report(&mut self, action: &str, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) if self.is_reported => {
                tracing::info!("the password store can be used again");
                self.is_reported = false;
            }
            Err(error) if !self.is_reported => {
                tracing::warn!("{action} the password store failed: {error}");
                self.is_reported = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// How often the file is compared with the open one.
const TICK: Duration = Duration::from_secs(1);
/// How often last-used times are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(30);
/// Users whose last use waits to be written.
const MAX_USES: usize = 16_384;
/// Upgrades that wait to be written, a second's worth on many cores.
const MAX_UPGRADES: usize = 1024;
