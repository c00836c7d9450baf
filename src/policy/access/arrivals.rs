//! Connections of each address, for `ClientRate:` and `ClientConn:`.
//!
//! As sendmail 8.17.1 counts: a rate is what began within the last minute, in
//! steps of six seconds, the connection that asks included. Bounded: at [`MOST`]
//! addresses, those are forgotten that have nothing open and did not come within
//! the minute; where that makes no room, a new address is not counted. `now` is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Addresses at once.
pub const MOST: usize = 65_536;
/// Width of a step of the window.
const STEP: Duration = Duration::from_secs(6);
/// Steps of a minute.
const STEPS: usize = 10;

/// The connections of all addresses.
#[derive(Debug)]
pub struct Arrivals {
    start: Instant,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    seen: HashMap<IpAddr, Seen>,
    /// The step in which room was made last: a full table is looked through once a step.
    swept: Option<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    open: u32,
    /// What began in each step of the last minute, the newest at `newest % STEPS`.
    began: [u32; STEPS],
    newest: u64,
}

/// A connection that counts until this is dropped.
#[derive(Debug)]
pub struct Counted {
    arrivals: Arc<Arrivals>,
    address: IpAddr,
}

/// How many, the one that asked included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Open now.
    pub open: u32,
    /// Begun within a minute.
    pub a_minute: u32,
}

impl Arrivals {
    /// Nobody has come yet; `now` is when.
    #[must_use]
    pub fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self { start: now, table: Mutex::default() })
    }

    /// Counts a connection from `address`.
    #[must_use]
    pub fn arrive(self: &Arc<Self>, address: IpAddr, now: Instant) -> (Counted, Count) {
        let address = address.to_canonical();
        let step = now.saturating_duration_since(self.start).as_secs() / STEP.as_secs();
        let count = self.lock().arrive(address, step);
        (Counted { arrivals: Arc::clone(self), address }, count)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(seen) = self.arrivals.lock().seen.get_mut(&self.address) {
            seen.open = seen.open.saturating_sub(1);
        }
    }
}

impl Table {
    fn arrive(&mut self, address: IpAddr, step: u64) -> Count {
        if self.seen.len() >= MOST && !self.seen.contains_key(&address) {
            if self.swept != Some(step) {
                self.swept = Some(step);
                self.seen.retain(|_, seen| seen.open > 0 || seen.newest + STEPS as u64 > step);
            }
            if self.seen.len() >= MOST {
                return Count { open: 1, a_minute: 1 };
            }
        }
        self.seen.entry(address).or_default().arrive(step)
    }
}

impl Seen {
    fn arrive(&mut self, step: u64) -> Count {
        for passed in (self.newest + 1..=step).take(STEPS) {
            self.began[index(passed)] = 0;
        }
        self.newest = self.newest.max(step);
        let began = &mut self.began[index(self.newest)];
        *began = began.saturating_add(1);
        self.open = self.open.saturating_add(1);
        let a_minute = self.began.iter().fold(0, |sum: u32, count| sum.saturating_add(*count));
        Count { open: self.open, a_minute }
    }
}

fn index(step: u64) -> usize {
    (step % STEPS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    #[test]
    fn counts_what_is_open_and_what_began_within_the_minute() {
        let start = Instant::now();
        let arrivals = Arrivals::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let (first, count) = arrivals.arrive(address(1), at(0));
        assert_eq!(count, Count { open: 1, a_minute: 1 });
        let (second, count) = arrivals.arrive("::ffff:0.0.0.1".parse().unwrap(), at(30));
        assert_eq!(count, Count { open: 2, a_minute: 2 });
        drop(first);
        let (_, count) = arrivals.arrive(address(1), at(59));
        assert_eq!(count, Count { open: 2, a_minute: 3 });
        let (_, count) = arrivals.arrive(address(1), at(61));
        assert_eq!(count, Count { open: 2, a_minute: 3 }, "the first one is over a minute ago");
        let (_, count) = arrivals.arrive(address(2), at(61));
        assert_eq!(count, Count { open: 1, a_minute: 1 });
        drop(second);
        let (_, count) = arrivals.arrive(address(1), at(100_000));
        assert_eq!(count, Count { open: 1, a_minute: 1 });
        let (_, count) = arrivals.arrive(address(1), at(0));
        assert_eq!(count.a_minute, 2, "a clock that steps back forgets nothing");
    }

    #[test]
    fn is_bounded_and_makes_room_of_those_who_left() {
        let start = Instant::now();
        let arrivals = Arrivals::new(start);
        let most = u32::try_from(MOST).unwrap();
        let kept: Vec<_> = (0..most).map(|n| arrivals.arrive(address(n), start).0).collect();
        let (_, count) = arrivals.arrive(address(most), start);
        assert_eq!(count.open, 1);
        assert_eq!(arrivals.lock().seen.len(), MOST, "all are open: nobody is forgotten");
        drop(kept);
        let later = start + Duration::from_secs(70);
        let (_, count) = arrivals.arrive(address(most), later);
        assert_eq!(count, Count { open: 1, a_minute: 1 });
        assert_eq!(arrivals.lock().seen.len(), 1);
    }
}
