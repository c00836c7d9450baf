//! Why somebody was refused or could not be checked: codes for machines, a detail for people.
//!
//! Whether a code is a refusal or an outage is said by the verdict that carries
//! it (`auth::Verdict`), not by the code.

use std::borrow::Cow;
use std::fmt;

/// The code of a refusal or an outage. The text of each ([`ReasonCode::as_str`])
/// is part of the log format and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasonCode {
    /// Wrong password or unknown user: the two are never told apart outside.
    BadCredentials,
    /// The account exists and is locked.
    AccountLocked,
    /// The account has expired (`PAM_ACCT_EXPIRED`).
    AccountExpired,
    /// The password must be changed first (`PAM_NEW_AUTHTOK_REQD`).
    PasswordExpired,
    /// The account may not use this service now (`PAM_PERM_DENIED`).
    AccessDenied,
    /// The service name is not on the allow-list.
    ServiceNotAllowed,
    /// Too many failed logins: nobody was asked.
    Throttled,
    /// The local process may not ask at this socket (`allowed_users`).
    PeerNotAllowed,
    /// A handover token that is spent, over, somebody else's, or out of place.
    TokenRefused,
    /// No login name was sent.
    EmptyLogin,
    /// No password was sent.
    EmptyPassword,
    /// Bytes that are no request: too long, cut short, NUL, control characters.
    Malformed,
    /// The client asked to act as somebody else (authzid).
    NotAuthorized,
    /// The mechanism is not offered.
    NoMechanism,
    /// The client gave up the exchange.
    Cancelled,
    /// A backend did not answer in time.
    Timeout,
    /// A queue or pool is full.
    Busy,
    /// A backend is not there or broke off.
    BackendDown,
    /// A file or database is damaged, unreadable or unsafe.
    Damaged,
    /// The service is stopping.
    Stopping,
}

impl ReasonCode {
    /// The code as logs carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadCredentials => "bad-credentials",
            Self::AccountLocked => "account-locked",
            Self::AccountExpired => "account-expired",
            Self::PasswordExpired => "password-expired",
            Self::AccessDenied => "access-denied",
            Self::ServiceNotAllowed => "service-not-allowed",
            Self::Throttled => "throttled",
            Self::PeerNotAllowed => "peer-not-allowed",
            Self::TokenRefused => "token-refused",
            Self::EmptyLogin => "empty-login",
            Self::EmptyPassword => "empty-password",
            Self::Malformed => "malformed",
            Self::NotAuthorized => "not-authorized",
            Self::NoMechanism => "no-mechanism",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::BackendDown => "backend-down",
            Self::Damaged => "damaged",
            Self::Stopping => "stopping",
        }
    }
}

/// A code, and a detail for the administrator. The detail goes to the log only,
/// never to the network, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What kind of refusal or outage.
    pub code: ReasonCode,
    /// What happened and what to do; empty where the code says it all.
    pub detail: Cow<'static, str>,
}

impl Reason {
    /// A reason with a detail for the log.
    pub fn new(code: ReasonCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<ReasonCode> for Reason {
    fn from(code: ReasonCode) -> Self {
        Self { code, detail: Cow::Borrowed("") }
    }
}

impl fmt::Display for Reason {
    /// `code` or `code: detail`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}
