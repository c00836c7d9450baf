//! Remembers logins that were accepted, so that they cost nothing the next time.
//!
//! For backends that are slow: a hash, a PAM stack, a directory. Only
//! acceptances are kept, each under a [`Tag`] of everything it depends on, and
//! each ends at once when what it rests on changes:
//!
//! | who accepted | an entry ends |
//! |---|---|
//! | a backend that sees changes (a store, a file, the files below PAM) | when the records of its user change, or the files of all: the password, a lock, a deletion |
//! | a backend that may miss some (PAM, a directory) | also when another password of the same user is accepted |
//! | any | at its `ttl`, when what it rests on expires, or when the configuration is read again |
//!
//! An entry rests also on the backends that were asked before and did not know
//! the user. Pure but for the tables: `now` and the key come from the caller.
//! The size is bounded; what is asked for rarely goes first.
//!
//! Saslauthd 2.1.28 (`-c`) keeps MD5 of passwords in a file, and takes an old
//! password for eight hours after a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::{self, EntryAction, EntryResult};

use super::tag::{Tag, TagKey};
use super::verify::{Accepted, Attempt, Grounds, Revision, Verify};
use crate::base::Identity;

/// How logins are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Whether they are at all.
    pub enabled: bool,
    /// Most logins that are kept; about 300 bytes each. At least 1.
    pub size: usize,
    /// No login is kept longer.
    pub ttl: Duration,
}

/// The logins that were accepted. Shared by all threads.
pub(super) struct Cache {
    ttl: Duration,
    key: Arc<TagKey>,
    entries: sync::Cache<Tag, Arc<Entry>>,
    /// Of each user that a backend accepted which may miss changes: the last proof.
    latest: sync::Cache<Tag, Proof>,
}

/// One accepted login.
pub(super) struct Entry {
    /// Name of the backend that accepted.
    pub(super) by: &'static str,
    /// What it said of the login.
    pub(super) accepted: Accepted,
    rests_on: Vec<Footing>,
    until: Instant,
    /// Where the accepting backend may miss changes: the user, and the password.
    bound: Option<(Tag, Tag)>,
}

/// An acceptance as it came about.
pub(super) struct Acceptance {
    /// What the accepting backend said.
    pub(super) accepted: Accepted,
    /// All that were asked, in their order; the last one accepted.
    pub(super) rests_on: Vec<Footing>,
    /// When the first was asked.
    pub(super) started: Instant,
}

/// An answer of one backend, and what it rested on.
pub(super) struct Footing {
    backend: Arc<dyn Verify>,
    revision: AtomicU64,
    grounds: Option<Grounds>,
}

/// The password that was accepted last of a user.
#[derive(Clone, Copy)]
struct Proof {
    tag: Tag,
    /// When its check began.
    started: Instant,
}

impl Cache {
    /// An empty one; `None` where none is wanted.
    pub(super) fn new(settings: &CacheSettings, key: &Arc<TagKey>) -> Option<Self> {
        settings.enabled.then(|| Self {
            ttl: settings.ttl,
            key: Arc::clone(key),
            entries: sync::Cache::new(settings.size),
            latest: sync::Cache::new(settings.size),
        })
    }

    /// What `attempt` is kept under, asked of the chain number `chain`.
    pub(super) fn tag(&self, attempt: &Attempt, chain: usize) -> Tag {
        self.key.login(attempt, chain)
    }

    /// The acceptance of the login `tag`, if it still holds; then the backend
    /// that accepted it is told.
    pub(super) fn recall(
        &self,
        tag: &Tag,
        identity: &Identity,
        now: Instant,
    ) -> Option<Arc<Entry>> {
        let entry = self.entries.get(tag)?;
        if now < entry.until && self.is_latest(&entry) && entry.holds(identity) {
            let decided = entry.rests_on.last()?;
            decided.backend.recalled(identity, entry.accepted.label.as_deref());
            return Some(entry);
        }
        // Unless another thread has just put a fresh one there.
        self.entries.remove_if(tag, |present| Arc::ptr_eq(present, &entry));
        None
    }

    fn is_latest(&self, entry: &Entry) -> bool {
        let Some((user, proof)) = &entry.bound else { return true };
        self.latest.get(user).is_some_and(|latest| latest.tag == *proof)
    }

    /// Keeps that `attempt`, which `tag` is for, was accepted.
    pub(super) fn remember(&self, tag: Tag, attempt: &Attempt, acceptance: Acceptance) {
        let Acceptance { accepted, rests_on, started } = acceptance;
        let Some(decided) = rests_on.last() else { return };
        let by = decided.backend.name();
        let may_miss = decided.backend.may_change_unseen();
        let bound = may_miss.then(|| (self.key.user(&attempt.identity), self.key.proof(attempt)));
        if bound.is_some_and(|(user, proof)| !self.supersede(&user, Proof { tag: proof, started }))
        {
            return;
        }
        let holds_for = accepted.valid_for.map_or(self.ttl, |limit| limit.min(self.ttl));
        let entry = Entry { by, accepted, rests_on, until: started + holds_for, bound };
        self.entries.insert(tag, Arc::new(entry));
    }

    /// Makes `proof` the last one of `user`, which ends the entries of all
    /// others. False if another password was accepted whose check began later:
    /// it may have been changed in between.
    fn supersede(&self, user: &Tag, proof: Proof) -> bool {
        let replace = |_: &Tag, latest: &mut Proof| {
            let is_stale = latest.tag != proof.tag && latest.started > proof.started;
            if !is_stale {
                *latest = Proof { tag: proof.tag, started: latest.started.max(proof.started) };
            }
            EntryAction::Retain(!is_stale)
        };
        match self.latest.entry(user, None, replace) {
            EntryResult::Retained(is_latest) => is_latest,
            EntryResult::Vacant(place) => place.insert(proof).is_ok(),
            _ => false,
        }
    }

    /// Logins that are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Entry {
    /// True if all that it rests on is as it was.
    fn holds(&self, identity: &Identity) -> bool {
        self.rests_on.iter().all(|footing| footing.holds(identity))
    }
}

impl Footing {
    /// What an answer of `backend` about `identity` will rest on. To be taken
    /// before it is asked: a change in between then ends the entry.
    pub(super) fn take(backend: &Arc<dyn Verify>, identity: &Identity) -> Self {
        // In this order, too.
        let revision = AtomicU64::new(backend.revision().0);
        Self { backend: Arc::clone(backend), revision, grounds: backend.grounds(identity) }
    }

    fn holds(&self, identity: &Identity) -> bool {
        let Revision(revision) = self.backend.revision();
        if self.revision.load(Ordering::Relaxed) == revision {
            return true;
        }
        // Somebody changed something: was it this user?
        let is_same = self.grounds.is_some() && self.grounds == self.backend.grounds(identity);
        if is_same {
            // Another thread may write an older one over it: then the next one looks again.
            self.revision.store(revision, Ordering::Relaxed);
        }
        is_same
    }
}

#[cfg(test)]
mod tests;
