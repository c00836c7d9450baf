//! How many ask a server at once, and how many may wait for their turn.
//!
//! Shared by the backends that ask across a network. Both numbers are bounded,
//! and the wait ends at the deadline of the one who waits.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::base::{Reason, ReasonCode};

/// The way in.
pub(in crate::backend) struct Admission {
    /// Name of the backend, for people.
    backend: &'static str,
    permits: Semaphore,
    most: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl Admission {
    /// Lets `most` in at once, and `max_waiting` wait.
    pub(in crate::backend) fn new(backend: &'static str, most: usize, max_waiting: usize) -> Self {
        let permits = Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS));
        Self { backend, permits, most, waiting: AtomicUsize::new(0), max_waiting }
    }

    /// Waits for a turn, which ends when the permit is dropped.
    ///
    /// # Errors
    /// `Busy` if too many wait, `Timeout` if none was free until `deadline`.
    pub(in crate::backend) async fn enter(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, Reason> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let Some(_place) = Place::take(&self.waiting, self.max_waiting) else {
            let detail = format!(
                "{} logins wait for the server already: see {}.max_waiting",
                self.max_waiting, self.backend
            );
            return Err(Reason::new(ReasonCode::Busy, detail));
        };
        let permit = timeout_at(deadline, self.permits.acquire()).await;
        permit.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = format!(
                "no connection became free in time, all {} were busy: is the server slow? \
                 See {}.max_connections",
                self.most, self.backend
            );
            Reason::new(ReasonCode::Timeout, detail)
        })
    }
}

/// A place among those who wait; given back on drop.
pub(in crate::backend) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    /// Takes one unless `limit` are taken.
    pub(in crate::backend) fn take(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let place = Self(waiting);
        // Taken first and given back if it is one too many: two cannot take the last place.
        (waiting.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
