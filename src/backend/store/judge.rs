//! One attempt on its way through a hash thread: what was found decides.
//!
//! Whatever was found, a refusal has cost one argon2id of the cost that new
//! passwords have: against the verifier of the account where that is one of
//! ours, else against a dummy that no password fits, behind an imported hash
//! that did not fit, too. What remains of the difference (an imported hash is
//! computed as well, an old argon2id has another cost) the floor hides.
//!
//! An app password that fits is the one answer that costs no hash. Called by
//! `verify`, on the calling thread for that case, else in the pool.

use std::sync::Arc;
use std::time::Duration;

use super::app_password::Presented;
use super::error::StoreError;
use super::keeper::{Keeper, Upgrade};
use super::lookup::{Credential, Found};
use super::password;
use super::record::{Kind, Moment, State};
use super::settings::Scram;
use super::verify::hash_failed;
use crate::auth::{Accepted, Answer, Attempt};
use crate::backend::hashing::{Cost, ForeignHash, Verifier, Worker};
use crate::base::{Reason, ReasonCode};

/// An attempt, and what it takes to answer it.
pub(super) struct Judge {
    pub(super) attempt: Arc<Attempt>,
    pub(super) keeper: Arc<Keeper>,
    /// Costs what the verifier of a new password costs, and fits nothing.
    pub(super) dummy: Arc<Verifier>,
    pub(super) cost: Cost,
    pub(super) scram: Scram,
}

/// What the app passwords of a user say.
enum Sifted {
    /// One fits.
    Accepted(Accepted),
    /// One fits, and may not be used.
    Refused(Reason),
    /// None fits.
    Not,
}

impl Judge {
    /// The answer where it needs no hash: an app password that may be used.
    /// Whatever else there is, errors included, is for [`judge`](Self::judge).
    pub(super) fn at_once(&self, found: &Found) -> Option<Answer> {
        match self.sift(found, Moment::now()) {
            Ok(Sifted::Accepted(accepted)) => Some(self.accept(accepted)),
            _ => None,
        }
    }

    /// The answer, at the cost of a hash.
    ///
    /// # Errors
    /// `BadVerifier`, `Hash`.
    pub(super) fn judge(
        &self,
        found: Option<&Found>,
        worker: &mut Worker<'_>,
    ) -> Result<Answer, StoreError> {
        let Some(found) = found else {
            self.spend(worker)?;
            return Ok(Answer::Unknown);
        };
        match self.sift(found, Moment::now())? {
            Sifted::Accepted(accepted) => return Ok(self.accept(accepted)),
            Sifted::Refused(reason) => {
                self.spend(worker)?;
                return Ok(Answer::Rejected(reason));
            }
            Sifted::Not => {}
        }
        let is_right = match found.password() {
            Some(credential) => self.fits(found.state, credential, worker)?,
            None => self.spend(worker)?,
        };
        Ok(match (is_right, found.state) {
            (false, _) => Answer::Rejected(ReasonCode::BadCredentials.into()),
            (true, State::Locked) => Answer::Rejected(ReasonCode::AccountLocked.into()),
            (true, State::Active) => self.accept(Accepted::default()),
        })
    }

    fn accept(&self, accepted: Accepted) -> Answer {
        self.keeper.note_use(&self.attempt.identity, accepted.label.as_deref());
        Answer::Accepted(accepted)
    }

    /// Compares with all app passwords, those behind one that fits included.
    fn sift(&self, found: &Found, now: Moment) -> Result<Sifted, StoreError> {
        let identity = &self.attempt.identity;
        let mut apps =
            found.credentials.iter().filter(|it| it.kind == Kind::AppPassword).peekable();
        if apps.peek().is_none() {
            return Ok(Sifted::Not);
        }
        let Some(presented) = Presented::new(identity, &self.attempt.password) else {
            return Ok(Sifted::Not);
        };
        let mut fitting = None;
        for app in apps {
            let fits = presented.matches(&app.verifier);
            let fits = fits.ok_or_else(|| StoreError::BadAppPassword {
                identity: identity.clone(),
                label: app.label.to_string(),
            })?;
            if fits {
                fitting = Some(app);
            }
        }
        Ok(fitting.map_or(Sifted::Not, |app| self.weigh(found.state, app, now)))
    }

