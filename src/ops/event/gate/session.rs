//! What happened to a session outside of AUTH and messages.
//!
//! TLS in sendmail's words, refusals in ours. Beginning and end of a session
//! are at debug: anybody can cause them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::text::{Client, TlsFacts, Value};
use crate::base::Printable;
use crate::ops::log::json::{Json, Members, Object};
use crate::ops::metrics::gate::GATE;

/// Records that TLS is on with a client.
pub fn tls_started(client: &Client<'_>, tls: &TlsFacts<'_>) {
    GATE.handshake(tls.version);
    tell!(info, &TlsStarted { with: Party::Client(client), tls });
}

/// Notes that TLS is on with the backend at `address`, at debug.
pub fn tls_backend(address: &str, tls: &TlsFacts<'_>) {
    let event = &TlsStarted { with: Party::Backend(address), tls };
    tracing::debug!(json = %Json(event), "{event}");
}

pub(super) struct TlsStarted<'a> {
    pub(super) with: Party<'a>,
    pub(super) tls: &'a TlsFacts<'a>,
}

/// Who is at the other end.
pub(super) enum Party<'a> {
    Client(&'a Client<'a>),
    /// At this address.
    Backend(&'a str),
}

impl fmt::Display for TlsStarted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.with {
            Party::Client(client) => write!(f, "{}STARTTLS=server, relay={client}", client.head())?,
            Party::Backend(address) => write!(f, "STARTTLS=client, relay={}", Value(address))?,
        }
        let TlsFacts { version, verify, cipher, bits } = self.tls;
        write!(f, ", version={version}, verify={verify}, cipher={cipher}, bits={bits}/{bits}")
    }
}

impl Members for TlsStarted<'_> {
    const EVENT: &'static str = "tls";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        match self.with {
            Party::Client(client) => client.members(to)?,
            Party::Backend(address) => to.text("backend", address)?,
        }
        self.tls.members(to)
    }
}

/// A certificate that a client has shown.
#[derive(Debug, Clone, Copy)]
pub struct PresentedCertificate<'a> {
    /// Who showed it.
    pub client: Client<'a>,
    /// Its subject, in sendmail's form.
    pub subject: &'a str,
    /// Its issuer, in sendmail's form.
    pub issuer: &'a str,
    /// Why it was not verified; `None` if it was.
    pub problem: Option<&'a str>,
    /// SHA-256 of it, in pairs of hexadecimal digits.
    pub fingerprint: &'a str,
}

/// Records whose certificate a client has shown, as sendmail does from LogLevel 12 on;
/// where none was shown there is nothing to tell.
pub fn tls_certificate(event: &PresentedCertificate<'_>) {
    tell!(info, event);
}

impl Members for PresentedCertificate<'_> {
    const EVENT: &'static str = "client-certificate";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("subject", self.subject)?;
        to.text("issuer", self.issuer)?;
        to.text("verify", self.problem.unwrap_or("ok"))?;
        to.text("fingerprint", self.fingerprint)
    }
}

impl fmt::Display for PresentedCertificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, issuer) = (Value(self.subject), Value(self.issuer));
        let message = Printable::from(self.problem.unwrap_or("ok"));
        let head = self.client.head();
        write!(f, "{head}STARTTLS=server, cert-subject={subject}, cert-issuer={issuer}, ")?;
        write!(f, "verifymsg={message}, relay={}, fingerprint={}", self.client, self.fingerprint)
    }
}

/// A handshake with a client that failed.
#[derive(Debug, Clone, Copy)]
pub struct TlsFailure<'a> {
    /// Who tried.
    pub client: Client<'a>,
    /// Why it failed, one line.
    pub reason: &'a str,
}

/// Records a failed handshake, in sendmail's form.
pub fn tls_failed(event: &TlsFailure<'_>) {
    GATE.handshake("failed");
    tell!(info, event);
}

impl Members for TlsFailure<'_> {
    const EVENT: &'static str = "tls-failure";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("reason", self.reason)
    }
}

impl fmt::Display for TlsFailure<'_> {
    /// The numbers are constants: sendmail has OpenSSL's there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, reason) = (self.client.head(), Printable::from(self.reason));
        write!(f, "{head}STARTTLS=server, error: accept failed=-1, reason={reason}, ")?;
        write!(f, "SSL_error=1, errno=0, retry=-1, relay={}", self.client)
    }
}

