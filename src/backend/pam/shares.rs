//! Who may use a worker: so many in all, and no service all of them.
//!
//! A service whose modules hang or are slow must not take the workers from the
//! others. So a service gets another worker only as long as it then holds at most
//! three times as many as are left free: alone it gets three quarters, two that
//! hang get three sevenths each, and there is always one left for a service that
//! has none. A worker that comes free goes to the service that holds the fewest.
//! Those who wait are bounded by the same rule.
//!
//! Pure bookkeeping under one short lock; called by `client`. A place is given
//! back when its [`Seat`] is dropped, whatever happened to who held it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::ops::metrics::authd::AUTHD;
use crate::ops::metrics::values::Held;

/// How many times as much as is left one service may hold.
const WEIGHT: usize = 3;

/// The workers, as they are dealt out.
pub(super) struct Shares {
    workers: usize,
    /// Requests that may wait.
    places: usize,
    state: Mutex<State>,
}

struct State {
    services: Vec<Service>,
    busy: usize,
    waiting: usize,
    /// Of the request that came last: who came first is served first.
    last: u64,
}

struct Service {
    name: String,
    busy: usize,
    waiting: usize,
    /// In the order they came. Some may have given up.
    queue: VecDeque<Waiter>,
}

struct Waiter {
    number: u64,
    call: oneshot::Sender<Seat>,
}

/// The right to use a worker; given back on drop.
pub(super) struct Seat {
    shares: Arc<Shares>,
    service: usize,
    is_counted: bool,
    /// Counted for the metrics.
    _busy: Held,
}

/// What became of the wish for a worker.
pub(super) enum Admission {
    /// Here it is.
    Seated(Seat),
    /// It will come.
    Queued(Queued),
    /// Too many wait.
    Full,
}

/// A place in the queue; given back on drop.
pub(super) struct Queued {
    shares: Arc<Shares>,
    service: usize,
    call: oneshot::Receiver<Seat>,
    /// Counted for the metrics.
    _waiting: Held,
}

impl Shares {
    /// `workers` for the services of these names, and `places` for who has to wait.
    pub(super) fn new(names: &[String], workers: usize, places: usize) -> Arc<Self> {
        let service = |name: &String| Service {
            name: name.to_ascii_lowercase(),
            busy: 0,
            waiting: 0,
            queue: VecDeque::new(),
        };
        let services = names.iter().map(service).collect();
        let state = State { services, busy: 0, waiting: 0, last: 0 };
        Arc::new(Self { workers: workers.max(1), places, state: Mutex::new(state) })
    }

    /// A worker for a request to `service`, or a place in the queue, or neither.
    pub(super) fn admit(self: &Arc<Self>, service: &str) -> Admission {
        let mut state = self.state();
        let Some(service) = state.services.iter().position(|known| known.name == service) else {
            return Admission::Full;
        };
        let queue = &mut state.services[service].queue;
        drop_deserters(queue);
        if queue.is_empty() && self.may_start(&state, service) {
            state.services[service].busy += 1;
            state.busy += 1;
            return Admission::Seated(self.seat(service));
        }
        let own = state.services[service].waiting;
        if !is_fair(own, state.waiting, self.places, state.services.len()) {
            return Admission::Full;
        }
        let (call, answer) = oneshot::channel();
        state.waiting += 1;
        state.last += 1;
        let number = state.last;
        let queue = &mut state.services[service];
        queue.waiting += 1;
        if queue.queue.len() >= 2 * queue.waiting {
            queue.queue.retain(|waiter| !waiter.call.is_closed());
        }
        queue.queue.push_back(Waiter { number, call });
        let _waiting = AUTHD.pam_waiting.hold();
        Admission::Queued(Queued { shares: Arc::clone(self), service, call: answer, _waiting })
    }

    fn may_start(&self, state: &State, service: usize) -> bool {
        is_fair(state.services[service].busy, state.busy, self.workers, state.services.len())
    }

    fn seat(self: &Arc<Self>, service: usize) -> Seat {
        Seat { shares: Arc::clone(self), service, is_counted: true, _busy: AUTHD.pam_busy.hold() }
    }

    /// Takes back a worker, and hands on what is free.
    fn release(self: &Arc<Self>, service: usize) {
        let mut state = self.state();
        state.services[service].busy -= 1;
        state.busy -= 1;
        while let Some(next) = self.next(&mut state) {
            let Some(waiter) = state.services[next].queue.pop_front() else { return };
            let Err(mut nobody) = waiter.call.send(self.seat(next)) else {
                state.services[next].busy += 1;
                state.busy += 1;
                continue;
            };
            // Whoever waited has given up. Its seat was never counted.
            nobody.is_counted = false;
        }
    }

