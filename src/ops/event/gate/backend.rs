//! What the gate learns of the MTA behind it. Changes only: a probe that finds
//! nothing new writes nothing.

use std::fmt;

use super::text::{Client, Value};
use crate::base::Printable;
use crate::ops::log::json::{Members, Object};

/// The backend answers, or offers something else than before.
/// `backend: address=127.0.0.1:10587, state=up, offers="PIPELINING SIZE 8BITMIME"`
pub fn backend_up(address: &str, offers: &str) {
    tell!(info, &State { address, state: "up", text: ("offers", offers) });
}

/// The backend stopped answering.
/// `backend: address=127.0.0.1:10587, state=down, reason="cannot connect ..."`
pub fn backend_down(address: &str, reason: &str) {
    tell!(warn, &State { address, state: "down", text: ("reason", reason) });
}

/// The backend failed one session; the client was told to try again.
/// `backend: relay=[192.0.2.7], state=trouble, reason="..."`
pub fn backend_trouble(client: &Client<'_>, reason: &str) {
    tell!(warn, &Trouble { client, reason });
}

struct State<'a> {
    address: &'a str,
    state: &'static str,
    /// A key, and what it says.
    text: (&'static str, &'a str),
}

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, state, text: (key, text) } = self;
        let (address, text) = (Value(address), Printable::from(*text));
        write!(f, "backend: address={address}, state={state}, {key}=\"{text}\"")
    }
}

impl Members for State<'_> {
    const EVENT: &'static str = "backend";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        to.text("address", self.address)?;
        to.text("state", self.state)?;
        to.text(self.text.0, self.text.1)
    }
}

struct Trouble<'a> {
    client: &'a Client<'a>,
    reason: &'a str,
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, reason } = self;
        let (head, reason) = (client.head(), Printable::from(*reason));
        write!(f, "{head}backend: relay={client}, state=trouble, reason=\"{reason}\"")
    }
}

impl Members for Trouble<'_> {
    const EVENT: &'static str = "backend";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("state", "trouble")?;
        to.text("reason", self.reason)
    }
}
