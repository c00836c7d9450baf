//! The outcome of an AUTH command: sendmail's two lines.
//!
//! A success is `AUTH=server, ...`; everything else is `AUTH failure (...)`
//! with libsasl2's number and words for it, which the sendmail filter of
//! fail2ban matches. An outage has a number of its own (-1) there.

use std::fmt;

use super::text::{Client, Value, Xtext};
use crate::base::{Printable, Reason, ReasonCode};
use crate::ops::log::json::{Members, Object};
use crate::ops::metrics::gate::GATE;

/// One AUTH command that came to an end.
#[derive(Debug, Clone, Copy)]
pub struct AuthEvent<'a> {
    /// Who asked.
    pub client: Client<'a>,
    /// The mechanism, as the client spelled it.
    pub mechanism: &'a str,
    /// The user name claimed, or on acceptance the name authenticated; empty
    /// where the exchange ended before there was one.
    pub login: &'a str,
    /// What came of it.
    pub outcome: AuthOutcome<'a>,
}

/// What came of an AUTH command.
#[derive(Debug, Clone, Copy)]
pub enum AuthOutcome<'a> {
    /// 235.
    Accepted,
    /// A permanent refusal, 535 or 501.
    Rejected(&'a Reason),
    /// Nobody could be asked, 454.
    Unavailable(&'a Reason),
}

/// Records the outcome of an AUTH command.
pub fn auth(event: &AuthEvent<'_>) {
    GATE.authenticated(event.mechanism, event.outcome.as_str());
    tell!(info, event);
}

impl AuthOutcome<'_> {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl Members for AuthEvent<'_> {
    const EVENT: &'static str = "auth";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("login", self.login)?;
        to.text("mechanism", self.mechanism)?;
        to.text("outcome", self.outcome.as_str())?;
        let (AuthOutcome::Rejected(reason) | AuthOutcome::Unavailable(reason)) = self.outcome
        else {
            return Ok(());
        };
        to.text("code", reason.code.as_str())?;
        if reason.detail.is_empty() { Ok(()) } else { to.text("detail", &reason.detail) }
    }
}

impl fmt::Display for AuthEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, login, .. } = self;
        let mechanism = Value(self.mechanism);
        client.head().fmt(f)?;
        let (login, reason) = match self.outcome {
            AuthOutcome::Accepted => {
                let authid = Xtext(login);
                return write!(
                    f,
                    "AUTH=server, relay={client}, authid={authid}, mech={mechanism}, bits=0"
                );
            }
            AuthOutcome::Rejected(reason) => (Xtext(login), self.rejection(reason)),
            AuthOutcome::Unavailable(reason) => (
                Xtext(login),
                SaslError { code: -1, name: "generic failure", detail: reason.to_string() },
            ),
        };
        write!(f, "AUTH failure ({mechanism}): {reason}, user={login}, relay={client}")
    }
}

/// An error as libsasl2 words it, which is what stands in sendmail's line.
struct SaslError {
    /// Of sasl.h.
    code: i32,
    /// `sasl_errstring` of the code.
    name: &'static str,
    /// The words behind it.
    detail: String,
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, name, detail } = self;
        let detail = Printable::from(detail.as_str());
        write!(f, "{name} ({code}) SASL({code}): {name}: {detail}")
    }
}

impl AuthEvent<'_> {
    fn rejection(&self, reason: &Reason) -> SaslError {
        let (code, name) = match reason.code {
            ReasonCode::NoMechanism => (-4, "no mechanism available"),
            ReasonCode::Cancelled | ReasonCode::Malformed => (-5, "bad protocol / cancel"),
            ReasonCode::NotAuthorized => (-14, "authorization failure"),
            _ => (-13, "authentication failure"),
        };
        // The very words of libsasl2: the sendmail filter of fail2ban matches the first.
        let detail = match reason.code {
            ReasonCode::BadCredentials if self.mechanism.eq_ignore_ascii_case("LOGIN") => {
                "checkpass failed".to_owned()
            }
            ReasonCode::BadCredentials => "Password verification failed".to_owned(),
            _ => reason.to_string(),
        };
        SaslError { code, name, detail }
    }
}
