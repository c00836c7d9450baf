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
#[derive(Debug, Clone, Default)]
pub struct Desk {}

impl Desk {
    /// Rules on `question` about a client of whom `facts` are known.
    #[must_use]
    pub fn rule(&self, question: &Question<'_>, facts: &Facts) -> Ruling {
        match question {
            Question::Rcpt { login: None, .. } => self.relaying(facts),
            _ => Ruling::Pass,
        }
    }

    /// Nobody has logged in, so mail goes to our own domains or nowhere.
    fn relaying(&self, _facts: &Facts) -> Ruling {
        Ruling::Refuse(Reply::new(550, "5.7.1", "Relaying denied"))
    }
}
