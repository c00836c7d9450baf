//! Who is here: a seat for each session, for `saslgate status` and `saslgate kick`.
//!
//! A session locks the table twice, when it comes and when it goes. In between
//! it writes into its own seat, atomics without a lock, and readers see each
//! value as it is at that moment.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::relay::Route;
use super::settings::ListenerKind;
use crate::ops::metrics::gate::GATE;
use crate::ops::metrics::values::Held;
use crate::wire::control;

/// All sessions of a gate.
#[derive(Default)]
pub struct Roster {
    seats: Mutex<BTreeMap<u64, Arc<Seat>>>,
    next: AtomicU64,
}

/// One session.
pub struct Seat {
    id: String,
    client: SocketAddr,
    listener: SocketAddr,
    kind: ListenerKind,
    since: Instant,
    login: OnceLock<String>,
    doing: AtomicU8,
    is_encrypted: AtomicBool,
    messages: AtomicU32,
    backend: ArcSwapOption<Route>,
    traffic: Arc<Traffic>,
    is_kicked: AtomicBool,
    /// Ends the session at once.
    cut: CancellationToken,
}

/// Bytes from and to one client.
#[derive(Debug, Default)]
pub struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
}

/// A seat as long as its session lasts.
pub(super) struct Present {
    seat: Arc<Seat>,
    roster: Arc<Roster>,
    number: u64,
    _open: Held,
}

/// Of whom a seat is.
pub(super) struct Newcomer {
    /// The session's id in the log.
    pub(super) id: String,
    pub(super) client: SocketAddr,
    pub(super) listener: SocketAddr,
    pub(super) kind: ListenerKind,
    pub(super) traffic: Arc<Traffic>,
    /// What ends the session at once.
    pub(super) cut: CancellationToken,
}

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Handshake,
    Waiting,
    Authenticating,
    Transaction,
    Backend,
    Content,
}

const DOINGS: [&str; 6] =
    ["handshake", "waiting", "authenticating", "transaction", "backend", "content"];

impl Roster {
    /// Takes a newcomer in.
    pub(super) fn enter(self: &Arc<Self>, newcomer: Newcomer) -> Present {
        let Newcomer { id, client, listener, kind, traffic, cut } = newcomer;
        let seat = Arc::new(Seat {
            id,
            client,
            listener,
            kind,
            since: Instant::now(),
            login: OnceLock::new(),
            doing: AtomicU8::new(Doing::Handshake as u8),
            is_encrypted: AtomicBool::new(false),
            messages: AtomicU32::new(0),
            backend: ArcSwapOption::empty(),
            traffic,
            is_kicked: AtomicBool::new(false),
            cut,
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(&seat));
        Present { seat, roster: Arc::clone(self), number, _open: GATE.open.hold() }
    }

    /// Everybody who is here, in the order they came.
    #[must_use]
    pub fn seats(&self) -> Vec<Arc<Seat>> {
        self.lock().values().cloned().collect()
    }

    /// Ends the sessions that `who` means: an id, a login (without `@`: in every
    /// realm), an address or a network. Gives those it ended.
    pub fn kick(&self, who: &str) -> Vec<Arc<Seat>> {
        let meant: Vec<Arc<Seat>> = self.seats().into_iter().filter(|it| it.is(who)).collect();
        for seat in &meant {
            seat.is_kicked.store(true, Ordering::Release);
            seat.cut.cancel();
        }
        meant
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Who has logged in.
    pub(super) fn logged_in(&self, login: String) {
        // A session logs in once.
        let _ = self.login.set(login);
    }

    pub(super) fn does(&self, doing: Doing) {
        self.doing.store(doing as u8, Ordering::Relaxed);
    }

    pub(super) fn encrypted(&self) {
        self.is_encrypted.store(true, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self, messages: u32) {
        self.messages.store(messages, Ordering::Relaxed);
    }

    pub(super) fn uses(&self, backend: &Arc<Route>) {
        self.backend.store(Some(Arc::clone(backend)));
    }

    /// True if an administrator ends the session.
    pub(super) fn is_kicked(&self) -> bool {
        self.is_kicked.load(Ordering::Acquire)
    }

    fn is(&self, who: &str) -> bool {
        if let Ok(address) = who.parse::<IpAddr>() {
            return self.client.ip().to_canonical() == address.to_canonical();
        }
        if let Ok(network) = who.parse::<IpNet>() {
            return network.contains(&self.client.ip().to_canonical());
        }
        let is_login = self.login.get().is_some_and(|login| {
            login == who
                || (!who.contains('@') && login.rsplit_once('@').is_some_and(|it| it.0 == who))
        });
        is_login || self.id == who
    }

    /// What is known of it now.
    #[must_use]
    pub fn describe(&self) -> control::Session {
        let doing = usize::from(self.doing.load(Ordering::Relaxed));
        control::Session {
            id: self.id.clone(),
            client: self.client.ip().to_canonical().to_string(),
            listener: self.listener.to_string(),
            kind: self.kind.as_str().to_owned(),
            login: self.login.get().cloned(),
            seconds: self.since.elapsed().as_secs(),
            state: DOINGS.get(doing).copied().unwrap_or_default().to_owned(),
            tls: self.is_encrypted.load(Ordering::Relaxed),
            bytes_in: self.traffic.read.load(Ordering::Relaxed),
            bytes_out: self.traffic.written.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            backend: self.backend.load().as_ref().map(|route| route.settings.name.clone()),
        }
    }
}

impl Traffic {
    /// So many bytes came.
    pub(super) fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        GATE.bytes_in.add(bytes as u64);
    }

    /// So many bytes went.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        GATE.bytes_out.add(bytes as u64);
    }
}

impl Deref for Present {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.seat
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newcomer(id: &str, client: &str) -> Newcomer {
        Newcomer {
            id: id.to_owned(),
            client: client.parse().unwrap(),
            listener: "127.0.0.1:587".parse().unwrap(),
            kind: ListenerKind::Submission,
            traffic: Arc::default(),
            cut: CancellationToken::new(),
        }
    }

