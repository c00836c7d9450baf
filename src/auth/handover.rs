//! Handover: a gate logs in to the mail server behind it as its client.
//!
//! ```text
//! gate   --- alice, password, "a token please" --> authd      the gate's uid, authd.handover.gates
//! gate   <-- OK handover=TOKEN -------------------- authd
//! gate   --- AUTH PLAIN alice TOKEN --------------> mail server
//!            mail server --- alice, TOKEN -------> authd      authd.handover.sockets, .mail_servers
//!            mail server <-- OK ------------------ authd      once, for alice, within the lifetime
//! ```
//!
//! So a stock mail server knows the user natively, and its own rules on
//! relaying stay in force. A token is 256 random bits behind a prefix; what is
//! kept is a keyed digest of it and of the user it is for, compared in constant
//! time, in a table of bounded size. A redeemed token stays in the table until
//! its time is over, so that a second use is told from nonsense. What looks like
//! a token never goes to a backend.
//!
//! Called by the authenticator; reads no clock and draws no random bytes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::tag::{Tag, TagKey};
use super::verify::Attempt;
use crate::base::{Identity, Reason, ReasonCode, Secret};

/// Who gets tokens, and where they are good for a login. Names of accounts; the
/// composition root makes [`HandoverRules`] of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverSettings {
    /// Accounts of gates; empty: no token is ever issued.
    pub gates: Vec<String>,
    /// Accounts of the mail servers that redeem them.
    pub mail_servers: Vec<String>,
    /// Sockets at which they are redeemed: names of listeners, [`DEFAULT_SOCKET`] for the default one.
    pub sockets: Vec<String>,
    /// For how long a token is good.
    pub lifetime: Duration,
}

/// What the default socket is called among [`HandoverSettings::sockets`].
pub const DEFAULT_SOCKET: &str = "default";

/// [`HandoverSettings`] with uids in place of names. The default issues nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandoverRules {
    /// Who gets tokens.
    pub gates: Vec<u32>,
    /// Who redeems them.
    pub mail_servers: Vec<u32>,
    /// Where they are redeemed.
    pub sockets: Vec<String>,
    /// For how long one is good.
    pub lifetime: Duration,
}

/// A token on its way from authd's reply to the mail server. Shares its secret
/// with its copies, which is wiped with the last of them.
#[derive(Clone)]
pub struct HandoverToken(Arc<Secret>);

impl HandoverToken {
    /// Takes a token that a server has sent; `None` if it is none.
    #[must_use]
    pub fn new(secret: Secret) -> Option<Self> {
        is_token(&secret).then(|| Self(Arc::new(secret)))
    }

    /// The password for the mail server.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for HandoverToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandoverToken")
    }
}

impl PartialEq for HandoverToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.matches(&other.0)
    }
}

impl Eq for HandoverToken {}

/// What stands in front of the random bits, so that a token is never taken for a password.
const PREFIX: &[u8] = b"saslgate-handover-";
/// Random bytes of a token.
pub(super) const TOKEN_BYTES: usize = 32;
/// 32 bytes in base64 without padding.
const TEXT_BYTES: usize = 43;
/// Tokens that are known at once, redeemed ones included: 2,000 logins a second for half a minute.
const CAPACITY: usize = 65_536;

/// True if `password` can only be a token.
fn is_token(password: &Secret) -> bool {
    let Some(text) = password.expose().strip_prefix(PREFIX) else { return false };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() == TEXT_BYTES && text.iter().all(is_plain)
}

/// The tokens that were issued.
pub(super) struct Handover {
    key: Arc<TagKey>,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By the first half of a tag; the rest is compared in constant time.
    entries: HashMap<u64, Entry>,
    /// In the order in which they end, as long as the lifetime stays the same.
    ends: VecDeque<(Instant, u64)>,
}

struct Entry {
    tag: Tag,
    until: Instant,
    state: State,
}

enum State {
    /// For the user of this tag.
    Issued(Tag),
    Redeemed,
}

impl Handover {
    pub(super) fn new(key: &Arc<TagKey>) -> Self {
        Self { key: Arc::clone(key), table: Mutex::default() }
    }

    /// Makes a token for `identity` of `random`, good until `lifetime` from `now`.
    /// `None` if as many as can be are known already.
    pub(super) fn issue(
        &self,
        identity: &Identity,
        random: &Zeroizing<[u8; TOKEN_BYTES]>,
        lifetime: Duration,
        now: Instant,
    ) -> Option<Secret> {
        let mut text = Vec::with_capacity(PREFIX.len() + TEXT_BYTES);
        text.extend_from_slice(PREFIX);
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
        text.extend_from_slice(encoded.as_bytes());
        // Bounded and without NULs.
        let token = Secret::new(text).ok()?;
        let tag = self.key.token(&token);
        let entry =
            Entry { tag, until: now + lifetime, state: State::Issued(self.key.user(identity)) };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.forget(now);
        let slot = tag.half();
        if table.entries.len() >= CAPACITY || table.entries.contains_key(&slot) {
            return None;
        }
        table.ends.push_back((entry.until, slot));
        table.entries.insert(slot, entry);
        Some(token)
    }

    /// Judges an attempt whose password is a token; `None` if it is a password. `is_place`
    /// says whether tokens are redeemed where the attempt came from.
    pub(super) fn redeem(
        &self,
        attempt: &Attempt,
        is_place: bool,
        now: Instant,
    ) -> Option<Result<(), Reason>> {
        if !is_token(&attempt.password) {
            return None;
        }
        let refused = |detail| Some(Err(Reason::new(ReasonCode::TokenRefused, detail)));
        if !is_place {
            return refused(
                "a handover token came from a process, or at a socket, that may not redeem one \
                 ([authd.handover])",
            );
        }
        let tag = self.key.token(&attempt.password);
        let user = self.key.user(&attempt.identity);
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.forget(now);
        let known = table.entries.get_mut(&tag.half()).filter(|entry| entry.tag.is(&tag));
        let Some(entry) = known else {
            return refused("the handover token was never issued, or its time is over");
        };
        // Whatever it was used for, it is used.
        match std::mem::replace(&mut entry.state, State::Redeemed) {
            State::Issued(owner) if owner.is(&user) => Some(Ok(())),
            State::Issued(_) => refused("the handover token is for another user"),
            State::Redeemed => refused("the handover token was used before: a replay"),
        }
    }
}

impl Table {
    /// Drops what is over.
    fn forget(&mut self, now: Instant) {
        while let Some((until, slot)) = self.ends.front()
            && *until <= now
        {
            self.entries.remove(slot);
            self.ends.pop_front();
        }
    }
}

impl HandoverRules {
    /// True if a process of `uid` gets tokens.
    pub(super) fn is_gate(&self, uid: Option<u32>) -> bool {
        uid.is_some_and(|uid| self.gates.contains(&uid))
    }

    /// True if a process of `uid` may redeem them at the socket called `entrance`.
    pub(super) fn is_place(&self, uid: Option<u32>, entrance: Option<&str>) -> bool {
        let socket = entrance.unwrap_or(DEFAULT_SOCKET);
        self.sockets.iter().any(|name| name == socket)
            && uid.is_some_and(|uid| self.mail_servers.contains(&uid))
    }
}

#[cfg(test)]
mod tests;
