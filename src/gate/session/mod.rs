//! The SMTP session as a state machine without I/O: an event in, a turn out.
//!
//! The driver feeds what happened (a line from the client, the end of a
//! handshake, a verdict, a reply of the backend) and gets a [`Turn`]: at most
//! one reply for the client, and what to do next. A turn asks for one thing at
//! a time, so the backend never sees a command before it answered the last,
//! whatever the client pipelines.
//!
//! ```text
//!            EHLO        STARTTLS, EHLO, AUTH            MAIL
//! (connect) ------> Ready ---------------> Ready+user --------> MailPending
//!   ^                 ^                                             | 250 of the backend
//!   |                 |  250/4xx/5xx of the backend                 v
//!   |               Content <--- DataPending <--- DATA --- Open <-> RcptPending
//! ```
//!
//! RFC 5321 (commands, order), 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE).
//! Called by `gate::driver`; names no clock, no socket, no log.

mod authenticate;
mod commands;
mod transaction;

use std::sync::Arc;

use crate::auth::{Authenticated, Response, Verdict};
use crate::base::Reason;
use crate::gate::settings::{Limits, TlsMode};
use crate::wire::smtp::command::ClientName;
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::line::Line;
use crate::wire::smtp::reply::Reply;

use transaction::Transaction;
pub use transaction::{ContentOutcome, Ended, Outcome};

/// What a session goes by; one for all sessions of a listener.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Name in the greeting and in EHLO replies.
    pub hostname: String,
    /// Mechanisms offered once TLS is on, strongest first, upper case.
    pub mechanisms: Vec<String>,
    /// How TLS starts on this listener.
    pub tls: TlsMode,
    /// Bounds.
    pub limits: Limits,
}

/// What happened.
pub enum Event {
    /// The client is connected (and, on an implicit-TLS listener, encrypted).
    Connected,
    /// A line arrived: a command, or a response within AUTH.
    Line(Line),
    /// The handshake after STARTTLS succeeded.
    TlsStarted,
    /// The mechanism has a challenge for the client.
    Challenge(Vec<u8>),
    /// The exchange is over.
    Judged(Verdict),
    /// A backend connection is there, greeted, with these capabilities.
    RelayReady(Capabilities),
    /// There is no backend connection, or it is lost; the reply says so with 4xx.
    RelayFailed(Reply),
    /// The backend's reply to [`Next::Ask`].
    Replied(Reply),
    /// Content was read to its end, or not.
    ContentEnded(ContentOutcome),
    /// The client said nothing for too long.
    TimedOut,
    /// The service is stopping. What was being done is not completed.
    Stopping,
}

/// What to do about it: send the reply, if any, then the next thing.
pub struct Turn {
    /// For the client. The driver may hold it back while more input is buffered (RFC 2920 §3.2).
    pub reply: Option<Reply>,
    /// What comes next.
    pub next: Next,
    /// A transaction ended with this turn: the driver records it.
    pub ended: Option<Box<Ended>>,
    /// Something an operator wants to know: the driver records it.
    pub notice: Option<Notice>,
}

/// The next thing.
pub enum Next {
    /// Read a line and bring it as [`Event::Line`].
    Read,
    /// Handshake. The reply must be flushed first; input buffered behind
    /// STARTTLS is an attack (RFC 3207 §6) and ends the session.
    StartTls,
    /// Start `mechanism`, with the decoded initial response if one was sent.
    Authenticate {
        /// Upper case; one of [`Rules::mechanisms`].
        mechanism: String,
        /// `None`: the client sent none.
        initial: Option<Response>,
    },
    /// Hand this response to the running exchange.
    Respond(Response),
    /// Drop the running exchange, then read.
    CancelExchange,
    /// Make sure a backend connection without a transaction is there.
    OpenRelay,
    /// Send this command line (with CRLF) and bring the reply.
    Ask {
        /// The line.
        line: Vec<u8>,
        /// What it is, for the time to wait.
        command: Asked,
    },
    /// Flush, then stream content to the backend up to its end.
    StreamContent,
    /// Flush and close.
    Close,
}

/// A command at the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, waiting for 354.
    Data,
}

/// Why a session was cut or a command is worth a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An HTTP verb: somebody's browser, or a cross-protocol attack.
    HttpVerb,
    /// More 5xx replies than allowed.
    TooManyErrors,
    /// More commands than allowed.
    TooManyCommands,
    /// More failed AUTH commands than allowed.
    TooManyAuthFailures,
    /// BDAT although CHUNKING is not offered.
    Bdat,
    /// No command in time.
    Idle,
    /// Something stood behind STARTTLS in the same flight.
    Injection,
}

/// One client's session.
pub struct Session {
    rules: Arc<Rules>,
    channel: Channel,
    /// What the client called itself, since the last EHLO or HELO.
    greeted: Option<Greeted>,
    /// What was offered at the last EHLO; parameters outside it are refused.
    offered: Capabilities,
    user: Option<Authenticated>,
    state: State,
    errors: u32,
    auth_failures: u32,
    commands: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Clear,
    Encrypted,
}

struct Greeted {
    name: ClientName,
    verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Ehlo,
    Helo,
}

enum State {
    /// No transaction.
    Ready,
    /// The next line belongs to the exchange.
    Challenged,
    /// The exchange is at the authenticator.
    AuthPending,
    /// MAIL waits for the backend connection or the backend's reply.
    MailPending(Box<Transaction>),
    /// MAIL was accepted.
    Open(Box<Transaction>),
    /// RCPT is at the backend.
    RcptPending(Box<Transaction>, String),
    /// DATA is at the backend.
    DataPending(Box<Transaction>),
    /// Content is streamed.
    Content(Box<Transaction>),
    /// The transaction is over, and the client may not know yet: what it pipelined
    /// behind the failure up to DATA is answered, and is no error of its own.
    Over(Aftermath),
}

