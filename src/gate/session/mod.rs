//! The SMTP session as a state machine without I/O: an event in, a turn out.
//!
//! The driver feeds what happened (a line from the client, the end of a
//! handshake, a verdict, a reply of the backend) and gets a [`Turn`]: at most
//! one reply for the client, and what to do next.
//!
//! ```text
//!            EHLO        STARTTLS, EHLO, AUTH            MAIL
//! (connect) ------> Ready ---------------> Ready+user --------> MailPending
//!                     ^                                             | a backend connection
//!                     |  250/4xx/5xx of the backend                 v
//!                   Content <--- DataPending <--- DATA ----------- Open (RCPT ...)
//! ```
//!
//! MAIL, RCPT and DATA go to the backend as they come, and their replies come
//! back in the same order: what a client pipelines may be pipelined on, as far
//! as [`Session::takes_ahead`] allows. The session keeps which replies are still
//! owed by the backend; the driver keeps replies of ours behind them in order.
//!
//! RFC 5321 (commands, order), 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE).
//! Called by `gate::driver`; names no clock, no socket, no log.

mod authenticate;
mod commands;
mod permit;
mod transaction;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::auth::{Authenticated, Response, Verdict};
use crate::base::ReasonCode;
use crate::gate::desk::{Question, Ruling};
use crate::gate::settings::{Limits, ListenerKind, TlsMode};
use crate::wire::smtp::command::ClientName;
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::line::Line;
use crate::wire::smtp::reply::Reply;

pub use permit::Permit;
use transaction::Transaction;
pub use transaction::{ContentOutcome, Ended, Outcome};

/// What a session goes by; one for all sessions of a listener.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Name in the greeting and in EHLO replies.
    pub hostname: String,
    /// What the greeting says behind it.
    pub banner: String,
    /// Mechanisms offered once TLS is on, strongest first, upper case.
    pub mechanisms: Vec<String>,
    /// What this listener is for.
    pub kind: ListenerKind,
    /// Bounds.
    pub limits: Limits,
}

/// Whom a session asks while it decides; answers come at once, from memory.
pub trait Counsel {
    /// What gate and backend can do between them now.
    fn offer(&self) -> Arc<Capabilities>;

    /// What policy says of the next step.
    fn rule(&self, question: &Question<'_>) -> Ruling;
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
    /// An administrator ends the session. What was being done is not completed.
    Kicked,
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
    /// An AUTH command ended without a verdict: the driver records it.
    pub broken: Option<BrokenExchange>,
}

/// An AUTH command that its client gave up or spoilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenExchange {
    /// Upper case.
    pub mechanism: String,
    /// `Cancelled` or `Malformed`.
    pub code: ReasonCode,
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
    /// Send this command line (with CRLF) and bring its reply as
    /// [`Event::Replied`], behind the replies to what was asked before. Lines
    /// that [`Session::takes_ahead`] lets pass may be brought meanwhile.
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
    /// The dot of a message that has no recipient, which ends it.
    Nothing,
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
    /// Policy does not let this client in.
    Unwelcome,
    /// An administrator ended it.
    Kicked,
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
    /// Whatever it sends is thrown away.
    discards: bool,
    state: State,
    /// What the backend has not answered yet, in order.
    in_flight: VecDeque<InFlight>,
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
    /// The next line belongs to the exchange of this mechanism.
    Challenged(String),
    /// The exchange of this mechanism is at the authenticator.
    AuthPending(String),
    /// MAIL waits for the backend connection.
    MailPending(Box<Transaction>),
    /// MAIL was sent on.
    Open(Box<Transaction>),
    /// DATA is at the backend.
    DataPending(Box<Transaction>),
    /// Content is streamed.
    Content(Box<Transaction>),
    /// The transaction is over, and the client may not know yet: what it pipelined
    /// behind the failure up to DATA is answered, and is no error of its own.
    Over(Aftermath),
}

/// A command whose reply the backend owes.
enum InFlight {
    Mail,
    /// RCPT of this address.
    Rcpt(String),
    Data,
    /// The dot behind a DATA that should not have been accepted.
    Nothing,
}