    /// Whose turn it is: the service that holds the fewest; among equals, who came first.
    fn next(&self, state: &mut State) -> Option<usize> {
        state.services.iter_mut().for_each(|service| drop_deserters(&mut service.queue));
        let waits = |service: &usize| {
            let first = state.services[*service].queue.front()?.number;
            self.may_start(state, *service).then_some((state.services[*service].busy, first))
        };
        (0..state.services.len()).filter(|one| waits(one).is_some()).min_by_key(waits)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts are changed together, in code that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queued {
    /// Waits until it is this request's turn. Bounded by the caller.
    pub(super) async fn turn(mut self) -> Option<Seat> {
        // Its sender goes with a seat, never without.
        (&mut self.call).await.ok()
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut state = self.shares.state();
        state.services[self.service].waiting -= 1;
        state.waiting -= 1;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_counted {
            self.shares.release(self.service);
        }
    }
}

/// Removes from the head who has given up.
fn drop_deserters(queue: &mut VecDeque<Waiter>) {
    while queue.front().is_some_and(|waiter| waiter.call.is_closed()) {
        queue.pop_front();
    }
}

/// Whether one of `parties` that has `own` of the `taken` may take another of `all`.
fn is_fair(own: usize, taken: usize, all: usize, parties: usize) -> bool {
    let Some(left) = all.checked_sub(taken + 1) else { return false };
    // With nobody else to leave something for, or as a first one, what is free is free.
    parties == 1 || own == 0 || own < WEIGHT * left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(workers: usize, places: usize) -> Arc<Shares> {
        let names = ["smtp", "imap", "pop"].map(str::to_owned);
        Shares::new(&names, workers, places)
    }

    fn seated(shares: &Arc<Shares>, service: &str) -> Option<Seat> {
        match shares.admit(service) {
            Admission::Seated(seat) => Some(seat),
            Admission::Queued(_) | Admission::Full => None,
        }
    }

    fn queued(shares: &Arc<Shares>, service: &str) -> Queued {
        match shares.admit(service) {
            Admission::Queued(queued) => queued,
            Admission::Seated(_) | Admission::Full => panic!("not queued"),
        }
    }

    fn all(shares: &Arc<Shares>, service: &str) -> Vec<Seat> {
        std::iter::from_fn(|| seated(shares, service)).collect()
    }

    fn has_seat(queued: &mut Queued) -> bool {
        queued.call.try_recv().is_ok()
    }

    #[test]
    fn one_service_gets_three_quarters_and_the_next_its_share_of_the_rest() {
        let shares = shares(96, 10);
        let smtp = all(&shares, "smtp");
        assert_eq!(smtp.len(), 72);
        let imap = all(&shares, "imap");
        assert_eq!(imap.len(), 18);
        let pop = all(&shares, "pop");
        assert_eq!(pop.len(), 4);
    }

    #[test]
    fn few_workers_are_dealt_out_too() {
        for (workers, first, second) in [(1, 1, 0), (2, 1, 1), (3, 2, 1), (4, 3, 1), (8, 6, 1)] {
            let shares = shares(workers, 10);
            let smtp = all(&shares, "smtp");
            assert_eq!((smtp.len(), all(&shares, "imap").len()), (first, second), "{workers}");
        }
    }

    #[test]
    fn the_only_service_gets_all() {
        let shares = Shares::new(&["SMTP".to_owned()], 5, 10);
        assert_eq!(all(&shares, "smtp").len(), 5);
    }

    #[test]
    fn a_service_that_hangs_leaves_the_others_both_workers_and_places() {
        let shares = shares(8, 8);
        let _hung = all(&shares, "smtp");
        let waiting: Vec<_> = std::iter::from_fn(|| match shares.admit("smtp") {
            Admission::Queued(queued) => Some(queued),
            Admission::Seated(_) | Admission::Full => None,
        })
        .collect();
        assert_eq!(waiting.len(), 6, "its own places are taken");
        let mut imap = all(&shares, "imap");
        assert!(!imap.is_empty());
        let mut next = queued(&shares, "imap");
        assert!(!has_seat(&mut next));
        imap.pop();
        assert!(has_seat(&mut next), "a worker of imap went to imap");
    }

    #[test]
    fn a_free_worker_goes_to_who_holds_the_fewest_then_to_who_came_first() {
        let shares = shares(4, 10);
        let mut smtp = all(&shares, "smtp");
        let imap = all(&shares, "imap");
        let mut late = queued(&shares, "smtp");
        let mut pop = queued(&shares, "pop");
        smtp.pop();
        let seat = pop.call.try_recv();
        assert!(seat.is_ok() && !has_seat(&mut late));
        drop((seat, imap));
        assert!(has_seat(&mut late));
    }

    #[test]
    fn who_has_given_up_holds_nothing() {
        let shares = shares(1, 2);
        let seat = seated(&shares, "smtp").unwrap();
        drop(queued(&shares, "smtp"));
        let mut next = queued(&shares, "smtp");
        drop(seat);
        assert!(has_seat(&mut next));
        drop(next);
        assert!(seated(&shares, "smtp").is_some());
    }

    #[test]
    fn a_seat_that_comes_too_late_is_given_back() {
        let shares = shares(1, 2);
        let seat = seated(&shares, "smtp").unwrap();
        let next = queued(&shares, "smtp");
        drop(seat);
        drop(next);
        assert!(seated(&shares, "smtp").is_some());
    }

    #[test]
    fn a_queue_of_those_who_gave_up_does_not_grow() {
        let shares = shares(1, 4);
        let _seat = seated(&shares, "smtp").unwrap();
        for _ in 0..1000 {
            drop(queued(&shares, "smtp"));
        }
        assert!(shares.state().services[0].queue.len() < 4);
    }

    #[test]
    fn nobody_waits_where_nobody_may() {
        let shares = shares(1, 0);
        let _seat = seated(&shares, "smtp").unwrap();
        assert!(matches!(shares.admit("smtp"), Admission::Full));
        assert!(matches!(shares.admit("unknown"), Admission::Full));
    }
}
