//! Where a session's questions meet policy: may this client, this sender, this recipient?
//!
//! The session asks at each step of the dialogue ([`Question`]) and gets a
//! [`Ruling`] at once, from memory. What had to be looked up across the network
//! is among the [`Facts`] that the driver gathered before it lets the session go on.
//!
//! | asked at | question |
//! |---|---|
//! | the greeting | may this client speak to us at all |
//! | MAIL | may it, or its user, send as this sender, now, this much |
//! | RCPT | may it send to this recipient, that is: relay, or deliver here |
//!
//! Whoever may not be told apart from the others gets `Pass`, so a rule has to
//! say no; but for one: a client that has not logged in relays nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::names::ClientName;
use super::sending::{Account, Sending};
use super::settings::ListenerKind;
use crate::base::Identity;
use crate::tls::Negotiated;
use crate::wire::smtp::command::Mail;
use crate::wire::smtp::reply::Reply;

/// What is known of a client, beside what it says.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its address, IPv4 ones as such.
    pub address: IpAddr,
    /// Through which kind of listener it came.
    pub kind: ListenerKind,
    /// What TLS agreed on, once it is on.
    pub tls: Option<Negotiated>,
    /// Its name, as far as the DNS said.
    pub name: ClientName,
    /// The DNS block lists it is on; known at RCPT.
    pub listings: Vec<String>,
    /// Its user, or its lack of one, for [`Sending`].
    pub account: Account,
}

/// What a session asks.
#[derive(Clone, Copy)]
pub enum Question<'a> {
    /// A client has connected.
    Connect,
    /// MAIL, well-formed; `login` is who logged in.
    Mail {
        /// Who logged in.
        login: Option<&'a Identity>,
        /// The command.
        mail: &'a Mail,
    },
    /// RCPT, well-formed.
    Rcpt {
        /// Who logged in.
        login: Option<&'a Identity>,
        /// The envelope sender without angle brackets; empty for the null path.
        sender: &'a str,
        /// The recipient without angle brackets.
        recipient: &'a str,
    },
}

/// What the desk says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// Go on.
    Pass,
    /// No, in these words: 4xx or 5xx.
    Refuse(Reply),
}

/// What the desk goes by; shared by all sessions, replaced at a reload.
#[derive(Clone)]
pub struct Desk {
    /// Who sends as whom, and how much.
    pub sending: Arc<Sending>,
}

impl Desk {
    /// Rules on `question`, asked at `now` about a client of whom `facts` are known.
    #[must_use]
    pub fn rule(&self, question: &Question<'_>, facts: &Facts, now: Instant) -> Ruling {
        let outcome = match question {
            Question::Connect => Ok(()),
            Question::Mail { mail, .. } => {
                self.sending.mail(&facts.account, mail.sender.address(), now)
            }
            Question::Rcpt { login: Some(_), .. } => self.sending.recipient(&facts.account, now),
            Question::Rcpt { login: None, .. } => unlisted(facts)
                .and_then(|()| self.relaying(facts))
                .and_then(|()| self.sending.recipient(&facts.account, now)),
        };
        outcome.err().map_or(Ruling::Pass, Ruling::Refuse)
    }

    /// Nobody has logged in, so mail goes to our own domains or nowhere.
    fn relaying(&self, _facts: &Facts) -> Result<(), Reply> {
        Err(Reply::new(550, "5.7.1", "Relaying denied"))
    }
}

/// Refuses a client that is on a block list, in sendmail's words.
fn unlisted(facts: &Facts) -> Result<(), Reply> {
    let Some(zone) = facts.listings.first() else { return Ok(()) };
    let text = format!("Rejected: {} listed at {zone}", facts.address);
    Err(Reply::new(550, "5.7.1", text))
}