/// Why a session was refused or cut off by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// All session places are taken.
    TooManySessions,
    /// The address (or its /64) has its share of sessions.
    TooManySessionsFromAddress,
    /// More commands than a session may have.
    TooManyCommands,
    /// More commands in error than a session may have.
    TooManyErrors,
    /// More failed AUTH commands than a session may have.
    TooManyAuthFailures,
    /// An HTTP request: a browser was led here.
    HttpVerb,
    /// Text behind STARTTLS in the same packet (CVE-2011-0411).
    DataBehindStarttls,
    /// BDAT although CHUNKING is not offered: what follows is content, not commands.
    BdatNotOffered,
    /// Nothing was heard for too long.
    Timeout,
    /// Policy does not let this client in.
    Unwelcome,
    /// An administrator ended it (`saslgate kick`).
    Kicked,
    /// A proxy connected, and sent no header that could be read.
    BadProxyHeader,
}

impl Rejection {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::TooManySessions => "too-many-sessions",
            Self::TooManySessionsFromAddress => "too-many-sessions-from-address",
            Self::TooManyCommands => "too-many-commands",
            Self::TooManyErrors => "too-many-errors",
            Self::TooManyAuthFailures => "too-many-auth-failures",
            Self::HttpVerb => "http-verb",
            Self::DataBehindStarttls => "data-behind-starttls",
            Self::BdatNotOffered => "bdat-not-offered",
            Self::Timeout => "timeout",
            Self::Unwelcome => "unwelcome",
            Self::Kicked => "kicked",
            Self::BadProxyHeader => "bad-proxy-header",
        }
    }
}

/// Records that we refused a session or cut it off, with the reply the client got.
pub fn rejected(client: &Client<'_>, why: Rejection, reply: &str) {
    GATE.rejected(why.as_str());
    tell!(info, &Rejected { client, why, reply });
}

struct Rejected<'a> {
    client: &'a Client<'a>,
    why: Rejection,
    reply: &'a str,
}

impl fmt::Display for Rejected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, why, reply } = self;
        let (head, why, reply) = (client.head(), why.as_str(), Printable::from(*reply));
        write!(f, "{head}rejected: relay={client}, reason={why}, reply=\"{reply}\"")
    }
}

impl Members for Rejected<'_> {
    const EVENT: &'static str = "rejected";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("reason", self.why.as_str())?;
        to.text("reply", self.reply)
    }
}

/// A session that is over.
#[derive(Debug, Clone, Copy)]
pub struct SessionEvent<'a> {
    /// Who it was.
    pub client: Client<'a>,
    /// From accept to close.
    pub duration: Duration,
    /// Commands read.
    pub commands: u32,
    /// Messages accepted by the backend.
    pub messages: u32,
    /// Why it ended, for instance `quit` or `closed by the client`.
    pub end: &'a str,
}

/// Counts a new session, and notes it at debug.
pub fn connected(client: &Client<'_>, listener: SocketAddr) {
    GATE.sessions.one();
    let event = &Connected { client, listener };
    tracing::debug!(json = %Json(event), "{event}");
}

struct Connected<'a> {
    client: &'a Client<'a>,
    listener: SocketAddr,
}

impl fmt::Display for Connected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, listener } = self;
        write!(f, "{}connect from {client} to {listener}", client.head())
    }
}

impl Members for Connected<'_> {
    const EVENT: &'static str = "connect";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.shown("listener", self.listener)
    }
}

/// Notes the end of a session, at debug.
pub fn disconnected(event: &SessionEvent<'_>) {
    tracing::debug!(json = %Json(event), "{event}");
}

impl fmt::Display for SessionEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, duration, commands, messages, end } = self;
        write!(f, "{}disconnect: relay={client}, ms={}, ", client.head(), duration.as_millis())?;
        write!(f, "commands={commands}, messages={messages}, end={}", Printable::from(*end))
    }
}

impl Members for SessionEvent<'_> {
    const EVENT: &'static str = "disconnect";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.number("ms", u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX))?;
        to.number("commands", self.commands)?;
        to.number("messages", self.messages)?;
        to.text("end", self.end)
    }
}
