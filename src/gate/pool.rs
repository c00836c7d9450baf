//! Connections to a backend that wait for the next session.
//!
//! A connection comes here when a transaction is over and its session waits for
//! its client, and goes to whoever needs one next; RSET stands between two users
//! wherever a transaction was left open. The one that came last goes first, so
//! that the others grow old and are closed. Bounded in number, idle time, age
//! and messages (`PoolSettings`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::relay::Relay;
use super::session::Permit;
use super::settings::PoolSettings;

/// What is kept open to one backend.
pub struct Pool {
    settings: PoolSettings,
    idle: Mutex<Vec<Kept>>,
    is_closed: AtomicBool,
}

struct Kept {
    relay: Relay,
    since: Instant,
}

impl Pool {
    /// An empty one.
    #[must_use]
    pub fn new(settings: PoolSettings) -> Self {
        Self { settings, idle: Mutex::default(), is_closed: AtomicBool::new(false) }
    }

    /// True if connections are kept at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.settings.idle > 0 && !self.is_closed.load(Ordering::Relaxed)
    }

    /// How many wait.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.lock().len()
    }

    /// A connection that nobody uses, if there is one.
    pub fn take(&self, _permit: &Permit) -> Option<Relay> {
        let kept = self.lock().pop()?;
        // The ones below waited longer; `sweep` says goodbye to them.
        (kept.since.elapsed() < self.settings.idle_time).then_some(kept.relay)
    }

    /// Keeps `relay` for the next session; gives it back where it is to be closed.
    pub fn put(&self, relay: Relay) -> Result<(), Box<Relay>> {
        if !relay.may_be_kept(&self.settings) {
            return Err(Box::new(relay));
        }
        let mut idle = self.lock();
        // Asked under the lock: `close` takes what is here after it has said so.
        if idle.len() >= self.settings.idle || !self.is_on() {
            return Err(Box::new(relay));
        }
        idle.push(Kept { relay, since: Instant::now() });
        Ok(())
    }

    /// Closes what has waited too long.
    pub async fn sweep(&self) {
        let late: Vec<Kept> = {
            let mut idle = self.lock();
            let limit = self.settings.idle_time;
            let fresh = idle.partition_point(|kept| kept.since.elapsed() >= limit);
            idle.drain(..fresh).collect()
        };
        for kept in late {
            kept.relay.quit().await;
        }
    }

    /// Closes everything; what comes later is not kept.
    pub async fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let idle = std::mem::take(&mut *self.lock());
        let goodbyes = idle.into_iter().map(|kept| tokio::spawn(kept.relay.quit()));
        for goodbye in goodbyes.collect::<Vec<_>>() {
            let _ = goodbye.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