    /// Whether the app password that fits may be used. The codes are those that
    /// look like a wrong password outside.
    fn weigh(&self, state: State, app: &Credential, now: Moment) -> Sifted {
        let refused = |code, what: String| {
            Sifted::Refused(Reason::new(code, format!("app password {:?} {what}", app.label)))
        };
        if state == State::Locked {
            return Sifted::Refused(ReasonCode::AccountLocked.into());
        }
        if app.expires.is_some_and(|end| end <= now) {
            return refused(ReasonCode::BadCredentials, "has expired".to_owned());
        }
        if !app.scope.covers(self.attempt.service.as_str()) {
            let what = format!(
                "is for {} and not for {:?}",
                app.scope.as_str(),
                self.attempt.service.as_str()
            );
            return refused(ReasonCode::ServiceNotAllowed, what);
        }
        let valid_for = app.expires.map(|end| {
            let seconds = end.unix().saturating_sub(now.unix());
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        });
        Sifted::Accepted(Accepted {
            user: None,
            label: Some(app.label.clone()),
            valid_for,
            handover: None,
        })
    }

    /// Whether the password of the account fits. One that does, and whose hash
    /// is not as we would make it today, is hashed anew and handed to the keeper.
    fn fits(
        &self,
        state: State,
        credential: &Credential,
        worker: &mut Worker<'_>,
    ) -> Result<bool, StoreError> {
        let password = &self.attempt.password;
        let (is_right, is_of_today) = match credential.kind {
            Kind::Crypt => {
                let hash = ForeignHash::parse(&credential.verifier)
                    .map_err(|error| self.bad_verifier(&error.to_string()))?;
                let is_right = worker
                    .matches_foreign(&hash, password)
                    .map_err(|error| StoreError::Hash(error.to_string()))?;
                if !is_right {
                    self.spend(worker)?;
                }
                (is_right, false)
            }
            _ => {
                let verifier = Verifier::parse(&credential.verifier)
                    .map_err(|error| self.bad_verifier(&error.to_string()))?;
                let is_right =
                    worker.matches(&verifier, password).map_err(|error| hash_failed(&error))?;
                (is_right, verifier.cost() == self.cost)
            }
        };
        if is_right && !is_of_today && state == State::Active {
            self.upgrade(credential, worker);
        }
        Ok(is_right)
    }

    /// Makes the verifiers of today for a password that has just been right.
    /// If it cannot be done, the next login is there to do it.
    fn upgrade(&self, credential: &Credential, worker: &mut Worker<'_>) {
        if !self.keeper.has_room_for(&self.attempt.identity) {
            return;
        }
        let verifier = worker.verifier(self.cost, &self.attempt.password);
        let made = verifier.and_then(|verifier| {
            password::with_scram(verifier, self.scram, &self.attempt.password)
        });
        if let Ok(new) = made {
            let old = (credential.kind, credential.verifier.clone());
            self.keeper.note_upgrade(&self.attempt.identity, Upgrade { old, new });
        }
    }

    /// Costs what a wrong password costs; never right.
    fn spend(&self, worker: &mut Worker<'_>) -> Result<bool, StoreError> {
        worker
            .matches(&self.dummy, &self.attempt.password)
            .map(|_| false)
            .map_err(|error| hash_failed(&error))
    }

    fn bad_verifier(&self, detail: &str) -> StoreError {
        let identity = self.attempt.identity.clone();
        StoreError::BadVerifier { identity, detail: detail.to_owned() }
    }
}

impl Found {
    /// What the password of the account is checked against: our own hash
    /// before an imported one.
    fn password(&self) -> Option<&Credential> {
        let of = |kind| self.credentials.iter().find(move |it| it.kind == kind);
        of(Kind::Argon2id).or_else(|| of(Kind::Crypt))
    }
}
