//! One attempt on its way through the backends, as far as the verdict.
//!
//! Called by the authenticator, on the thread that accepted the request, and
//! goes on as a task where a backend takes its time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::authenticator::{Authentication, Outcome, Panel, Source};
use super::cache::{Acceptance, Footing};
use super::chain::Chain;
use super::tag::Tag;
use super::throttle::{Case, Delay, LONGEST, Throttle};
use super::verdict::{Authenticated, Verdict};
use super::verify::{Accepted, Answer, Attempt, Pending, Verification};
use crate::base::{Reason, ReasonCode};

/// An attempt that is being asked about.
pub(super) struct Inquiry {
    panel: Arc<Panel>,
    chain: Arc<Chain>,
    attempt: Arc<Attempt>,
    started: Instant,
    /// Index of the backend to be asked next.
    next: usize,
    /// The first outage, and whose it was.
    outage: Option<(Reason, &'static str)>,
    /// What an acceptance will be remembered under; `None` if nothing is.
    pub(super) login: Option<Tag>,
    /// Where and under what a failure is counted; `None` if it is not.
    pub(super) watch: Option<(Arc<Throttle>, Case)>,
    /// What the answers so far rest on, where they may be remembered.
    rests_on: Vec<Footing>,
}

/// How far an inquiry has come.
pub(super) enum Progress {
    /// There is an outcome.
    Over(Judged),
    /// A backend takes its time.
    Waiting(Waiting),
}

/// A backend has been asked, and takes its time.
pub(super) struct Waiting {
    inquiry: Inquiry,
    backend: &'static str,
    answer: Pending<Answer>,
}

/// The outcome, before its delay.
pub(super) struct Judged {
    outcome: Outcome,
    /// Time at which the outcome may be told; `None` is now.
    due: Option<Instant>,
    /// Its place among the refusals that are delayed.
    place: Option<OwnedSemaphorePermit>,
}

impl Inquiry {
    /// Begins to ask the backends of `chain`; nobody has been asked yet.
    pub(super) fn new(
        panel: Arc<Panel>,
        chain: Arc<Chain>,
        attempt: Attempt,
        started: Instant,
    ) -> Self {
        Self {
            panel,
            chain,
            attempt: Arc::new(attempt),
            started,
            next: 0,
            outage: None,
            login: None,
            watch: None,
            rests_on: Vec::new(),
        }
    }

    /// Asks until the matter is decided or a backend has to be waited for.
    pub(super) fn run(mut self) -> Progress {
        while let Some(backend) = self.chain.backends.get(self.next).map(Arc::clone) {
            self.next += 1;
            let name = backend.name();
            if self.login.is_some() {
                self.rests_on.push(Footing::take(&backend, &self.attempt.identity));
            }
            let answer = match backend.verify(Arc::clone(&self.attempt)) {
                Verification::Ready(answer) => answer,
                Verification::Pending(answer) => {
                    return Progress::Waiting(Waiting { inquiry: self, backend: name, answer });
                }
            };
            if let Some(verdict) = self.weigh(answer, name) {
                return Progress::Over(self.judge(verdict, name));
            }
        }
        Progress::Over(self.exhausted())
    }

    /// What `answer` of the backend called `name` decides; `None` if the next one is to be asked.
    fn weigh(&mut self, answer: Answer, name: &'static str) -> Option<Verdict> {
        match answer {
            Answer::Accepted(accepted) => {
                let user = accepted.user.clone();
                let identity = user.unwrap_or_else(|| self.attempt.identity.clone());
                self.remember(accepted);
                Some(Verdict::Accepted(Authenticated::new(identity, name)))
            }
            Answer::Rejected(reason) => Some(Verdict::Rejected(reason)),
            Answer::Unknown => None,
            Answer::Unavailable(reason) => {
                self.outage.get_or_insert((reason, name));
                None
            }
        }
    }

