//! sendmail's access map, obeyed for what a front can decide.
//!
//! ```text
//! /etc/mail/access            (the text file; makemap and its .db are not needed)
//!   Connect:192.0.2           REJECT
//!   From:example.com          ERROR:5.7.1:550 not from there
//!   To:partner.example        RELAY
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `file` | lines to entries, each problem with its line |
//! | `value` | what stands behind a key |
//! | `demand` | what stands behind a `TLS_` key: strength, a verified certificate |
//! | `search` | sendmail's look-ups D, A, F and U, in its order of keys |
//! | `rules` | sendmail's rulesets: connect, sender, recipient, relay |
//! | `client` | a client's address and name as the rulesets see them |
//! | `explain` | which keys are tried for something, and which line decides |
//! | [`classes`] | `local-host-names` and `relay-domains` |
//! | `mailbox` | an address as the rulesets see it |
//! | [`arrivals`] | connections of each address, for `ClientRate:` and `ClientConn:` |
//!
//! As sendmail 8.17.1 with `FEATURE(access_db, ..., skip)` and
//! `FEATURE(blocklist_recipients)`, both as observed. Pure: files' texts, facts
//! and `now` come in, decisions with the line that made them go out. Called by
//! `gate/desk`, and by `saslgate check --access`.

pub mod arrivals;
pub mod classes;

mod client;
mod demand;
mod explain;
mod file;
mod mailbox;
mod rules;
mod search;
mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use client::{Client, PtrState};
pub use demand::TlsFacts;
pub use explain::{Answer, explain};
pub use file::LineProblem;
pub use rules::{Cause, Decision, Relaying, Site, Visit};
pub use search::{Purpose, Step};
pub use settings::Settings;
pub use value::Refusal;

use search::{Tables, Tag};

/// An access map that was read. Keys are folded to lower case and hashed.
#[derive(Debug, Default)]
pub struct AccessMap {
    tables: Tables,
}

impl AccessMap {
    /// Reads the text of an access file. Lines that are not understood are left
    /// out and told of: a map with mistakes is better than none.
    #[must_use]
    pub fn parse(text: &[u8]) -> (Self, Vec<LineProblem>) {
        let (tables, problems) = file::read(text);
        (Self { tables }, problems)
    }

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// True if it limits anybody's connections.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        [Tag::ClientRate, Tag::ClientConn].into_iter().any(|tag| self.tables.has_any(tag))
    }

    /// True if it has none, so that nothing needs to be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
