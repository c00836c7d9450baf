//! What policy found out, beside the refusals: accounts that look stolen, block
//! lists that do not answer.
//!
//! ```text
//! account: login=alice@example.org, state=suspicious, sign=hard-limit, relay=[192.0.2.7], locked=3600, detail="..."
//! account: login=alice@example.org, state=released, left=1200
//! dnsbl: zone=zen.example.org, state=down, reason="no answer in time"
//! dnsbl: zone=zen.example.org, state=up
//! ```

use super::text::{Client, Value, Xtext};
use crate::base::Printable;
use crate::ops::log::EVENT;

/// An account that looks stolen.
#[derive(Debug, Clone, Copy)]
pub struct SuspicionEvent<'a> {
    /// Who logged in, with the realm.
    pub login: &'a str,
    /// Where the mail came from that showed it.
    pub client: Client<'a>,
    /// `hard-limit` or `new-networks`.
    pub sign: &'a str,
    /// In words.
    pub detail: &'a str,
    /// For how many seconds the gate takes no mail of it; 0 where that is not wanted.
    pub locked: u64,
}

/// Records that an account looks stolen. A human should look.
pub fn account_suspicious(event: &SuspicionEvent<'_>) {
    let SuspicionEvent { login, client, sign, detail, locked } = event;
    let (login, detail) = (Xtext(login), Printable::from(*detail));
    tracing::warn!(
        target: EVENT,
        "account: login={login}, state=suspicious, sign={sign}, relay={client}, locked={locked}, \
         detail=\"{detail}\""
    );
}

/// Records that a lock was ended `left` seconds early, by a reload.
pub fn account_released(login: &str, left: u64) {
    let login = Xtext(login);
    tracing::info!(target: EVENT, "account: login={login}, state=released, left={left}");
}

/// A block list cannot be asked; until it can, it lists nobody.
pub fn block_list_down(zone: &str, reason: &str) {
    let (zone, reason) = (Value(zone), Printable::from(reason));
    tracing::warn!(target: EVENT, "dnsbl: zone={zone}, state=down, reason=\"{reason}\"");
}

/// A block list answers again.
pub fn block_list_up(zone: &str) {
    tracing::info!(target: EVENT, "dnsbl: zone={}, state=up", Value(zone));
}
