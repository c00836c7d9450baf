//! Settings of the gate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::control::ControlSettings;
use super::names::NameSettings;
use super::sending::SendingSettings;
use super::transcript::TranscriptSettings;

/// The gate: where it listens, whom it asks, where mail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name in the greeting, EHLO and Received lines; the host's FQDN unless set.
    pub hostname: String,
    /// At least one.
    pub listeners: Vec<ListenerSettings>,
    /// Where mail goes; at least one.
    pub backends: Vec<BackendSettings>,
    /// Who checks passwords.
    pub auth: AuthSource,
    /// Mechanisms offered, of those the source can serve; upper case.
    pub mechanisms: Vec<String>,
    /// What to do with CR, LF and NUL that stand alone in message content.
    pub bare_newlines: BareNewlines,
    /// Whose sessions are written down.
    pub transcript: TranscriptSettings,
    /// Who may ask who is here.
    pub control: ControlSettings,
    /// Bounds on what a client may do.
    pub limits: Limits,
    /// How long is waited for what.
    pub timeouts: Timeouts,
    /// Who may send what, and how much.
    pub sending: SendingSettings,
    /// What the DNS is asked about clients of `mta` listeners.
    pub names: NameSettings,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Address and port.
    pub address: SocketAddr,
    /// What it is for.
    pub kind: ListenerKind,
    /// Its own name, where it is not [`Settings::hostname`].
    pub hostname: Option<String>,
    /// What stands behind the name in its greeting, where it is not the usual.
    pub banner: Option<String>,
    /// Its own mechanisms, where they are not [`Settings::mechanisms`].
    pub mechanisms: Option<Vec<String>>,
    /// What the service manager calls its socket (`FileDescriptorName=`), where that
    /// cannot be told from the address.
    pub socket: Option<String>,
    /// Proxies: who connects from here sends a PROXY header first, and is believed;
    /// nobody else is.
    pub proxy_from: Vec<IpNet>,
    /// File that its sessions are written down in.
    pub transcript: Option<PathBuf>,
    /// Its own bounds.
    pub limits: OwnLimits,
}

/// Bounds of one listener, where they are not those of [`Limits`]. Every one is at least 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnLimits {
    /// As [`Limits::message_bytes`].
    pub message_bytes: Option<u64>,
    /// As [`Limits::recipients`].
    pub recipients: Option<usize>,
    /// As [`Limits::errors`].
    pub errors: Option<u32>,
    /// As [`Limits::auth_failures`].
    pub auth_failures: Option<u32>,
    /// As [`Limits::commands`].
    pub commands: Option<u32>,
    /// As [`Limits::sessions`]: a listener with its own counts them for itself.
    pub sessions: Option<usize>,
    /// As [`Limits::sessions_per_address`], counted as `sessions`.
    pub sessions_per_address: Option<usize>,
}

impl OwnLimits {
    /// What holds on this listener, `common` being what holds where it has none of its own.
    #[must_use]
    pub fn over(&self, common: &Limits) -> Limits {
        Limits {
            message_bytes: self.message_bytes.unwrap_or(common.message_bytes),
            recipients: self.recipients.unwrap_or(common.recipients),
            line_bytes: common.line_bytes,
            errors: self.errors.unwrap_or(common.errors),
            auth_failures: self.auth_failures.unwrap_or(common.auth_failures),
            commands: self.commands.unwrap_or(common.commands),
            sessions: self.sessions.unwrap_or(common.sessions),
            sessions_per_address: self.sessions_per_address.unwrap_or(common.sessions_per_address),
        }
    }

    /// True if sessions here are counted apart from those of the other listeners.
    #[must_use]
    pub fn counts_apart(&self) -> bool {
        self.sessions.is_some() || self.sessions_per_address.is_some()
    }
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerKind {
    /// Mail from users: STARTTLS, then AUTH, both required (587; RFC 6409).
    Submission,
    /// The same, inside TLS from the first byte (465; RFC 8314).
    Submissions,
    /// Mail from other servers: anybody may deliver to local domains, and
    /// relaying needs AUTH or a rule (25; RFC 5321).
    Mta,
}

impl ListenerKind {
    /// The word in configuration and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Mta => "mta",
        }
    }

    /// How TLS starts.
    #[must_use]
    pub fn tls(self) -> TlsMode {
        match self {
            Self::Submission | Self::Mta => TlsMode::Starttls,
            Self::Submissions => TlsMode::Implicit,
        }
    }
}

