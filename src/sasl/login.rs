//! LOGIN (draft-murchison-sasl-login): user name and password, asked for one by one.
//!
//! ```text
//! Username:   ->   <- alice        an initial response is the user name
//! Password:   ->   <- s3cret
//! ```
//!
//! The challenges are those of sendmail 8.17.1 with libsasl2, which clients
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MAX_SECRET_BYTES;

    /// Runs the machine over these responses; gives what it said, in words.
    fn run(responses: &[Option<&[u8]>]) -> Vec<String> {
        let mut login = Login::new();
        let say = |next| match next {
            Next::Challenge(text) => String::from_utf8(text).unwrap(),
            Next::Credentials { authzid, authcid, password } => {
                format!("[{authzid}] {authcid} / {}", String::from_utf8_lossy(password.expose()))
            }
            Next::Failed(error) => format!("{error:?}"),
        };
        responses.iter().map(|response| say(login.step(*response))).collect()
    }

    #[test]
    fn asks_for_name_and_password() {
        assert_eq!(
            run(&[None, Some(b"alice"), Some(b"s3cret"), Some(b"again")]),
            ["Username:", "Password:", "[] alice / s3cret", "Unexpected"]
        );
    }

    #[test]
    fn takes_an_initial_response_for_the_name() {
        assert_eq!(run(&[Some(b"alice"), Some(b"s3cret")]), ["Password:", "[] alice / s3cret"]);
        assert_eq!(run(&[Some(b""), Some(b"alice")]), ["Username:", "Password:"]);
    }

    #[test]
    fn says_what_is_missing_or_wrong() {
        assert_eq!(run(&[None, Some(b"")]), ["Username:", "EmptyName"]);
        assert_eq!(run(&[Some(b"a"), Some(b"")]), ["Password:", "EmptyPassword"]);
        assert_eq!(run(&[Some(b"a\0b"), None]), ["Malformed", "Unexpected"]);
        assert_eq!(run(&[Some(b"a"), Some(b"p\0q")]), ["Password:", "Malformed"]);
        assert_eq!(run(&[Some(b"\xff")]), ["NotUtf8"]);
        assert_eq!(run(&[None, None]), ["Username:", "Unexpected"]);
        assert_eq!(run(&[Some(&[b'x'; 1282])]), ["TooLong"]);
        let endless = [b'p'; MAX_SECRET_BYTES + 1];
        assert_eq!(run(&[Some(b"a"), Some(&endless)]), ["Password:", "TooLong"]);
    }

    #[test]
    fn a_failure_ends_the_exchange() {
        assert_eq!(run(&[Some(b"\xff"), Some(b"alice")]), ["NotUtf8", "Unexpected"]);
    }
}