/// Commands that may wait for their replies at once.
const MAX_IN_FLIGHT: usize = 64;

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
        let channel = match rules.kind.tls() {
            TlsMode::Starttls => Channel::Clear,
            TlsMode::Implicit => Channel::Encrypted,
        };
        Self {
            rules,
            channel,
            greeted: None,
            offered: Capabilities::default(),
            user: None,
            discards: false,
            state: State::Ready,
            in_flight: VecDeque::new(),
            errors: 0,
            auth_failures: 0,
            commands: 0,
        }
    }

    /// Takes an event, and asks `counsel` where it must.
    pub fn handle(&mut self, event: Event, counsel: &dyn Counsel) -> Turn {
        match event {
            Event::Connected => self.on_connected(counsel),
            Event::Line(line) => self.on_line(line, counsel),
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
            Event::Kicked => {
                self.on_cut_off("session ended by the administrator", Some(Notice::Kicked))
            }
            Event::Stopping => self.on_cut_off("service is stopping, try again later", None),
        }
    }

    /// True if `line` (without its CRLF) may be brought while replies of the
    /// backend are outstanding: RCPT and DATA, where the backend knows
    /// pipelining (RFC 2920), up to a number.
    #[must_use]
    pub fn takes_ahead(&self, line: &[u8]) -> bool {
        let State::Open(transaction) = &self.state else { return false };
        let is_part =
            commands::starts_with_verb(line, b"RCPT ") || line.eq_ignore_ascii_case(b"DATA");
        let is_room_left = self.in_flight.len() < MAX_IN_FLIGHT
            && transaction.recipients_with(&self.in_flight) < self.rules.limits.recipients;
        is_part && transaction.can_pipeline() && is_room_left
    }

    /// True if the next line is a response within AUTH, and not a command.
    #[must_use]
    pub fn awaits_response(&self) -> bool {
        matches!(self.state, State::Challenged(_))
    }

    /// Who is logged in.
    #[must_use]
    pub fn user(&self) -> Option<&Authenticated> {
        self.user.as_ref()
    }

    /// The bounds of this session.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.rules.limits
    }

    /// What the listener is called, for the trace header.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.rules.hostname
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

    /// True if the message whose content comes is thrown away. Its client hears nothing of that.
    #[must_use]
    pub fn discards_message(&self) -> bool {
        self.message().is_some_and(Transaction::is_discarded)
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
            State::Ready | State::Challenged(_) | State::AuthPending(_) | State::Over(_)
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

    fn on_connected(&mut self, counsel: &dyn Counsel) -> Turn {
        match counsel.rule(&Question::Connect) {
            ruling @ (Ruling::Pass | Ruling::Discard) => {
                self.discards = ruling == Ruling::Discard;
                let Rules { hostname, banner, .. } = &*self.rules;
                Turn::reply(Reply::new(220, "", format!("{hostname} ESMTP {banner}")))
            }
            Ruling::Refuse(reply) => self.close(reply, Some(Notice::Unwelcome)),
        }
    }

    fn on_cut_off(&mut self, why: &'static str, notice: Option<Notice>) -> Turn {
        let reply = Reply::new(421, "4.3.2", why);
        let ended =
            self.take_transaction().map(|open| open.end(Some(reply.clone()), Outcome::TempFail));
        self.close(reply, notice).with_ended(ended)
    }

    fn close(&mut self, reply: Reply, notice: Option<Notice>) -> Turn {
        let ended = self.abandon();
        Turn { reply: Some(reply), ended, notice, ..Turn::next(Next::Close) }
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
            | State::DataPending(transaction)
            | State::Content(transaction) => Some(transaction),
            State::Ready | State::Challenged(_) | State::AuthPending(_) | State::Over(_) => None,
        }
    }
}

impl Turn {
    fn reply(reply: Reply) -> Self {
        Self { reply: Some(reply), ..Self::next(Next::Read) }
    }

    fn next(next: Next) -> Self {
        Self { reply: None, next, ended: None, notice: None, broken: None }
    }

    fn with_ended(mut self, ended: Option<Box<Ended>>) -> Self {
        self.ended = ended;
        self
    }
}

#[cfg(test)]
mod tests;
