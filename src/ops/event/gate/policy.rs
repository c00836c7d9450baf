//! What policy found out, beside the refusals: accounts that look stolen, block
//! lists that do not answer.
//!
//! ```text
//! ruleset=check_rcpt, arg1=<x@far.test>, relay=[192.0.2.7], by=/etc/mail/access:12, reject=550 5.7.1 ...
//! account: login=alice@example.org, state=suspicious, sign=hard-limit, relay=[192.0.2.7], locked=3600, detail="..."
//! account: login=alice@example.org, state=released, left=1200
//! dnsbl: zone=zen.example.org, state=down, reason="no answer in time"
//! dnsbl: zone=zen.example.org, state=up
//! ```

use std::fmt;

use super::text::{Client, Value, Xtext};
use crate::base::Printable;
use crate::ops::log::json::{Members, Object};

/// What the access map decided.
#[derive(Debug, Clone, Copy)]
pub struct AccessEvent<'a> {
    /// `check_relay`, `check_mail`, `check_rcpt`.
    pub ruleset: &'a str,
    /// The address it was asked about, perhaps of the peer's making.
    pub argument: &'a str,
    /// Who it was.
    pub client: Client<'a>,
    /// `/etc/mail/access:12`; empty where no line decided.
    pub place: &'a str,
    /// `reject=550 5.7.1 ...`, `discard`, `quarantine`.
    pub outcome: &'a str,
}

/// Records that the access map refused, discarded or would have quarantined.
pub fn access_ruled(event: &AccessEvent<'_>) {
    tell!(info, event);
}

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
    tell!(warn, event);
}

/// Records that a lock was ended `left` seconds early, by a reload.
pub fn account_released(login: &str, left: u64) {
    tell!(info, &Released { login, left });
}

/// A block list cannot be asked; until it can, it lists nobody.
pub fn block_list_down(zone: &str, reason: &str) {
    tell!(warn, &BlockList { zone, reason: Some(reason) });
}

/// A block list answers again.
pub fn block_list_up(zone: &str) {
    tell!(info, &BlockList { zone, reason: None });
}

impl fmt::Display for AccessEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessEvent { ruleset, argument, client, place, outcome } = self;
        let (head, argument) = (client.head(), Value(argument));
        write!(f, "{head}ruleset={ruleset}, arg1={argument}, relay={client}")?;
        if !place.is_empty() {
            write!(f, ", by={}", Value(place))?;
        }
        write!(f, ", {}", Printable::from(*outcome))
    }
}

impl Members for AccessEvent<'_> {
    const EVENT: &'static str = "ruleset";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("ruleset", self.ruleset)?;
        to.text("argument", self.argument)?;
        to.text("by", self.place)?;
        to.text("outcome", self.outcome)
    }
}

impl fmt::Display for SuspicionEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SuspicionEvent { login, client, sign, detail, locked } = self;
        let (head, login, detail) = (client.head(), Xtext(login), Printable::from(*detail));
        write!(f, "{head}account: login={login}, state=suspicious, sign={sign}, relay={client}, ")?;
        write!(f, "locked={locked}, detail=\"{detail}\"")
    }
}

impl Members for SuspicionEvent<'_> {
    const EVENT: &'static str = "account";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("login", self.login)?;
        to.text("state", "suspicious")?;
        to.text("sign", self.sign)?;
        to.number("locked", self.locked)?;
        to.text("detail", self.detail)
    }
}

struct Released<'a> {
    login: &'a str,
    left: u64,
}

impl fmt::Display for Released<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account: login={}, state=released, left={}", Xtext(self.login), self.left)
    }
}

impl Members for Released<'_> {
    const EVENT: &'static str = "account";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        to.text("login", self.login)?;
        to.text("state", "released")?;
        to.number("left", self.left)
    }
}

struct BlockList<'a> {
    zone: &'a str,
    /// Why it cannot be asked; `None` if it can.
    reason: Option<&'a str>,
}

impl fmt::Display for BlockList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = Value(self.zone);
        match self.reason {
            Some(reason) => {
                let reason = Printable::from(reason);
                write!(f, "dnsbl: zone={zone}, state=down, reason=\"{reason}\"")
            }
            None => write!(f, "dnsbl: zone={zone}, state=up"),
        }
    }
}

impl Members for BlockList<'_> {
    const EVENT: &'static str = "dnsbl";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        to.text("zone", self.zone)?;
        let Some(reason) = self.reason else { return to.text("state", "up") };
        to.text("state", "down")?;
        to.text("reason", reason)
    }
}
