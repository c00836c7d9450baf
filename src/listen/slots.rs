//! Bounded places for sessions, in all and per client.
//!
//! A client is known by its address or, on a local socket, by its uid. An
//! address stands for whoever holds it: one IPv4 address (/32), or one IPv6
//! network (/64), which is the least that a single customer gets, so that a
//! client cannot multiply itself through its own prefix.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::Origin;

/// A bounded number of sessions, and optionally a bound per client.
pub struct Slots {
    sessions: Arc<Semaphore>,
    per_client: Option<NonZeroUsize>,
    /// Sessions in progress per holder. An entry goes with its last session,
    /// so the table is never longer than `sessions`.
    holders: Mutex<HashMap<Holder, usize>>,
}

/// A place for one session, given back when it is dropped.
pub struct Permit {
    _session: OwnedSemaphorePermit,
    held: Option<(Arc<Slots>, Holder)>,
}

/// What became of a connection's wish for a place.
pub enum Admission {
    /// Serve it, and keep the permit as long as the session lasts.
    Admitted(Permit),
    /// All places are taken: say so in the words of the protocol, and close.
    TooManySessions,
    /// This address holds as many places as one may: say so, and close.
    TooManyFromAddress,
}

/// Whose sessions are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    /// An IPv4 address, or the first address of an IPv6 /64.
    Address(IpAddr),
    /// A user of this host.
    Uid(u32),
}

impl Slots {
    /// `sessions` places in all (at least one), at most `per_client` of them for one client.
    #[must_use]
    pub fn new(sessions: usize, per_client: Option<NonZeroUsize>) -> Arc<Self> {
        let limit = sessions.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            sessions: Arc::new(Semaphore::new(limit)),
            per_client,
            holders: Mutex::new(HashMap::new()),
        })
    }

    /// Decides at once whether a client at `address` gets a place.
    #[must_use]
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let Ok(session) = Arc::clone(&self.sessions).try_acquire_owned() else {
            return Admission::TooManySessions;
        };
        self.name(Permit { _session: session, held: None }, address)
    }

    /// Counts a session that has a place already as one of the user `uid`'s;
    /// `None` if that user has as many as one may, and then the place is free again.
    #[must_use]
    pub fn hold(self: &Arc<Self>, permit: Permit, uid: u32) -> Option<Permit> {
        self.count(permit, Holder::Uid(uid))
    }

    fn count(self: &Arc<Self>, mut permit: Permit, holder: Holder) -> Option<Permit> {
        let Some(limit) = self.per_client else { return Some(permit) };
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        let count = holders.entry(holder).or_insert(0);
        if *count >= limit.get() {
            return None;
        }
        *count += 1;
        permit.held = Some((Arc::clone(self), holder));
        Some(permit)
    }

    /// Decides at once whether there is a place for a client whose address is not
    /// known yet, since a proxy has connected for it.
    #[must_use]
    pub fn admit_unnamed(self: &Arc<Self>) -> Admission {
        self.try_take().map_or(Admission::TooManySessions, Admission::Admitted)
    }

    /// Counts a session that has a place already as one of `address`, once that is known.
    #[must_use]
    pub fn name(self: &Arc<Self>, permit: Permit, address: IpAddr) -> Admission {
        match self.count(permit, Holder::of(address)) {
            Some(permit) => Admission::Admitted(permit),
            None => Admission::TooManyFromAddress,
        }
    }

    /// Waits for a place for a client without an address (a local socket).
    pub async fn wait(self: &Arc<Self>) -> Permit {
        match Arc::clone(&self.sessions).acquire_owned().await {
            Ok(session) => Permit { _session: session, held: None },
            // The semaphore is never closed; if it were, nobody would get a place.
            Err(_) => std::future::pending().await,
        }
    }

    /// A place for a client without an address, if one is free now.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let session = Arc::clone(&self.sessions).try_acquire_owned().ok()?;
        Some(Permit { _session: session, held: None })
    }

    /// Places that are free now.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.sessions.available_permits()
    }

    fn give_back(&self, holder: Holder) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = holders.get_mut(&holder) {
            *count -= 1;
            if *count == 0 {
                holders.remove(&holder);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((slots, holder)) = self.held.take() {
            slots.give_back(holder);
        }
    }
}

impl Holder {
    fn of(address: IpAddr) -> Self {
        Self::Address(Origin::block(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admitted(slots: &Arc<Slots>, text: &str) -> Option<Permit> {
        match slots.admit(address(text)) {
            Admission::Admitted(permit) => Some(permit),
            Admission::TooManySessions | Admission::TooManyFromAddress => None,
        }
    }

    #[test]
    fn gives_each_place_once_and_takes_it_back() {
        let slots = Slots::new(2, None);
        let first = admitted(&slots, "192.0.2.1").unwrap();
        let _second = admitted(&slots, "192.0.2.1").unwrap();
        assert!(matches!(slots.admit(address("192.0.2.2")), Admission::TooManySessions));
        assert_eq!(slots.free(), 0);
        drop(first);
        assert!(admitted(&slots, "192.0.2.2").is_some());
    }

    #[test]
    fn bounds_one_address_and_leaves_the_others_alone() {
        let slots = Slots::new(10, NonZeroUsize::new(1));
        let first = admitted(&slots, "192.0.2.1").unwrap();
        assert!(matches!(slots.admit(address("192.0.2.1")), Admission::TooManyFromAddress));
        assert!(matches!(slots.admit(address("::ffff:192.0.2.1")), Admission::TooManyFromAddress));
        assert!(admitted(&slots, "192.0.2.2").is_some());
        assert_eq!(slots.free(), 9, "a refused connection keeps no place");
        drop(first);
        assert!(slots.holders.lock().unwrap().is_empty());
        assert!(admitted(&slots, "192.0.2.1").is_some());
    }

    #[test]
    fn bounds_one_user_of_the_host_and_leaves_the_others_alone() {
        let slots = Slots::new(10, NonZeroUsize::new(1));
        let hold = |uid| slots.hold(slots.try_take().unwrap(), uid);
        let first = hold(89).unwrap();
        assert!(hold(89).is_none());
        assert!(hold(0).is_some());
        assert_eq!(slots.free(), 9, "a refused connection keeps no place");
        drop(first);
        assert!(hold(89).is_some());
    }

    #[test]
    fn counts_a_client_behind_a_proxy_once_it_is_named() {
        let slots = Slots::new(3, NonZeroUsize::new(1));
        let unnamed = || match slots.admit_unnamed() {
            Admission::Admitted(permit) => permit,
            Admission::TooManySessions | Admission::TooManyFromAddress => panic!("no place"),
        };
        let first = slots.name(unnamed(), address("192.0.2.1"));
        assert!(matches!(first, Admission::Admitted(_)));
        let second = slots.name(unnamed(), address("192.0.2.1"));
        assert!(matches!(second, Admission::TooManyFromAddress));
        assert_eq!(slots.free(), 2, "a refused connection keeps no place");
        let others = [unnamed(), unnamed()];
        assert!(matches!(slots.admit_unnamed(), Admission::TooManySessions));
        drop(others);
    }

    #[test]
    fn counts_an_ipv6_network_as_one_client() {
        let slots = Slots::new(10, NonZeroUsize::new(1));
        let _first = admitted(&slots, "2001:db8:0:1::1").unwrap();
        let neighbour = slots.admit(address("2001:db8:0:1:ffff::2"));
        assert!(matches!(neighbour, Admission::TooManyFromAddress));
        assert!(admitted(&slots, "2001:db8:0:2::1").is_some());
    }
}
