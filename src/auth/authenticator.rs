//! The hub: an attempt goes in, the backends are asked in order, a verdict comes out.
//!
//! Called by servers; calls backends through [`Verify`]. Beside the SASL
//! [`Conversation`](super::Conversation) the only place that makes an
//! [`Authenticated`]. Not here: events (each server writes its own, with the
//! words of its protocol) and limits on how much may be asked.
//!
//! Before that: a handover token is redeemed or refused (see `handover`), a login that was accepted before may be answered from the cache,
//! and one that was guessed at too often is refused (see `throttle`).
//!
//! | backend says | then |
//! |---|---|
//! | accepted | over: accepted |
//! | rejected | over: rejected; a wrong password is not tried elsewhere |
//! | unknown | the next one is asked |
//! | unavailable | remembered, and the next one is asked |
//!
//! An acceptance may be remembered (see `cache`), and then nobody is asked.
//!
//! When all have been asked, an outage wins over *unknown*: whoever could not
//! be asked might have known the user.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::cache::Cache;
use super::chain::{Chain, NoBackend};
use super::handover::{Handover, HandoverRules, TOKEN_BYTES};
use super::inquiry::{Inquiry, Progress};
use super::settings::Settings;
use super::tag::TagKey;
use super::throttle::{Case, Throttle};
use super::verdict::{Authenticated, Verdict};
use super::verify::{Attempt, Pending, RealmSource, Verify};
use crate::base::{Identity, IdentityError, Origin, Reason, ReasonCode, Secret};

/// Judges attempts. Backends and settings can be replaced while attempts are
/// under way; each attempt ends with those it began with.
pub struct Authenticator {
    panel: ArcSwap<Panel>,
    key: Arc<TagKey>,
    /// The tokens that are out; they survive a reload.
    handover: Handover,
    handover_rules: ArcSwap<HandoverRules>,
}

/// Who is asked, and how.
pub(super) struct Panel {
    pub(super) settings: Settings,
    /// As [`Settings::chains`] lists them.
    chains: Vec<Arc<Chain>>,
    pub(super) cache: Option<Cache>,
    /// What it has counted survives a reload.
    throttle: Option<Arc<Throttle>>,
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
    /// Whether anybody was asked.
    pub source: Source,
    /// Who was to be asked; `None` if it did not come to that.
    pub chain: Option<Arc<Chain>>,
}

impl Outcome {
    /// [`Outcome::by`] of a token that was redeemed, or not.
    pub const HANDOVER: &str = "handover";

    /// Nobody is asked about somebody who guesses.
    fn throttled(reason: Reason, started: Instant, chain: Arc<Chain>) -> Self {
        Self {
            verdict: Verdict::Rejected(reason),
            by: "",
            elapsed: started.elapsed(),
            source: Source::Asked,
            chain: Some(chain),
        }
    }

    /// The socket is not in the configuration any more.
    fn closed(started: Instant) -> Self {
        let detail = "this socket is no longer configured ([[authd.listener]]): restart authd";
        Self {
            verdict: Verdict::Unavailable(Reason::new(ReasonCode::BackendDown, detail)),
            by: "",
            elapsed: started.elapsed(),
            source: Source::Asked,
            chain: None,
        }
    }
}

/// Where a verdict is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the backends, or there was nobody to ask.
    Asked,
    /// From the cache: the backend said so before, and nothing has changed.
    Remembered,
}

/// An outcome at once, or later.
pub enum Authentication {
    /// The fast path: nothing had to be waited for.
    Ready(Outcome),
    /// A backend or the floor takes its time. Always ends, since each backend keeps its deadline.
    Pending(Pending<Outcome>),
}

impl Authenticator {
    /// Asks `backends` as `settings` say; `key` stands for what is remembered.
    /// Where they name no backend, every attempt is unavailable.
    ///
    /// # Errors
    /// [`NoBackend`]: the settings name one that is not among `backends`.
    pub fn new(
        backends: &[Arc<dyn Verify>],
        settings: &Settings,
        key: TagKey,
    ) -> Result<Arc<Self>, NoBackend> {
        let key = Arc::new(key);
        let panel = ArcSwap::from_pointee(Panel::new(backends, settings, &key, None)?);
        let (handover, handover_rules) = (Handover::new(&key), ArcSwap::default());
        Ok(Arc::new(Self { panel, key, handover, handover_rules }))
    }

    /// Sets who gets handover tokens and who redeems them: nobody, before this.
    pub fn hand_over_by(&self, rules: HandoverRules) {
        self.handover_rules.store(Arc::new(rules));
    }

    /// A one-time token with which a mail server may be told that `identity`, which was
    /// accepted just now, logs in. `None` for a process that is no gate, and where
    /// too many tokens are out.
    #[must_use]
    pub fn issue(&self, identity: &Identity, origin: Origin) -> Option<Secret> {
        let rules = self.handover_rules.load();
        if !rules.is_gate(origin.uid) {
            return None;
        }
        let mut random = Zeroizing::new([0; TOKEN_BYTES]);
        let drawn = getrandom::fill(&mut *random).ok();
        let now = Instant::now();
        drawn.and_then(|()| self.handover.issue(identity, &random, rules.lifetime, now))
    }

