//! Accounts that look stolen, and those that are locked at the gate for it.
//!
//! Two signs: a login went beyond a hard limit, or its first messages came from
//! many networks (an IPv4 /24, an IPv6 /48) that it was never seen in, within a
//! short time. A person has a phone, an office and a home; a password that is
//! sold has a botnet. A network is new until the login has sent from it, and
//! what a login is known to use is remembered while there is room, since the
//! start of the gate. The very first network of a login is where it lives.
//!
//! A sign is told once, and then not again while the account is locked or, where
//! it is not locked, for [`TheftSettings::within`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync;

use super::limit::network_of;

/// What looks stolen, and what is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TheftSettings {
    /// New networks within [`within`](Self::within) that are a sign; 0 is never, at most 30.
    pub networks: usize,
    /// The time; not zero.
    pub within: Duration,
    /// How long such an account may not send; zero is not at all.
    pub lock: Duration,
    /// Logins whose networks are remembered.
    pub size: usize,
}

/// Why an account looks stolen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It went beyond a hard limit.
    HardLimit,
    /// So many networks it was never seen in.
    NewNetworks(usize),
}

/// What was seen of each login, and who is locked. Shared by all threads, and
/// kept over a reload.
pub struct Theft {
    known: sync::Cache<Arc<str>, Arc<Mutex<Networks>>>,
    told: Mutex<HashMap<Arc<str>, Told>>,
}

/// A login that is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// As it logs in, with its realm.
    pub login: Arc<str>,
    /// Why.
    pub sign: Sign,
    /// Until it is over.
    pub left: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    sign: Sign,
    at: Instant,
    locked_until: Instant,
}

/// Where a login has sent from.
#[derive(Debug, Default)]
struct Networks {
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    network: IpAddr,
    /// When it was new; `None` for the very first, where the login lives.
    new_at: Option<Instant>,
    last: Instant,
}

/// Networks that are remembered of a login. More than [`TheftSettings::networks`] can be.
const MOST_NETWORKS: usize = 32;
/// Logins that are remembered as told. Each of them has a right password.
const MOST_TOLD: usize = 100_000;

impl Theft {
    /// One that has seen nothing, with room for `size` logins.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { known: sync::Cache::new(size.max(1)), told: Mutex::default() }
    }

    /// Notes that `login` sends a message from `address`.
    #[must_use]
    pub fn sends(
        &self,
        login: &Arc<str>,
        address: IpAddr,
        settings: &TheftSettings,
        now: Instant,
    ) -> Option<Sign> {
        if settings.networks == 0 {
            return None;
        }
        let network = network_of(address);
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let Ok(networks) = self.known.get_or_insert_with(login, fresh);
        let mut networks = networks.lock().unwrap_or_else(PoisonError::into_inner);
        if !networks.is_new(network, now) {
            return None;
        }
        let count = networks.new_since(now, settings.within);
        (count >= settings.networks).then_some(Sign::NewNetworks(count))
    }

    /// Takes note of a sign, and locks the login if that is wanted. True if it is to be told.
    #[must_use]
    pub fn note(
        &self,
        login: &Arc<str>,
        sign: Sign,
        settings: &TheftSettings,
        now: Instant,
    ) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |told: &Told| {
            told.locked_until > now || now.saturating_duration_since(told.at) < settings.within
        };
        if told.get(login).is_some_and(is_recent) {
            return false;
        }
        if told.len() >= MOST_TOLD {
            told.retain(|_, told| is_recent(told));
        }
        if told.len() < MOST_TOLD {
            let locked_until = now.checked_add(settings.lock).unwrap_or(now);
            told.insert(Arc::clone(login), Told { sign, at: now, locked_until });
        }
        true
    }

    /// How long `login` may not send yet; `None` if it may.
    #[must_use]
    pub fn locked(&self, login: &str, now: Instant) -> Option<Duration> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let left = told.get(login)?.locked_until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Ends all locks, and gives them, in the order of the names. What is known of networks stays.
    pub fn release(&self, now: Instant) -> Vec<Lock> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut locks: Vec<Lock> = told
            .drain()
            .map(|(login, told)| {
                let left = told.locked_until.saturating_duration_since(now);
                Lock { login, sign: told.sign, left }
            })
            .filter(|lock| !lock.left.is_zero())
            .collect();
        locks.sort_by(|a, b| a.login.cmp(&b.login));
        locks
    }
}

impl Networks {
    /// Notes `network`; true if it is new and not the first of all.
    fn is_new(&mut self, network: IpAddr, now: Instant) -> bool {
        let is_first = self.seen.is_empty();
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.network == network) {
            seen.last = now;
            return false;
        }
        if self.seen.len() >= MOST_NETWORKS {
            let oldest = self.seen.iter().enumerate().min_by_key(|(_, seen)| seen.last);
            if let Some((place, _)) = oldest {
                self.seen.swap_remove(place);
            }
        }
        let new_at = (!is_first).then_some(now);
        self.seen.push(Seen { network, new_at, last: now });
        !is_first
    }

    /// Networks that were new no longer ago than `within`.
    fn new_since(&self, now: Instant, within: Duration) -> usize {
        let new = self.seen.iter().filter_map(|seen| seen.new_at);
        new.filter(|at| now.saturating_duration_since(*at) <= within).count()
    }
}
