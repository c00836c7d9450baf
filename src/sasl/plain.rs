//! PLAIN (RFC 4616): one message with user and password.
//!
//! ```text
//! [authzid] NUL authcid NUL password
//! ```
//!
//! Exactly two NULs: servers that take more disagree on where the password ends.

use super::{Next, SaslError, read_name, read_password};
use crate::base::Secret;

/// What a PLAIN message claims.
struct PlainMessage {
    /// Whom to act as; empty means `authcid`.
    authzid: String,
    /// Who it is. Never empty.
    authcid: String,
    /// Its password; never empty.
    password: Secret,
}

/// Reads a PLAIN message. The caller wipes `message`.
///
/// # Errors
/// [`SaslError`], all but `Unexpected`. An empty name is reported before an empty password.
fn parse(message: &[u8]) -> Result<PlainMessage, SaslError> {
    let mut fields = message.split(|byte| *byte == 0);
    let (Some(authzid), Some(authcid), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Malformed);
    };
    let (authzid, authcid) = (read_name(authzid)?, read_name(authcid)?);
    if authcid.is_empty() {
        return Err(SaslError::EmptyName);
    }
    Ok(PlainMessage { authzid, authcid, password: read_password(password)? })
}

/// The server of PLAIN: an empty challenge unless the message came at once.
#[derive(Debug, Default)]
pub struct Plain {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    /// The empty challenge was sent.
    Challenged,
    Done,
}

impl Plain {
    /// An exchange at its start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the client's response; see [`super::Machine::step`].
    pub fn step(&mut self, response: Option<&[u8]>) -> Next {
        match (std::mem::replace(&mut self.state, State::Done), response) {
            (State::Start, None) => {
                self.state = State::Challenged;
                Next::Challenge(Vec::new())
            }
            (State::Start | State::Challenged, Some(message)) => match parse(message) {
                Ok(PlainMessage { authzid, authcid, password }) => {
                    Next::Credentials { authzid, authcid, password }
                }
                Err(error) => Next::Failed(error),
            },
            (State::Challenged, None) | (State::Done, _) => Next::Failed(SaslError::Unexpected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MAX_SECRET_BYTES;
    use crate::sasl::MAX_NAME_BYTES;

    fn read(message: &[u8]) -> Result<(String, String, Vec<u8>), SaslError> {
        parse(message).map(|m| (m.authzid, m.authcid, m.password.expose().to_vec()))
    }

    fn fields(authzid: &str, authcid: &str, password: &[u8]) -> (String, String, Vec<u8>) {
        (authzid.to_owned(), authcid.to_owned(), password.to_vec())
    }

    #[test]
    fn reads_the_three_fields() {
        assert_eq!(read(b"\0tim\0tanstaaftanstaaf"), Ok(fields("", "tim", b"tanstaaftanstaaf")));
        assert_eq!(read(b"Ursel\0Kurt\0xipj3plmq"), Ok(fields("Ursel", "Kurt", b"xipj3plmq")));
        assert_eq!(read(b"\0j\xc3\xb6rg@x\0gr\xc3\xbcn"), {
            Ok(fields("", "j\u{f6}rg@x", "gr\u{fc}n".as_bytes()))
        });
        assert_eq!(read(b"\0old\0gr\xfcn"), Ok(fields("", "old", b"gr\xfcn")), "Latin-1 password");
    }

    #[test]
    fn wants_exactly_two_nuls() {
        for bad in [&b""[..], b"a", b"a\0b", b"\0", b"a\0b\0c\0d", b"a\0b\0c\0", b"\0\0\0"] {
            assert_eq!(read(bad), Err(SaslError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn tells_what_is_missing() {
        assert_eq!(read(b"\0\0password"), Err(SaslError::EmptyName));
        assert_eq!(read(b"\0\0"), Err(SaslError::EmptyName));
        assert_eq!(read(b"\0alice\0"), Err(SaslError::EmptyPassword));
        assert_eq!(read(b"\0\xff\0p"), Err(SaslError::NotUtf8));
        assert_eq!(read(b"\xff\0a\0p"), Err(SaslError::NotUtf8));
    }

    #[test]
    fn takes_fields_up_to_their_limits() {
        let with = |name: usize, password: usize| {
            let message = [&b"\0"[..], &vec![b'n'; name], b"\0", &vec![b'p'; password]].concat();
            read(&message).map(|(_, name, password)| (name.len(), password.len()))
        };
        let most = (MAX_NAME_BYTES, MAX_SECRET_BYTES);
        assert_eq!(with(most.0, most.1), Ok(most));
        assert_eq!(with(most.0 + 1, 1), Err(SaslError::TooLong));
        assert_eq!(with(1, most.1 + 1), Err(SaslError::TooLong));
    }

    #[test]
    fn truncations_and_mutations_never_panic_and_never_lose_the_border() {
        let good = b"Ursel\0Kurt\0xipj3plmq";
        for end in 0..good.len() {
            let is_whole = end > b"Ursel\0Kurt\0".len();
            assert_eq!(read(&good[..end]).is_ok(), is_whole, "cut at {end}");
        }
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut message = good.to_vec();
                message[at] = byte;
                if let Ok((authzid, authcid, password)) = read(&message) {
                    let again = [authzid.as_bytes(), authcid.as_bytes(), &password].join(&0);
                    assert_eq!(again, message);
                }
            }
        }
    }

    #[test]
    fn asks_once_and_answers_once() {
        let mut plain = Plain::new();
        assert!(matches!(plain.step(None), Next::Challenge(text) if text.is_empty()));
        assert!(matches!(plain.step(Some(b"\0a\0b")), Next::Credentials { .. }));
        assert!(matches!(plain.step(Some(b"\0a\0b")), Next::Failed(SaslError::Unexpected)));

        let mut at_once = Plain::new();
        assert!(
            matches!(at_once.step(Some(b"z\0a\0b")), Next::Credentials { authzid, .. } if authzid == "z")
        );
        let mut empty = Plain::new();
        assert!(matches!(empty.step(Some(b"")), Next::Failed(SaslError::Malformed)));
        let mut silent = Plain::new();
        silent.step(None);
        assert!(matches!(silent.step(None), Next::Failed(SaslError::Unexpected)));
    }
}
