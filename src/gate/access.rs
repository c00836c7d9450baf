//! sendmail's access map at the desk: the facts of a session to its questions, decisions to rulings.
//!
//! What a line of the map refuses, discards or would quarantine comes with a
//! [`Note`] for the log, as sendmail writes it, and with the line. Two things are
//! not as sendmail does them: who is refused at the greeting hears that instead
//! of it, and is gone; and who holds more connections than `ClientConn:` allows,
//! or opens them faster than `ClientRate:`, always hears 421 (sendmail's `terminate`).
//!
//! Called by `desk`; calls `policy::access`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::desk::{Facts, Ruling};
use super::names::ClientName;
use crate::policy::access::arrivals::{Arrivals, Count, Counted};
use crate::policy::access::{Cause, Client, Decision, PtrState, Site, TlsFacts, Visit};
use crate::tls::Negotiated;
use crate::wire::smtp::reply::Reply;

/// What the desk knows of access.
#[derive(Debug)]
pub struct Access {
    site: Site,
    /// The map's path, for notes.
    map: Option<PathBuf>,
    arrivals: Arc<Arrivals>,
}

/// A decision that is worth a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// sendmail's name of the question: `check_relay`, `check_mail`, `check_rcpt`.
    pub ruleset: &'static str,
    /// What was asked about.
    pub argument: String,
    /// `reject=550 5.7.1 ...`, `discard`, `quarantine`.
    pub outcome: String,
    /// `/etc/mail/access:12`; empty where no line decided.
    pub place: String,
}

/// A ruling, and what the log should hold of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// For the session.
    pub ruling: Ruling,
    /// For the log.
    pub note: Option<Note>,
}

impl From<Ruling> for Ruled {
    fn from(ruling: Ruling) -> Self {
        Self { ruling, note: None }
    }
}

impl Access {
    /// Access by `site`, whose map was read from `map`. What is known of clients
    /// goes over from `old`.
    #[must_use]
    pub fn new(site: Site, map: Option<PathBuf>, old: Option<&Self>) -> Self {
        let arrivals = match old {
            Some(old) => Arc::clone(&old.arrivals),
            None => Arrivals::new(Instant::now()),
        };
        Self { site, map, arrivals }
    }

    /// Counts a connection, where the map limits any.
    #[must_use]
    pub fn arrive(&self, address: IpAddr, now: Instant) -> Option<(Counted, Count)> {
        self.site.map.has_limits().then(|| self.arrivals.arrive(address, now))
    }

    pub(super) fn connect(&self, facts: &Facts) -> Ruled {
        let client = &facts.client;
        if let Some((reply, cause)) = facts.count.and_then(|count| self.excess(client, count)) {
            return self.refused("check_relay", facts.address.to_string(), reply, cause);
        }
        self.ruled("check_relay", "", self.site.at_connect(client), facts)
    }

    fn excess(&self, client: &Client, count: Count) -> Option<(Reply, Cause)> {
        let over = |limit: Option<(u32, Cause)>, count: u32, text: &str| {
            let (_, cause) = limit.filter(|(limit, _)| count > *limit)?;
            Some((Reply::new(421, "4.3.2", text), cause))
        };
        let rate = self.site.rate_limit(client, None);
        over(rate, count.a_minute, "Connection rate limit exceeded.").or_else(|| {
            let open = self.site.connection_limit(client, None);
            over(open, count.open, "Too many open connections.")
        })
    }

    pub(super) fn mail(&self, facts: &Facts, sender: &str, login: Login) -> Ruled {
        let decision = self.site.at_mail(&visit(facts, login), sender);
        self.ruled("check_mail", sender, decision, facts)
    }

    pub(super) fn recipient(
        &self,
        facts: &Facts,
        (sender, recipient): (&str, &str),
        login: Login,
    ) -> Ruled {
        let decision = self.site.at_rcpt(&visit(facts, login), sender, recipient);
        self.ruled("check_rcpt", recipient, decision, facts)
    }

    /// `Connect:` with OK or RELAY spares a client the DNS block lists.
    pub(super) fn spares_lists(&self, facts: &Facts) -> bool {
        matches!(self.site.connect(&facts.client, None), Decision::Accept(_))
    }

    fn ruled(
        &self,
        ruleset: &'static str,
        address: &str,
        decision: Decision,
        facts: &Facts,
    ) -> Ruled {
        let argument = || match ruleset {
            "check_relay" => facts.address.to_string(),
            _ => format!("<{address}>"),
        };
        match decision {
            Decision::Silent | Decision::Accept(_) => Ruling::Pass.into(),
            Decision::Refuse(refusal, cause) => {
                let text = match ruleset {
                    "check_relay" => refusal.text.to_string(),
                    _ => format!("<{address}>... {}", refusal.text),
                };
                let reply = Reply::new(refusal.code, &refusal.status, text);
                self.refused(ruleset, argument(), reply, cause)
            }
            Decision::Discard(cause) => Ruled {
                ruling: Ruling::Discard,
                note: Some(self.note(ruleset, argument(), "discard".to_owned(), cause)),
            },
            Decision::Quarantine(cause) => Ruled {
                ruling: Ruling::Pass,
                note: Some(self.note(ruleset, argument(), "quarantine".to_owned(), cause)),
            },
        }
    }

    fn refused(&self, ruleset: &'static str, argument: String, reply: Reply, by: Cause) -> Ruled {
        let note = self.note(ruleset, argument, format!("reject={}", reply.first_line()), by);
        Ruled { ruling: Ruling::Refuse(reply), note: Some(note) }
    }

    fn note(&self, ruleset: &'static str, argument: String, outcome: String, by: Cause) -> Note {
        let place = match (&self.map, by.line()) {
            (Some(map), Some(line)) => format!("{}:{line}", map.display()),
            _ => String::new(),
        };
        Note { ruleset, argument, outcome, place }
    }
}

/// Whether the client has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Done,
    None,
}

/// A client as the map sees it.
#[must_use]
pub fn client(address: IpAddr, name: &ClientName) -> Client {
    match name {
        ClientName::Verified(name) => Client::new(address, Some(name), PtrState::Verified),
        ClientName::Forged => Client::new(address, None, PtrState::Forged),
        ClientName::Unknown => Client::new(address, None, PtrState::Later),
        ClientName::None => Client::new(address, None, PtrState::NotAsked),
    }
}

fn visit(facts: &Facts, login: Login) -> Visit<'_> {
    Visit {
        client: &facts.client,
        tls: facts.tls.as_ref().map(tls_facts).unwrap_or_default(),
        is_authenticated: login == Login::Done,
    }
}

fn tls_facts(tls: &Negotiated) -> TlsFacts<'_> {
    let shown = tls.certificate.as_deref();
    TlsFacts {
        verify: tls.verify,
        bits: u32::from(tls.bits),
        issuer: shown.map_or("", |shown| &shown.issuer),
        subject: shown.map_or("", |shown| &shown.subject),
        common_name: shown.and_then(|shown| shown.common_name.as_deref()).unwrap_or(""),
    }
}
