//! Closed-loop load: so many clients, each asks again as soon as it has its answer.

use std::thread;
use std::time::{Duration, Instant};

/// What a run gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Answers a second, all clients together.
    pub(crate) rate: f64,
    /// Half of the requests took no longer.
    pub(crate) p50: Duration,
    /// 99 of 100 requests took no longer.
    pub(crate) p99: Duration,
    /// Requests that failed; a run with any says nothing about speed.
    pub(crate) failed: usize,
}

/// Runs `clients` threads for `time`, each with a client that `connect` makes
/// and that is asked over and over. The first tenth of the time is not counted.
pub(crate) fn run<C>(clients: usize, time: Duration, connect: impl Fn() -> C + Sync) -> Figures
where
    C: FnMut() -> bool,
{
    let begin = Instant::now();
    let (warm, end) = (begin + time / 10, begin + time);
    let each: Vec<(Vec<Duration>, usize)> = thread::scope(|scope| {
        let handles: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| one_client(connect(), warm, end))).collect();
        handles.into_iter().map(|handle| handle.join().expect("a client thread panicked")).collect()
    });
    let failed = each.iter().map(|(_, failed)| failed).sum();
    let mut times: Vec<Duration> = each.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_unstable();
    let at = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let counted = (end - warm).as_secs_f64();
    Figures { rate: times.len() as f64 / counted, p50: at(0.5), p99: at(0.99), failed }
}

fn one_client(
    mut ask: impl FnMut() -> bool,
    warm: Instant,
    end: Instant,
) -> (Vec<Duration>, usize) {
    let mut times = Vec::with_capacity(1 << 16);
    let mut failed = 0;
    loop {
        let start = Instant::now();
        if start >= end {
            return (times, failed);
        }
        if !ask() {
            failed += 1;
        }
        if start >= warm {
            times.push(start.elapsed());
        }
    }
}