    fn remember(&mut self, accepted: Accepted) {
        // Whoever could not be asked might have refused.
        let (Some(cache), Some(login), None) = (&self.panel.cache, self.login, &self.outage) else {
            return;
        };
        let rests_on = std::mem::take(&mut self.rests_on);
        let acceptance = Acceptance { accepted, rests_on, started: self.started };
        cache.remember(login, &self.attempt, acceptance);
    }

    /// All have been asked, and none decided.
    fn exhausted(mut self) -> Judged {
        if let Some((reason, name)) = self.outage.take() {
            return self.judge(Verdict::Unavailable(reason), name);
        }
        match self.chain.backends.last().map(|backend| backend.name()) {
            Some(last) => self.judge(Verdict::Rejected(ReasonCode::BadCredentials.into()), last),
            None => {
                let reason = Reason::new(ReasonCode::BackendDown, "no backend is configured");
                self.judge(Verdict::Unavailable(reason), "")
            }
        }
    }

    fn judge(self, verdict: Verdict, by: &'static str) -> Judged {
        let elapsed = self.started.elapsed();
        let (length, place) = self.count(&verdict).map(|it| (it.length, it.place)).unzip();
        let told = told_after(elapsed, self.panel.settings.floor, length.unwrap_or_default());
        let is_early = matches!(verdict, Verdict::Rejected(_)) && elapsed < told;
        let due = is_early.then(|| self.started + told);
        let outcome =
            Outcome { verdict, by, elapsed, source: Source::Asked, chain: Some(self.chain) };
        Judged { outcome, due, place }
    }
}

impl Inquiry {
    /// Counts a failure, and gives the delay of its refusal; notes a success.
    fn count(&self, verdict: &Verdict) -> Option<Delay> {
        let (throttle, case) = self.watch.as_ref()?;
        match verdict {
            // A locked account looks like a wrong password outside: its delay must, too.
            Verdict::Rejected(reason)
                if matches!(
                    reason.code,
                    ReasonCode::BadCredentials | ReasonCode::AccountLocked
                ) =>
            {
                throttle.failed(case, Instant::now())
            }
            Verdict::Accepted(_) => {
                throttle.passed(case);
                None
            }
            Verdict::Rejected(_) | Verdict::Unavailable(_) => None,
        }
    }
}

impl Waiting {
    /// Waits for the answer, and for those of whoever has to be asked behind it.
    pub(super) async fn finish(self) -> Outcome {
        let mut waiting = self;
        loop {
            let Self { mut inquiry, backend, answer } = waiting;
            let answer = answer.await;
            let progress = match inquiry.weigh(answer, backend) {
                Some(verdict) => Progress::Over(inquiry.judge(verdict, backend)),
                None => inquiry.run(),
            };
            match progress {
                Progress::Over(judged) => return judged.when_due().await,
                Progress::Waiting(next) => waiting = next,
            }
        }
    }
}

impl Judged {
    /// The outcome at once, or when it is due.
    pub(super) fn told(self) -> Authentication {
        match self.due {
            None => Authentication::Ready(self.outcome),
            Some(_) => Authentication::Pending(Box::pin(self.when_due())),
        }
    }

    async fn when_due(self) -> Outcome {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due.into()).await;
        }
        drop(self.place);
        self.outcome
    }
}

/// How long after its request a refusal is told, which took `elapsed` so far.
/// The delay runs from now on, but no peer is to give up before it ends.
fn told_after(elapsed: Duration, floor: Duration, delay: Duration) -> Duration {
    floor.max((elapsed + delay).min(LONGEST)).max(elapsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_is_held_back_for_longer_than_peers_wait() {
        let ms = Duration::from_millis;
        for (elapsed, floor, delay, told) in [
            (0, 100, 0, 100),
            (50, 100, 200, 250),
            (0, 100, 3500, 3500),
            (2000, 100, 3500, 3500),
            // A backend that took longer is not held back any further.
            (9000, 100, 3500, 9000),
            (300, 100, 0, 300),
        ] {
            let after = told_after(ms(elapsed), ms(floor), ms(delay));
            assert_eq!(after, ms(told), "{elapsed} {floor} {delay}");
        }
    }
}