/// How TLS starts on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// In clear, then STARTTLS (587; RFC 3207).
    Starttls,
    /// At once (465; RFC 8314).
    Implicit,
}

/// The MTA behind the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSettings {
    /// What logs call it; its address unless set.
    pub name: String,
    /// `host:port`, `address:port` or `[v6]:port`.
    pub address: String,
    /// Whether and how the connection is encrypted.
    pub tls: BackendTls,
    /// PEM file of the authorities trusted for the backend; `None` is the host's trust store.
    pub ca_file: Option<PathBuf>,
    /// Name the backend's certificate must carry; `None` is the host of `address`.
    pub server_name: Option<String>,
    /// Time between health probes.
    pub probe_interval: Duration,
    /// Which connections to it are kept between sessions.
    pub pool: PoolSettings,
    /// How it learns who the client is.
    pub identity: IdentityWay,
    /// Who the gate itself is towards it, for [`IdentityWay::Login`].
    pub account: Option<ServiceAccount>,
}

/// How a backend learns whose mail the gate brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityWay {
    /// XCLIENT where it is offered, else handover where authd gave a token and AUTH
    /// PLAIN is offered, else nothing.
    Auto,
    /// AUTH PLAIN as the user, with a one-time token of our authd.
    Handover,
    /// AUTH= at MAIL, for the rules in `packaging/sendmail/gate.m4`.
    Rules,
    /// XCLIENT, or no delivery.
    Xclient,
    /// A PROXY header of version 2.
    Proxy,
    /// A PROXY header of version 1.
    ProxyV1,
    /// AUTH PLAIN as the gate itself.
    Login,
    /// Nothing but our Received line.
    None,
}

/// A service account at a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its name.
    pub user: String,
    /// The file with its password.
    pub password_file: PathBuf,
}

/// Which connections to a backend outlive the session that opened them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Most that wait for a session; 0 keeps none.
    pub idle: usize,
    /// For how long one waits before it is closed.
    pub idle_time: Duration,
    /// Messages that one carries at most.
    pub messages: u32,
    /// Age at which one is closed when it comes free.
    pub age: Duration,
}

/// Encryption towards the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendTls {
    /// Plain, for loopback.
    None,
    /// STARTTLS with a verified certificate, or no delivery.
    Starttls,
}

/// Who checks passwords for the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthSource {
    /// A saslauthd socket, ours or Cyrus's: PLAIN and LOGIN.
    Saslauthd(PathBuf),
}

/// What happens to CR, LF and NUL that stand alone in message content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareNewlines {
    /// The message is refused with 554.
    Reject,
    /// LF becomes CRLF, CR becomes a space, NUL is dropped.
    Normalize,
}

/// Bounds on what a client may do. Every one is at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Content of one message in bytes.
    pub message_bytes: u64,
    /// Recipients of one message (RFC 5321 §4.5.3.1.8: at least 100).
    pub recipients: usize,
    /// Length of a command line with its CRLF (RFC 5321 §4.5.3.1.4: at least 512).
    pub line_bytes: usize,
    /// Commands that the gate itself answers with 5xx before the session is
    /// closed; what the backend refuses is no error of this kind.
    pub errors: u32,
    /// Failed AUTH commands before the session is closed.
    pub auth_failures: u32,
    /// Commands in one session.
    pub commands: u32,
    /// Sessions at once.
    pub sessions: usize,
    /// Sessions at once from one address (a /64 for IPv6).
    pub sessions_per_address: usize,
}

/// How long is waited for what (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// For the client's next command, and for the client to read its replies.
    pub command: Duration,
    /// For the client's next piece of content.
    pub data_block: Duration,
    /// For a TLS handshake, with the client and with the backend.
    pub handshake: Duration,
    /// For one step of an authentication.
    pub auth: Duration,
    /// For a connection to the backend and its greeting.
    pub connect: Duration,
    /// For a reply of the backend to MAIL, RCPT or RSET.
    pub reply: Duration,
    /// For the backend's 354.
    pub data_init: Duration,
    /// For the backend's reply to the final dot.
    pub data_final: Duration,
    /// For a whole session, content included; a backend that is about to answer
    /// is still waited for.
    pub session: Duration,
}