    #[test]
    fn a_seat_is_there_as_long_as_its_session() {
        let roster = Arc::new(Roster::default());
        let first = roster.enter(newcomer("a", "192.0.2.7:1000"));
        let second = roster.enter(newcomer("b", "[::ffff:192.0.2.8]:1000"));
        first.logged_in("alice@example.org".to_owned());
        first.does(Doing::Content);
        first.traffic.read(10);
        let seen: Vec<control::Session> =
            roster.seats().iter().map(|seat| seat.describe()).collect();
        assert_eq!(seen[0].login.as_deref(), Some("alice@example.org"));
        assert_eq!((seen[0].state.as_str(), seen[0].bytes_in), ("content", 10));
        assert_eq!((seen[1].client.as_str(), seen[1].state.as_str()), ("192.0.2.8", "handshake"));
        drop(first);
        assert_eq!(roster.seats().len(), 1);
        drop(second);
        assert_eq!(roster.seats().len(), 0);
    }

    #[test]
    fn who_is_meant_is_kicked_and_nobody_else() {
        let roster = Arc::new(Roster::default());
        let meant = |who: &str| {
            let alice = roster.enter(newcomer("aaa", "192.0.2.7:1000"));
            alice.logged_in("alice@example.org".to_owned());
            let bob = roster.enter(newcomer("bbb", "[2001:db8::8]:1000"));
            bob.logged_in("bob".to_owned());
            let stranger = roster.enter(newcomer("ccc", "192.0.2.9:1000"));
            let kicked: String = roster.kick(who).iter().map(|it| it.id.as_str()).collect();
            for seat in [&alice, &bob, &stranger] {
                assert_eq!(seat.is_kicked(), kicked.contains(&seat.id), "{who}");
                assert_eq!(seat.cut.is_cancelled(), seat.is_kicked(), "{who}");
            }
            kicked
        };
        assert_eq!(meant("alice"), "aaa");
        assert_eq!(meant("alice@example.org"), "aaa");
        assert_eq!(meant("alice@example.net"), "");
        assert_eq!(meant("bob"), "bbb");
        assert_eq!(meant("bob@example.org"), "");
        assert_eq!(meant("ccc"), "ccc");
        assert_eq!(meant("192.0.2.7"), "aaa");
        assert_eq!(meant("192.0.2.0/24"), "aaaccc");
        assert_eq!(meant("2001:db8::/32"), "bbb");
        assert_eq!(meant(""), "");
    }
}
