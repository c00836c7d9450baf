//! The door of a backend that waits for somebody: so many at once, so many who wait.
//!
//! Called by backends whose logins need a worker, a process or a connection.
//! Whoever is let in holds a permit until it drops; whoever would be one too
//! many is told at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::base::{Reason, ReasonCode};

/// Lets `most` in at once, while at most `max_waiting` wait.
pub(in crate::backend) struct Admission {
    permits: Semaphore,
    most: usize,
    waiting: AtomicUsize,
    max_waiting: usize,
}

/// Why somebody was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) enum Refusal {
    /// As many wait as may.
    QueueFull(usize),
    /// The deadline came first; all of so many were busy.
    NoneFree(usize),
}

impl Refusal {
    /// The outage that it is, of the backend whose section of the configuration is `section`.
    pub(in crate::backend) fn reason(self, section: &str) -> Reason {
        match self {
            Self::QueueFull(waiting) => Reason::new(
                ReasonCode::Busy,
                format!("{waiting} logins wait for the server already: see {section}.max_waiting"),
            ),
            Self::NoneFree(most) => Reason::new(
                ReasonCode::Timeout,
                format!(
                    "no connection became free in time, all {most} were busy: is the server slow? \
                     See {section}.max_connections"
                ),
            ),
        }
    }
}

impl Admission {
    pub(in crate::backend) fn new(most: usize, max_waiting: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Semaphore::new(most), most, waiting: AtomicUsize::new(0), max_waiting }
    }

    /// Waits for a permit, unless too many wait already.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(in crate::backend) async fn admit(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, Refusal> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let _place = Place::take(&self.waiting, self.max_waiting)
            .ok_or(Refusal::QueueFull(self.max_waiting))?;
        let permit = timeout_at(deadline, self.permits.acquire()).await;
        // Closing the semaphore is nothing we ever do.
        permit.ok().and_then(Result::ok).ok_or(Refusal::NoneFree(self.most))
    }
}

/// A place among those who wait; given back on drop.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn as_many_are_let_in_and_wait_as_was_said() {
        let door = Admission::new(1, 1);
        let soon = || Instant::now() + Duration::from_millis(20);
        let inside = door.admit(soon()).await.unwrap();
        let (waiting, refused) = tokio::join!(door.admit(soon()), door.admit(soon()));
        assert_eq!(waiting.err(), Some(Refusal::NoneFree(1)));
        assert_eq!(refused.err(), Some(Refusal::QueueFull(1)));
        drop(inside);
        assert!(door.admit(soon()).await.is_ok());
    }
}
