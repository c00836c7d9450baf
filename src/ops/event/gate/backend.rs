//! What the gate learns of the MTA behind it. Changes only: a probe that finds
//! nothing new writes nothing.

use super::text::{Client, Value};
use crate::base::Printable;
use crate::ops::log::EVENT;

/// The backend answers, or offers something else than before.
/// `backend: address=127.0.0.1:10587, state=up, offers="PIPELINING SIZE 8BITMIME"`
pub fn backend_up(address: &str, offers: &str) {
    let (address, offers) = (Value(address), Printable::from(offers));
    tracing::info!(target: EVENT, "backend: address={address}, state=up, offers=\"{offers}\"");
}

/// The backend stopped answering.
/// `backend: address=127.0.0.1:10587, state=down, reason="cannot connect ..."`
pub fn backend_down(address: &str, reason: &str) {
    let (address, reason) = (Value(address), Printable::from(reason));
    tracing::warn!(target: EVENT, "backend: address={address}, state=down, reason=\"{reason}\"");
}

/// The backend failed one session; the client was told to try again.
/// `backend: relay=[192.0.2.7], state=trouble, reason="..."`
pub fn backend_trouble(client: &Client<'_>, reason: &str) {
    let reason = Printable::from(reason);
    tracing::warn!(target: EVENT, "backend: relay={client}, state=trouble, reason=\"{reason}\"");
}
