//! What counts: numbers that are added to without a lock and read at leisure.
//!
//! Every value can stand in a `static`, so whoever counts holds it already:
//! there is nothing to look up. A reader sees each number as it is at that
//! moment, not all of them at one moment.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows, until the process ends.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more, until the result is dropped.
    pub fn hold(&'static self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self)
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub struct Held(&'static Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A counter for each of `N` cases.
#[derive(Debug)]
pub struct Table<const N: usize>([Counter; N]);

impl<const N: usize> Table<N> {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { Counter::new() }; N])
    }

    /// The counter of a case; a case that does not exist is counted as the last one.
    #[must_use]
    pub fn of(&self, index: usize) -> &Counter {
        &self.0[index.min(N - 1)]
    }

    /// All counters, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Counter> {
        self.0.iter()
    }
}

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Upper bounds of the buckets of a [`Histogram`], in microseconds.
pub const BOUNDS_MICROS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// How long something took, sorted into buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each of [`BOUNDS_MICROS`], and one for what took longer.
    buckets: Table<{ BOUNDS_MICROS.len() + 1 }>,
    micros: Counter,
}

impl Histogram {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self { buckets: Table::new(), micros: Counter::new() }
    }

    /// Something took `time`.
    pub fn note(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.buckets.of(BOUNDS_MICROS.partition_point(|bound| *bound < micros)).one();
        self.micros.add(micros);
    }

    /// For each bucket how many took at most as long as its bound; the last is all of them.
    #[must_use]
    pub fn cumulated(&self) -> Vec<u64> {
        let sums = self.buckets.iter().scan(0, |sum, bucket| {
            *sum += bucket.get();
            Some(*sum)
        });
        sums.collect()
    }

    /// All times together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.micros.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_its_bucket_and_all_above_it() {
        let histogram = Histogram::new();
        for micros in [0, 100, 101, 999_999, 31_000_000] {
            histogram.note(Duration::from_micros(micros));
        }
        let sums = histogram.cumulated();
        assert_eq!(sums[0], 2, "a bound belongs to its bucket");
        assert_eq!(sums[1], 3);
        assert_eq!(sums[11], 4);
        assert_eq!((sums[13], sums[14]), (4, 5), "and what is over every bound in the last");
        assert_eq!(histogram.sum(), Duration::from_micros(32_000_200));
    }

    #[test]
    fn a_gauge_counts_what_is_held() {
        static GAUGE: Gauge = Gauge::new();
        let one = GAUGE.hold();
        let two = GAUGE.hold();
        assert_eq!(GAUGE.get(), 2);
        drop((one, two));
        assert_eq!(GAUGE.get(), 0);
    }

    #[test]
    fn what_is_in_no_case_is_in_the_last() {
        let table = Table::<3>::new();
        table.of(1).one();
        table.of(7).add(2);
        let numbers: Vec<u64> = table.iter().map(Counter::get).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }
}