/// What a transaction leaves behind that ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aftermath {
    /// MAIL was refused: RCPT and DATA are out of order.
    Refused,
    /// The backend was lost: RCPT and DATA may work another time.
    Lost,
}

impl Session {
    /// A session of a client that has just connected.
    #[must_use]
    pub fn new(rules: Arc<Rules>) -> Self {
        let channel = match rules.tls {
            TlsMode::Starttls => Channel::Clear,
            TlsMode::Implicit => Channel::Encrypted,
        };
        Self {
            rules,
            channel,
            greeted: None,
            offered: Capabilities::default(),
            user: None,
            state: State::Ready,
            errors: 0,
            auth_failures: 0,
            commands: 0,
        }
    }

    /// Takes an event; `offer` is what gate and backend can do between them now.
    pub fn handle(&mut self, event: Event, offer: &Capabilities) -> Turn {
        match event {
            Event::Connected => {
                Turn::reply(Reply::new(220, "", format!("{} ESMTP saslgate", self.rules.hostname)))
            }
            Event::Line(line) => self.on_line(line, offer),
            Event::TlsStarted => self.on_tls_started(),
            Event::Challenge(challenge) => self.on_challenge(&challenge),
            Event::Judged(verdict) => self.on_judged(verdict),
            Event::RelayReady(capabilities) => self.on_relay_ready(&capabilities),
            Event::RelayFailed(reply) => self.on_relay_failed(reply),
            Event::Replied(reply) => self.on_replied(reply),
            Event::ContentEnded(outcome) => self.on_content_ended(outcome),
            Event::TimedOut => self.close(
                Reply::new(421, "4.4.2", "timeout waiting for a command, closing connection"),
                Some(Notice::Idle),
            ),
            Event::Stopping => self.on_stopping(),
        }
    }

    /// Who is logged in. Opening a backend connection asks for it.
    #[must_use]
    pub fn user(&self) -> Option<&Authenticated> {
        self.user.as_ref()
    }

    /// What the client called itself, for the trace header.
    #[must_use]
    pub fn client_name(&self) -> Option<&str> {
        self.greeted.as_ref().map(|greeted| greeted.name.as_str())
    }

    /// The recipient of the message whose content comes, if it has just one
    /// (more in a trace header would disclose blind copies).
    #[must_use]
    pub fn sole_recipient(&self) -> Option<&str> {
        self.message()?.sole_recipient()
    }

    /// True if the message whose content comes was declared SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn is_smtputf8(&self) -> bool {
        self.message().is_some_and(Transaction::is_smtputf8)
    }

    fn message(&self) -> Option<&Transaction> {
        match &self.state {
            State::DataPending(transaction) | State::Content(transaction) => Some(transaction),
            _ => None,
        }
    }

    /// True from an accepted MAIL command line until the transaction ends.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        !matches!(
            self.state,
            State::Ready | State::Challenged | State::AuthPending | State::Over(_)
        )
    }

    /// Ends whatever is open because the client is gone; `None` if nothing was.
    pub fn abandon(&mut self) -> Option<Box<Ended>> {
        self.take_transaction().map(|transaction| transaction.end(None, Outcome::Abandoned))
    }

    /// A client forgets, and is forgotten, with TLS: EHLO, AUTH and all (RFC 3207 §4.2).
    fn on_tls_started(&mut self) -> Turn {
        self.channel = Channel::Encrypted;
        self.greeted = None;
        self.offered = Capabilities::default();
        self.user = None;
        self.state = State::Ready;
        Turn::next(Next::Read)
    }

    fn on_stopping(&mut self) -> Turn {
        let reply = Reply::new(421, "4.3.2", "service is stopping, try again later");
        let ended =
            self.take_transaction().map(|open| open.end(Some(reply.clone()), Outcome::TempFail));
        self.close(reply, None).with_ended(ended)
    }

    fn close(&mut self, reply: Reply, notice: Option<Notice>) -> Turn {
        let ended = self.abandon();
        Turn { reply: Some(reply), next: Next::Close, ended, notice }
    }

    /// A reply that counts against the client's errors.
    fn refuse(&mut self, reply: Reply) -> Turn {
        self.errors += 1;
        if self.errors < self.rules.limits.errors {
            return Turn::reply(reply);
        }
        let farewell = Reply::new(421, "4.7.0", "too many errors, closing connection");
        self.close(farewell, Some(Notice::TooManyErrors))
    }

    fn take_transaction(&mut self) -> Option<Box<Transaction>> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::MailPending(transaction)
            | State::Open(transaction)
            | State::RcptPending(transaction, _)
            | State::DataPending(transaction)
            | State::Content(transaction) => Some(transaction),
            State::Ready | State::Challenged | State::AuthPending | State::Over(_) => None,
        }
    }
}

impl Turn {
    fn reply(reply: Reply) -> Self {
        Self { reply: Some(reply), next: Next::Read, ended: None, notice: None }
    }

    fn next(next: Next) -> Self {
        Self { reply: None, next, ended: None, notice: None }
    }

    fn with_ended(mut self, ended: Option<Box<Ended>>) -> Self {
        self.ended = ended;
        self
    }
}

/// The reply to a refusal or an outage of the authenticator (RFC 4954 §6).
fn unavailable_reply(_reason: &Reason) -> Reply {
    Reply::new(454, "4.7.0", "Temporary authentication failure")
}

#[cfg(test)]
mod tests;
