//! LOGIN (draft-murchison-sasl-login): user name and password, asked for one by one.
//!
//! ```text
//! Username:   ->   <- alice        an initial response is the user name
//! Password:   ->   <- s3cret
//! ```
//!
//! The challenges are those of sendmail with libsasl2 (facts), which clients
//! compare in base64. An empty initial response counts as none, as libsasl2 has it.

use super::{Next, SaslError, read_name, read_password};

const ASK_NAME: &[u8] = b"Username:";
const ASK_PASSWORD: &[u8] = b"Password:";

/// The server of LOGIN.
#[derive(Debug, Default)]
pub struct Login {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    NameAsked,
    PasswordAsked {
        name: String,
    },
    Done,
}

impl Login {
    /// An exchange at its start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the client's response; see [`super::Machine::step`].
    pub fn step(&mut self, response: Option<&[u8]>) -> Next {
        self.advance(response).unwrap_or_else(Next::Failed)
    }

    fn advance(&mut self, response: Option<&[u8]>) -> Result<Next, SaslError> {
        match (std::mem::replace(&mut self.state, State::Done), response) {
            (State::Start, None | Some(b"")) => {
                self.state = State::NameAsked;
                Ok(Next::Challenge(ASK_NAME.to_vec()))
            }
            (State::Start | State::NameAsked, Some(bytes)) => {
                let name = read_name(bytes)?;
                if name.is_empty() {
                    return Err(SaslError::EmptyName);
                }
                self.state = State::PasswordAsked { name };
                Ok(Next::Challenge(ASK_PASSWORD.to_vec()))
            }
            (State::PasswordAsked { name }, Some(bytes)) => Ok(Next::Credentials {
                authzid: String::new(),
                authcid: name,
                password: read_password(bytes)?,
            }),
            (State::NameAsked | State::PasswordAsked { .. }, None) | (State::Done, _) => {
                Err(SaslError::Unexpected)
            }
        }
    }
}
