//! Why the directory could not be asked: for the log, in words for who has to mend it.

use std::io;

use crate::base::{Printable, ReasonCode};
use crate::sys::password_file::PasswordFileError;
use crate::tls::HandshakeError;
use crate::wire::ldap::{FilterError, Malformed, Outcome, ResultCode};

/// What went wrong with one server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("its name cannot be resolved: {0}")]
    Resolve(io::Error),
    #[error("cannot connect: {0}: is it running, and does a firewall let us through?")]
    Connect(io::Error),
    #[error("TLS: {0}{hint}", hint = tls_hint(.0))]
    Tls(#[from] HandshakeError),
    #[error("it refuses StartTLS with {}: use ldaps://, or set its TLS up", told(.0))]
    StartTls(Outcome),
    #[error("it sent data behind its answer to StartTLS: somebody sits in between")]
    Injected,
    #[error("it closed the connection without an answer")]
    Closed,
    #[error("it ended the connection with {}", told(.0))]
    Notice(Outcome),
    #[error("the connection broke: {0}")]
    Io(io::Error),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("it answered what was not asked")]
    Unexpected,
    #[error("it did not answer in time")]
    Timeout,
    #[error("it refuses our own login (bind_dn) with {}: check the name and its password", told(.0))]
    ServiceBind(Outcome),
    #[error("{0}")]
    Password(#[from] PasswordFileError),
    #[error("{what} ended with {}{hint}", told(outcome), hint = hint(outcome.code))]
    Refused { what: &'static str, outcome: Outcome },
    #[error(
        "the entry that was found has no name, and to bind as nobody always succeeds: check base and scope"
    )]
    NoName,
    #[error("the filter of this login is none: {0}")]
    Filter(#[from] FilterError),
    #[error("{0}")]
    Stored(String),
}

impl Trouble {
    /// True if the other side was gone before it could have answered.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Closed | Self::Notice(_) => true,
            Self::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::UnexpectedEof
            ),
            _ => false,
        }
    }

    /// True if another login would fare the same: the server is passed over for a while.
    pub(super) fn is_of_server(&self) -> bool {
        match self {
            Self::Refused { outcome, .. } => is_overloaded(outcome.code),
            Self::NoName | Self::Filter(_) | Self::Stored(_) => false,
            _ => true,
        }
    }

    pub(super) fn code(&self) -> ReasonCode {
        match self {
            Self::Timeout => ReasonCode::Timeout,
            Self::Refused { outcome, .. } if outcome.code == ResultCode::BUSY => ReasonCode::Busy,
            Self::Refused { outcome, .. } if outcome.code == ResultCode::TIME_LIMIT => {
                ReasonCode::Timeout
            }
            _ => ReasonCode::BackendDown,
        }
    }
}

/// True for what a server says of itself, not of the request.
pub(super) fn is_overloaded(code: ResultCode) -> bool {
    matches!(code, ResultCode::BUSY | ResultCode::UNAVAILABLE)
}

/// Code and text of a server, safe for a log line.
pub(super) fn told(outcome: &Outcome) -> String {
    if outcome.text.is_empty() {
        return outcome.code.to_string();
    }
    // Active Directory ends its texts with a NUL.
    let text = outcome.text.trim_end_matches('\0');
    format!("{}: {}", outcome.code, Printable::from(text))
}

fn hint(code: ResultCode) -> &'static str {
    match code {
        ResultCode::STRONGER_AUTH | ResultCode::CONFIDENTIALITY => {
            " (it wants TLS: use ldaps:// or StartTLS)"
        }
        ResultCode::REFERRAL => {
            " (it does not hold this base; referrals are not followed: name the server that does)"
        }
        ResultCode::ACCESS => " (bind_dn may not do this)",
        ResultCode(1) => " (Active Directory says this to searches without a bind_dn)",
        _ => "",
    }
}

fn tls_hint(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Certificate(_) => {
            "; the CA file must hold its authority, and the certificate the name of the server as \
             subjectAltName (a common name alone does not count)"
        }
        HandshakeError::Plaintext => "; ldaps:// is for the port with TLS, usually 636",
        _ => "",
    }
}
