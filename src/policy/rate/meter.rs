//! What was used under one limit, by everybody: a bounded table.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::{self, EntryAction, EntryResult};

use super::gcra::Quota;
use super::limit::{Limit, Scope, place_of};

/// The table of one limit.
pub(super) struct Meter {
    pub(super) limit: Arc<Limit>,
    soft: Quota,
    hard: Option<Quota>,
    used: sync::Cache<Subject, Use>,
}

/// Whose use it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Login(Arc<str>),
    Place(IpAddr),
}

/// When what was used is paid for.
#[derive(Debug, Clone, Copy)]
struct Use {
    /// What was admitted.
    soft: Instant,
    /// What was tried.
    hard: Instant,
}

/// An attempt beyond a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Soft(Duration),
    Hard,
}

impl Meter {
    pub(super) fn new(limit: Limit, size: usize) -> Self {
        Self {
            soft: limit.soft_quota(),
            hard: limit.hard_quota(),
            used: sync::Cache::new(size),
            limit: Arc::new(limit),
        }
    }

    pub(super) fn subject(&self, login: Option<&Arc<str>>, address: IpAddr) -> Subject {
        match (self.limit.of, login) {
            (Scope::Login, Some(login)) => Subject::Login(Arc::clone(login)),
            (scope, _) => Subject::Place(place_of(scope, address)),
        }
    }

    /// Counts `amount`, unless that is too much: then the attempt counts towards the hard limit only.
    pub(super) fn admit(&self, subject: &Subject, amount: u64, now: Instant) -> Result<(), Over> {
        self.update(subject, now, |used| {
            if let Some(quota) = &self.hard {
                used.hard = quota.admit(Some(used.hard), amount, now).map_err(|_| Over::Hard)?;
            }
            used.soft = self.soft.admit(Some(used.soft), amount, now).map_err(Over::Soft)?;
            Ok(())
        })
    }

    /// Takes back what was counted as admitted. The attempt stays one.
    pub(super) fn take_back(&self, subject: &Subject, amount: u64, now: Instant) {
        self.update(subject, now, |used| used.soft = self.soft.refund(used.soft, amount));
    }

    /// Counts what came without being asked for: the bytes of content.
    pub(super) fn spent(&self, subject: &Subject, amount: u64, now: Instant) {
        self.update(subject, now, |used| {
            used.soft = self.soft.spend(Some(used.soft), amount, now);
            if let Some(quota) = &self.hard {
                used.hard = quota.spend(Some(used.hard), amount, now);
            }
        });
    }

    /// Entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    fn update<T>(
        &self,
        subject: &Subject,
        now: Instant,
        mut change: impl FnMut(&mut Use) -> T,
    ) -> T {
        let found = self.used.entry(subject, None, |_, used| EntryAction::Retain(change(used)));
        match found {
            EntryResult::Retained(result) => result,
            EntryResult::Vacant(place) => {
                let mut used = Use { soft: now, hard: now };
                let result = change(&mut used);
                // It cannot be kept only if somebody else has just put one there.
                let _ = place.insert(used);
                result
            }
            // No entry is removed here, and nobody else's is waited for with a limit.
            EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => {
                change(&mut Use { soft: now, hard: now })
            }
        }
    }
}
