//! The hub: an attempt goes in, the backends are asked in order, a verdict comes out.
//!
//! Called by servers; calls backends through [`Verify`]. Beside the SASL
//! [`Conversation`](super::Conversation) the only place that makes an
//! [`Authenticated`]. Not here: events (each server writes its own, with the
//! words of its protocol) and limits on how much may be asked.
//!
//! | backend says | then |
//! |---|---|
//! | accepted | over: accepted |
//! | rejected | over: rejected; a wrong password is not tried elsewhere |
//! | unknown | the next one is asked |
//! | unavailable | remembered, and the next one is asked |
//!
//! When all have been asked, an outage wins over *unknown*: whoever could not
//! be asked might have known the user.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::settings::Settings;
use super::verdict::{Authenticated, Verdict};
use super::verify::{Answer, Attempt, Pending, RealmSource, Verification, Verify};
use crate::base::{Identity, IdentityError, Reason, ReasonCode};

/// Judges attempts. Backends and settings can be replaced while attempts are
/// under way; each attempt ends with those it began with.
pub struct Authenticator {
    panel: ArcSwap<Panel>,
}

/// Who is asked, and how.
struct Panel {
    backends: Vec<Arc<dyn Verify>>,
    default_realm: String,
    floor: Duration,
}

/// A verdict, and what the log wants to know of it.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Name of the backend that decided, or of the last one that was asked.
    pub by: &'static str,
    /// How long the backends took, without the floor.
    pub elapsed: Duration,
}

/// An outcome at once, or later.
pub enum Authentication {
    /// The fast path: nothing had to be waited for.
    Ready(Outcome),
    /// A backend or the floor takes its time. Always ends, since each backend keeps its deadline.
    Pending(Pending<Outcome>),
}

impl Authenticator {
    /// Asks `backends` in their order, by `settings`. Without backends every attempt
    /// is unavailable.
    #[must_use]
    pub fn new(backends: Vec<Arc<dyn Verify>>, settings: &Settings) -> Arc<Self> {
        Arc::new(Self { panel: ArcSwap::from_pointee(Panel::new(backends, settings)) })
    }

    /// Replaces backends and settings for the attempts that come from now on.
    pub fn replace(&self, backends: Vec<Arc<dyn Verify>>, settings: &Settings) {
        self.panel.store(Arc::new(Panel::new(backends, settings)));
    }

    /// True if the backend called `name` is among those asked.
    #[must_use]
    pub fn asks(&self, name: &str) -> bool {
        self.panel.load().backends.iter().any(|backend| backend.name() == name)
    }

    /// Who a login and a realm field mean, with our default realm where they name none.
    ///
    /// # Errors
    /// As [`Identity::from_wire`].
    pub fn identify(
        &self,
        login: &[u8],
        realm: &[u8],
    ) -> Result<(Identity, RealmSource), IdentityError> {
        let identity = Identity::from_wire(login, realm, &self.panel.load().default_realm)?;
        let source = match (realm.is_empty(), Identity::names_realm(login, realm)) {
            (false, _) => RealmSource::Claim,
            (true, true) => RealmSource::Login,
            (true, false) => RealmSource::Default,
        };
        Ok((identity, source))
    }

    /// Judges `attempt`. Acceptance and outages are told at once; a refusal
    /// takes at least the floor, so that its time tells nothing of its cause.
    #[must_use]
    pub fn authenticate(&self, attempt: Attempt) -> Authentication {
        let inquiry = Inquiry::new(self.panel.load_full(), attempt);
        match inquiry.run() {
            Progress::Over(judged) => judged.with_floor(),
            Progress::Waiting(waiting) => Authentication::Pending(Box::pin(waiting.finish())),
        }
    }
}

impl Panel {
    fn new(backends: Vec<Arc<dyn Verify>>, settings: &Settings) -> Self {
        Self { backends, default_realm: settings.default_realm.clone(), floor: settings.floor }
    }
}

/// One attempt on its way through the backends.
struct Inquiry {
    panel: Arc<Panel>,
    attempt: Arc<Attempt>,
    started: Instant,
    /// Index of the backend to be asked next.
    next: usize,
    /// The first outage, and whose it was.
    outage: Option<(Reason, &'static str)>,
}

enum Progress {
    Over(Judged),
    Waiting(Waiting),
}

/// A backend has been asked, and takes its time.
struct Waiting {
    inquiry: Inquiry,
    backend: &'static str,
    answer: Pending<Answer>,
}

/// The outcome, before the floor.
struct Judged {
    outcome: Outcome,
    started: Instant,
    floor: Duration,
}

impl Inquiry {
    fn new(panel: Arc<Panel>, attempt: Attempt) -> Self {
        let attempt = Arc::new(attempt);
        Self { panel, attempt, started: Instant::now(), next: 0, outage: None }
    }

    /// Asks until the matter is decided or a backend has to be waited for.
    fn run(mut self) -> Progress {
        while let Some(backend) = self.panel.backends.get(self.next).map(Arc::clone) {
            self.next += 1;
            let name = backend.name();
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
                let identity = accepted.user.unwrap_or_else(|| self.attempt.identity.clone());
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

    /// All have been asked, and none decided.
    fn exhausted(mut self) -> Judged {
        if let Some((reason, name)) = self.outage.take() {
            return self.judge(Verdict::Unavailable(reason), name);
        }
        match self.panel.backends.last().map(|backend| backend.name()) {
            Some(last) => self.judge(Verdict::Rejected(ReasonCode::BadCredentials.into()), last),
            None => {
                let reason = Reason::new(ReasonCode::BackendDown, "no backend is configured");
                self.judge(Verdict::Unavailable(reason), "")
            }
        }
    }

    fn judge(self, verdict: Verdict, by: &'static str) -> Judged {
        let outcome = Outcome { verdict, by, elapsed: self.started.elapsed() };
        Judged { outcome, started: self.started, floor: self.panel.floor }
    }
}

impl Waiting {
    async fn finish(self) -> Outcome {
        let mut waiting = self;
        loop {
            let Self { mut inquiry, backend, answer } = waiting;
            let answer = answer.await;
            let progress = match inquiry.weigh(answer, backend) {
                Some(verdict) => Progress::Over(inquiry.judge(verdict, backend)),
                None => inquiry.run(),
            };
            match progress {
                Progress::Over(judged) => return judged.after_floor().await,
                Progress::Waiting(next) => waiting = next,
            }
        }
    }
}

impl Judged {
    /// Time at which the outcome may be told; `None` is now.
    fn due(&self) -> Option<Instant> {
        let is_refusal = matches!(self.outcome.verdict, Verdict::Rejected(_));
        (is_refusal && self.outcome.elapsed < self.floor).then(|| self.started + self.floor)
    }

    fn with_floor(self) -> Authentication {
        match self.due() {
            None => Authentication::Ready(self.outcome),
            Some(_) => Authentication::Pending(Box::pin(self.after_floor())),
        }
    }

    async fn after_floor(self) -> Outcome {
        if let Some(due) = self.due() {
            tokio::time::sleep_until(due.into()).await;
        }
        self.outcome
    }
}

#[cfg(test)]
mod tests;
