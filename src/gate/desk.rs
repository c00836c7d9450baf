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
//! say no; but for one: a client that has not logged in relays only where the
//! access map, or a class beside it, lets it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::access::{Access, Login, Ruled};
use super::names::ClientName;
use super::sending::{Account, Sending};
use super::settings::ListenerKind;
use crate::base::Identity;
use crate::policy::access::Client;
use crate::policy::access::arrivals::Count;
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
    /// Both, as the access map sees them.
    pub client: Client,
    /// Connections of its address, where the map limits any.
    pub count: Option<Count>,
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
    /// Go on, and throw away what comes of it: the message, at the greeting every
    /// one. The client hears nothing of that.
    Discard,
}

/// What the desk goes by; shared by all sessions, replaced at a reload.
#[derive(Clone)]
pub struct Desk {
    /// Who may connect, send and relay.
    pub access: Arc<Access>,
    /// Who sends as whom, and how much.
    pub sending: Arc<Sending>,
}

impl Desk {
    /// Rules on `question`, asked at `now` about a client of whom `facts` are known.
    #[must_use]
    pub fn rule(&self, question: &Question<'_>, facts: &Facts, now: Instant) -> Ruled {
        let of = |login: &Option<&Identity>| match login {
            Some(_) => Login::Done,
            None => Login::None,
        };
        match question {
            Question::Connect => self.access.connect(facts),
            Question::Mail { mail, login } => {
                let sender = mail.sender.address();
                let ruled = self.access.mail(facts, sender, of(login));
                unless_refused(ruled, || self.sending.mail(&facts.account, sender, now))
            }
            Question::Rcpt { login, sender, recipient } => {
                let ruled = self.access.recipient(facts, (sender, recipient), of(login));
                unless_refused(ruled, || {
                    if login.is_none() && !self.access.spares_lists(facts) {
                        unlisted(facts)?;
                    }
                    self.sending.recipient(&facts.account, now)
                })
            }
        }
    }
}

/// Lets others have a say where the access map has none.
fn unless_refused(ruled: Ruled, others: impl FnOnce() -> Result<(), Reply>) -> Ruled {
    match ruled.ruling {
        Ruling::Refuse(_) => ruled,
        Ruling::Pass | Ruling::Discard => match others() {
            Ok(()) => ruled,
            Err(reply) => Ruling::Refuse(reply).into(),
        },
    }
}

/// Refuses a client that is on a block list, in sendmail's words.
fn unlisted(facts: &Facts) -> Result<(), Reply> {
    let Some(zone) = facts.listings.first() else { return Ok(()) };
    let text = format!("Rejected: {} listed at {zone}", facts.address);
    Err(Reply::new(550, "5.7.1", text))
}
