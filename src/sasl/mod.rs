//! Server side of each SASL mechanism, as a state machine without I/O.
//!
//! ```text
//! response -> step -> Challenge     send it, come back with the response
//!                     Credentials   let somebody verify them
//!                     Failed        the client broke the mechanism
//! ```
//!
//! Bytes here are decoded: base64, `=` and `*` belong to the protocol that
//! carries the exchange ([`crate::wire::smtp::auth`]). Nothing here decides who
//! is let in. One decision is left to the caller on purpose: **an `authzid` that
//! is neither empty nor equal to `authcid` asks to act as somebody else, and is
//! to be refused** (535), since no backend here can grant that; sendmail takes
//! it and ignores it.

mod login;
mod plain;

pub use login::Login;
pub use plain::Plain;

use crate::base::{MAX_REALM_BYTES, MAX_USER_BYTES, ReasonCode, Secret, SecretError};

/// Longest authcid or authzid in bytes: `user@realm` at its longest.
pub const MAX_NAME_BYTES: usize = MAX_USER_BYTES + 1 + MAX_REALM_BYTES;

/// A mechanism that can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: user and password, asked for one by one.
    Login,
}

/// A running exchange of any mechanism.
pub enum Machine {
    /// Of PLAIN.
    Plain(Plain),
    /// Of LOGIN.
    Login(Login),
}

/// What one step of an exchange gives. After `Credentials` or `Failed` the
/// machine is done, and gives [`SaslError::Unexpected`] for ever.
pub enum Next {
    /// Send this (may be empty), and step with the response.
    Challenge(Vec<u8>),
    /// The client's claim, not yet verified by anybody.
    Credentials {
        /// Whom to act as; empty means `authcid`. Anything else is for the caller to refuse.
        authzid: String,
        /// Who it is, says the client. Never empty, at most [`MAX_NAME_BYTES`], no NUL.
        authcid: String,
        /// Its password; never empty.
        password: Secret,
    },
    /// The exchange is over without credentials.
    Failed(SaslError),
}

/// How a client broke a mechanism. Carries nothing of what it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Not two NULs in a PLAIN message, or a NUL in a LOGIN response.
    #[error("the response has not the form of the mechanism")]
    Malformed,
    /// A name that is not UTF-8.
    #[error("the user name is not UTF-8")]
    NotUtf8,
    /// A name beyond [`MAX_NAME_BYTES`] or a password beyond [`crate::base::MAX_SECRET_BYTES`].
    #[error("the user name or password is too long")]
    TooLong,
    /// No user name.
    #[error("the user name is empty")]
    EmptyName,
    /// No password.
    #[error("the password is empty")]
    EmptyPassword,
    /// A response where none is due, or none where one is.
    #[error("a response came where none was due, or none came where one was")]
    Unexpected,
}

impl SaslError {
    /// The code for the log.
    #[must_use]
    pub fn code(self) -> ReasonCode {
        match self {
            Self::EmptyName => ReasonCode::EmptyLogin,
            Self::EmptyPassword => ReasonCode::EmptyPassword,
            Self::Malformed | Self::NotUtf8 | Self::TooLong | Self::Unexpected => {
                ReasonCode::Malformed
            }
        }
    }
}

impl From<SecretError> for SaslError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Nul => Self::Malformed,
            SecretError::TooLong => Self::TooLong,
        }
    }
}

impl Mechanism {
    /// The mechanism of this name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::Login]
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// The registered name, upper case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// An exchange at its start.
    #[must_use]
    pub fn start(self) -> Machine {
        match self {
            Self::Plain => Machine::Plain(Plain::new()),
            Self::Login => Machine::Login(Login::new()),
        }
    }
}

impl Machine {
    /// Takes the client's response. `None` is right only in the first step: no
    /// initial response was sent. `Some` of nothing is an empty response. The
    /// caller wipes its bytes.
    pub fn step(&mut self, response: Option<&[u8]>) -> Next {
        match self {
            Self::Plain(plain) => plain.step(response),
            Self::Login(login) => login.step(response),
        }
    }
}

/// A name as a mechanism carries it; may be empty.
fn read_name(bytes: &[u8]) -> Result<String, SaslError> {
    if bytes.len() > MAX_NAME_BYTES {
        return Err(SaslError::TooLong);
    }
    if bytes.contains(&0) {
        return Err(SaslError::Malformed);
    }
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| SaslError::NotUtf8)
}

/// A password as a mechanism carries it. It is not judged beyond that: the
/// store or PAM knows it as bytes, and old clients send Latin-1.
fn read_password(bytes: &[u8]) -> Result<Secret, SaslError> {
    if bytes.is_empty() {
        return Err(SaslError::EmptyPassword);
    }
    Ok(Secret::copied_from(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_found_by_name_in_any_case() {
        assert_eq!(Mechanism::from_name("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::from_name("LoGiN"), Some(Mechanism::Login));
        assert_eq!(Mechanism::from_name("SCRAM-SHA-256"), None);
        assert_eq!(Mechanism::from_name(""), None);
        for mechanism in [Mechanism::Plain, Mechanism::Login] {
            assert_eq!(Mechanism::from_name(mechanism.name()), Some(mechanism));
        }
    }

    #[test]
    fn a_machine_runs_its_mechanism() {
        let challenge = |mechanism: Mechanism| match mechanism.start().step(None) {
            Next::Challenge(text) => text,
            _ => panic!("no challenge"),
        };
        assert_eq!(challenge(Mechanism::Plain), b"");
        assert_eq!(challenge(Mechanism::Login), b"Username:");
    }

    #[test]
    fn each_error_has_its_code_for_the_log() {
        assert_eq!(SaslError::EmptyName.code(), ReasonCode::EmptyLogin);
        assert_eq!(SaslError::EmptyPassword.code(), ReasonCode::EmptyPassword);
        assert_eq!(SaslError::TooLong.code(), ReasonCode::Malformed);
    }
}