    /// The outcome for a handover token in place of a password.
    fn redeem(
        &self,
        attempt: &Attempt,
        entrance: Option<&str>,
        started: Instant,
    ) -> Option<Outcome> {
        let is_place = self.handover_rules.load().is_place(attempt.origin.uid, entrance);
        let verdict = match self.handover.redeem(attempt, is_place, started)? {
            Ok(()) => {
                Verdict::Accepted(Authenticated::new(attempt.identity.clone(), Outcome::HANDOVER))
            }
            Err(reason) => Verdict::Rejected(reason),
        };
        let (by, source) = (Outcome::HANDOVER, Source::Asked);
        Some(Outcome { verdict, by, elapsed: started.elapsed(), source, chain: None })
    }

    /// Replaces backends and settings for the attempts that come from now on,
    /// and forgets what was remembered.
    ///
    /// # Errors
    /// As [`Authenticator::new`]; then nothing was replaced.
    pub fn replace(
        &self,
        backends: &[Arc<dyn Verify>],
        settings: &Settings,
    ) -> Result<(), NoBackend> {
        let throttle = self.panel.load().throttle.clone();
        self.panel.store(Arc::new(Panel::new(backends, settings, &self.key, throttle)?));
        Ok(())
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
        let identity =
            Identity::from_wire(login, realm, &self.panel.load().settings.default_realm)?;
        let source = match (realm.is_empty(), Identity::names_realm(login, realm)) {
            (false, _) => RealmSource::Claim,
            (true, true) => RealmSource::Login,
            (true, false) => RealmSource::Default,
        };
        Ok((identity, source))
    }

    /// Judges `attempt`, which came through the socket called `entrance`
    /// (`None`: the default one). Acceptance and outages are told at once; a refusal
    /// takes at least the floor, so that its time tells nothing of its cause.
    #[must_use]
    pub fn authenticate(&self, attempt: Attempt, entrance: Option<&str>) -> Authentication {
        let started = Instant::now();
        if let Some(outcome) = self.redeem(&attempt, entrance, started) {
            return Authentication::Ready(outcome);
        }
        let panel = self.panel.load_full();
        let Some(chain) = panel.chain(&attempt, entrance) else {
            return Authentication::Ready(Outcome::closed(started));
        };
        let login = panel.cache.as_ref().map(|cache| cache.tag(&attempt, chain.number));
        let recalled = panel.cache.as_ref().zip(login.as_ref());
        let recalled =
            recalled.and_then(|(cache, tag)| cache.recall(tag, &attempt.identity, started));
        if let Some(entry) = recalled {
            let identity = entry.accepted.user.clone().unwrap_or(attempt.identity);
            return Authentication::Ready(Outcome {
                verdict: Verdict::Accepted(Authenticated::new(identity, entry.by)),
                by: entry.by,
                elapsed: started.elapsed(),
                source: Source::Remembered,
                chain: Some(chain),
            });
        }
        let watch = panel.watch(&attempt);
        if let Some((throttle, case)) = &watch
            && let Err(reason) = throttle.admit(case, started)
        {
            return Authentication::Ready(Outcome::throttled(reason, started, chain));
        }
        let mut inquiry = Inquiry::new(panel, chain, attempt, started);
        (inquiry.login, inquiry.watch) = (login, watch);
        match inquiry.run() {
            Progress::Over(judged) => judged.told(),
            Progress::Waiting(waiting) => Authentication::Pending(Box::pin(waiting.finish())),
        }
    }
}

impl Panel {
    /// Under what a failure of `attempt` is counted; `None` if it is not.
    fn watch(&self, attempt: &Attempt) -> Option<(Arc<Throttle>, Case)> {
        let throttle = self.throttle.as_ref()?;
        Some((Arc::clone(throttle), throttle.case(attempt)?))
    }

    /// Who is asked about `attempt`; `None` if there is no such entrance.
    fn chain(&self, attempt: &Attempt, entrance: Option<&str>) -> Option<Arc<Chain>> {
        let (realm, service) = (attempt.identity.realm(), attempt.service.as_str());
        let number = self.settings.number(entrance, realm, service)?;
        self.chains.get(number).map(Arc::clone)
    }

    fn new(
        backends: &[Arc<dyn Verify>],
        settings: &Settings,
        key: &Arc<TagKey>,
        throttle: Option<Arc<Throttle>>,
    ) -> Result<Self, NoBackend> {
        let chains = settings.chains().enumerate();
        let chains = chains.map(|(number, names)| Chain::of(number, names, backends));
        Ok(Self {
            chains: chains.collect::<Result<_, _>>()?,
            settings: settings.clone(),
            cache: Cache::new(&settings.cache, key),
            throttle: throttle
                .filter(|throttle| throttle.fits(&settings.throttle))
                .or_else(|| Throttle::new(&settings.throttle, key)),
        })
    }
}

#[cfg(test)]
mod tests;
