//! The arithmetic of a limit: so many in a time, evenly.
//!
//! The generic cell rate algorithm (ITU-T I.371): of each subject one instant is
//! kept, at which all it has used will be paid for. What is used moves the
//! instant on; what would move it more than the tolerance ahead of now is too
//! much. Eight bytes a subject, no windows that begin anew, and how long to wait
//! is known exactly.

use std::time::{Duration, Instant};

/// So many in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    /// `1 <= count`
    pub(super) count: u64,
    /// Of the same unit: what may be used at once. `1 <= burst`
    pub(super) burst: u64,
    /// Not zero.
    pub(super) per: Duration,
}

impl Quota {
    /// When all is paid for, once `amount` is used at `now`, by a subject whose
    /// use was paid for at `paid`.
    ///
    /// # Errors
    /// How long to wait until so much may be used.
    pub(super) fn admit(
        &self,
        paid: Option<Instant>,
        amount: u64,
        now: Instant,
    ) -> Result<Instant, Duration> {
        let next = after(self.start(paid, now), self.worth(amount));
        let latest = after(now, self.worth(self.burst));
        if next <= latest {
            return Ok(next);
        }
        Err(next.saturating_duration_since(latest))
    }

    /// The same for what was used already, however much it is. A debt ends after
    /// one period, whatever was used.
    pub(super) fn spend(&self, paid: Option<Instant>, amount: u64, now: Instant) -> Instant {
        let most = after(now, self.worth(self.burst).saturating_add(self.per));
        after(self.start(paid, now), self.worth(amount)).min(most)
    }

    /// What [`admit`](Self::admit) gave, as if it had not been asked for `amount`.
    pub(super) fn refund(&self, paid: Instant, amount: u64) -> Instant {
        paid.checked_sub(self.worth(amount)).unwrap_or(paid)
    }

    fn start(&self, paid: Option<Instant>, now: Instant) -> Instant {
        paid.map_or(now, |paid| paid.max(now))
    }

    /// The time that pays for `amount`.
    fn worth(&self, amount: u64) -> Duration {
        let nanos = self.per.as_nanos().saturating_mul(amount.into()) / u128::from(self.count);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// As late as can be said.
fn after(start: Instant, time: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    start.checked_add(time).or_else(|| start.checked_add(CENTURY)).unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn quota(count: u64, burst: u64) -> Quota {
        Quota { count, burst, per: HOUR }
    }

    #[test]
    fn all_at_once_and_then_evenly() {
        let now = Instant::now();
        let quota = quota(60, 60);
        let mut paid = None;
        for _ in 0..60 {
            paid = Some(quota.admit(paid, 1, now).unwrap());
        }
        assert_eq!(quota.admit(paid, 1, now), Err(Duration::from_secs(60)));
        let later = now + Duration::from_secs(60);
        paid = Some(quota.admit(paid, 1, later).unwrap());
        assert_eq!(quota.admit(paid, 1, later), Err(Duration::from_secs(60)));
        // Half an hour later half of it is there again.
        let later = later + HOUR / 2;
        for _ in 0..30 {
            paid = Some(quota.admit(paid, 1, later).unwrap());
        }
        assert!(quota.admit(paid, 1, later).is_err());
    }

    #[test]
    fn a_burst_below_the_count_bounds_what_comes_at_once() {
        let now = Instant::now();
        let quota = quota(60, 2);
        let paid = quota.admit(None, 2, now).ok();
        assert_eq!(quota.admit(paid, 1, now), Err(Duration::from_secs(60)));
        assert_eq!(quota.admit(None, 3, now), Err(Duration::from_secs(60)));
    }

    #[test]
    fn a_debt_ends_after_a_period() {
        let now = Instant::now();
        let quota = quota(100, 100);
        let paid = Some(quota.spend(None, 1_000_000, now));
        assert!(quota.admit(paid, 1, now + HOUR - Duration::from_secs(1)).is_err());
        assert!(quota.admit(paid, 1, now + HOUR + Duration::from_secs(36)).is_ok());
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let now = Instant::now();
        let quota = Quota { count: 1, burst: u64::MAX, per: Duration::MAX };
        assert!(quota.admit(None, u64::MAX, now).is_ok());
        let tight = Quota { burst: 1, ..quota };
        let paid = Some(tight.spend(None, u64::MAX, now));
        assert!(tight.admit(paid, 1, now).is_err());
    }

    #[test]
    fn a_clock_that_stands_before_the_last_use_gives_nothing_away() {
        let now = Instant::now() + HOUR;
        let quota = quota(1, 1);
        let paid = quota.admit(None, 1, now).ok();
        assert!(quota.admit(paid, 1, now - HOUR / 2).is_err());
    }
}
