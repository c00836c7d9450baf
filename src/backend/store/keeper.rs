//! The store's background thread: writes last-used times, notices a file that
//! was written to behind SQLite's back.
//!
//! Times are collected in a bounded map and written in one transaction every
//! 30 seconds and at the end, so a login never waits for a disk. A failure to
//! write them is a warning, once; what is lost is a date.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

use super::error::StoreError;
use super::lookup::Connections;
use super::record::{KIND_ARGON2ID, Moment};
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
    /// At most [`MAX_USES`]; later users wait for the next round.
    uses: HashMap<Identity, Moment>,
    is_stopping: bool,
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

    /// Notes that `identity` has logged in just now.
    pub(super) fn note_use(&self, identity: &Identity) {
        let mut state = self.shared.lock();
        if let Some(moment) = state.uses.get_mut(identity) {
            *moment = Moment::now();
        } else if state.uses.len() < MAX_USES {
            state.uses.insert(identity.clone(), Moment::now());
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
            if written.elapsed() >= WRITE_INTERVAL {
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
        let uses = std::mem::take(&mut self.lock().uses);
        if uses.is_empty() {
            return Ok(());
        }
        self.connections.change(|connection| write_to(connection, &uses))
    }
}

fn write_to(connection: &mut Connection, uses: &HashMap<Identity, Moment>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (identity, moment) in uses {
        let (realm, user) = (identity.realm(), identity.user());
        transaction
            .prepare_cached(
                "UPDATE users SET last_used = ?3 WHERE realm = ?1 AND user = ?2
                 AND ifnull(last_used, 0) < ?3",
            )?
            .execute(params![realm, user, moment.unix()])?;
        transaction
            .prepare_cached(
                "UPDATE credentials SET last_used = ?3 WHERE realm = ?1 AND user = ?2
                 AND kind = ?4 AND label = '' AND ifnull(last_used, 0) < ?3",
            )?
            .execute(params![realm, user, moment.unix(), KIND_ARGON2ID])?;
    }
    transaction.commit()?;
    schema::settle(connection);
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
