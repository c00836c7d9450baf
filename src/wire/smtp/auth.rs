//! The base64 layer of AUTH (RFC 4954 §4).
//!
//! ```text
//! AUTH PLAIN AGEAYg==     initial response
//! AUTH PLAIN =            empty initial response
//! 334 VXNlcm5hbWU6        challenge
//! AGEAYg==                response; an empty line is an empty response
//! *                       the client gives up
//! ```
//!
//! Between here and the mechanism ([`crate::sasl`]) bytes are decoded. They are
//! secrets on both sides, so they live in buffers that wipe themselves.

use std::fmt;
use std::ops::Deref;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::line::MAX_AUTH_LINE_BYTES;
use super::reply::Reply;

/// Longest base64 text: a line without its CRLF.
const MAX_TEXT_BYTES: usize = MAX_AUTH_LINE_BYTES - 2;

/// base64 text of a response as the client sent it: wiped on drop, never printed. Reads as `&[u8]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Encoded(Zeroizing<Vec<u8>>);

impl Encoded {
    /// Copies `text`; the caller wipes its own copy.
    #[must_use]
    pub fn copied_from(text: &[u8]) -> Self {
        Self(Zeroizing::new(text.to_vec()))
    }
}

impl Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.0.len())
    }
}

/// What a client said to a challenge.
pub enum Response {
    /// The decoded response; may be empty.
    Data(Zeroizing<Vec<u8>>),
    /// `*`: the client gives up.
    Cancel,
}

/// Why a response cannot be decoded. The client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Not base64 of RFC 4648 §4, its padding included.
    #[error("the AUTH response is not base64")]
    Base64,
    /// A line beyond [`MAX_AUTH_LINE_BYTES`].
    #[error("the AUTH response is too long")]
    TooLong,
}

impl AuthError {
    /// The reply that says so (RFC 4954 §4 and §6).
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            Self::Base64 => Reply::new(501, "5.5.2", "Cannot decode base64"),
            Self::TooLong => Reply::new(500, "5.5.6", "Authentication exchange line is too long"),
        }
    }
}

/// Decodes the initial response of an AUTH command; `=` is an empty one.
///
/// # Errors
/// See [`AuthError`].
pub fn decode_initial(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    if text == b"=" { Ok(Zeroizing::default()) } else { decode(text) }
}

/// Decodes a response line without its CRLF.
///
/// # Errors
/// See [`AuthError`].
pub fn decode_response(line: &[u8]) -> Result<Response, AuthError> {
    if line == b"*" { Ok(Response::Cancel) } else { decode(line).map(Response::Data) }
}

/// The reply that carries a challenge: `334` and base64; `334 ` for an empty one.
#[must_use]
pub fn challenge(challenge: &[u8]) -> Reply {
    Reply::new(334, "", STANDARD.encode(challenge))
}

/// The reply to `*` (RFC 4954 §4 demands 501).
#[must_use]
pub fn cancelled() -> Reply {
    Reply::new(501, "5.7.0", "Authentication cancelled")
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(AuthError::TooLong);
    }
    // Sized once, so that no half-filled copy is left behind by growing.
    let mut plain = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, &mut plain).map_err(|_| AuthError::Base64)?;
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initial(text: &[u8]) -> Result<Vec<u8>, AuthError> {
        decode_initial(text).map(|plain| plain.to_vec())
    }

    fn response(line: &[u8]) -> Result<Option<Vec<u8>>, AuthError> {
        decode_response(line).map(|response| match response {
            Response::Data(plain) => Some(plain.to_vec()),
            Response::Cancel => None,
        })
    }

    fn written(reply: &Reply) -> Vec<u8> {
        let mut out = Vec::new();
        reply.write(&mut out);
        out
    }

    #[test]
    fn an_initial_response_is_base64_or_an_equals_sign() {
        assert_eq!(initial(b"AGEAYg=="), Ok(b"\0a\0b".to_vec()));
        assert_eq!(initial(b"="), Ok(Vec::new()));
        for bad in
            [&b"*"[..], b"==", b"A", b"AGEAYg", b"AGEAYg=", b"AGE AYg==", b"!!!!", b"AGEAYh=="]
        {
            assert_eq!(initial(bad), Err(AuthError::Base64), "{bad:?}");
        }
    }

    #[test]
    fn a_response_line_is_base64_or_nothing_or_an_asterisk() {
        assert_eq!(response(b"AGEAYg=="), Ok(Some(b"\0a\0b".to_vec())));
        assert_eq!(response(b""), Ok(Some(Vec::new())));
        assert_eq!(response(b"*"), Ok(None));
        for bad in [&b"="[..], b"**", b" *", b"\xff\xff\xff\xff"] {
            assert_eq!(response(bad), Err(AuthError::Base64), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_line_still_counts() {
        assert_eq!(response(&[b'A'; MAX_TEXT_BYTES - 2]).unwrap().unwrap().len(), 9213);
        assert_eq!(response(&[b'A'; MAX_TEXT_BYTES + 1]), Err(AuthError::TooLong));
    }

    #[test]
    fn challenges_and_errors_are_replies() {
        assert_eq!(written(&challenge(b"Username:")), b"334 VXNlcm5hbWU6\r\n");
        assert_eq!(written(&challenge(b"Password:")), b"334 UGFzc3dvcmQ6\r\n");
        assert_eq!(written(&challenge(b"")), b"334 \r\n");
        assert_eq!(written(&cancelled()), b"501 5.7.0 Authentication cancelled\r\n");
        assert_eq!(AuthError::Base64.reply().code, 501);
        assert_eq!(AuthError::TooLong.reply().code, 500);
    }

    #[test]
    fn mutations_never_panic() {
        let good = b"AGFsaWNlAHMzY3JldA==";
        for at in 0..good.len() {
            assert_eq!(initial(&good[..at]).is_ok(), at % 4 == 0, "cut at {at}");
            for byte in 0..=255 {
                let mut text = good.to_vec();
                text[at] = byte;
                if let Ok(plain) = initial(&text) {
                    assert_eq!(STANDARD.encode(plain).as_bytes(), text, "two texts for one secret");
                }
            }
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Encoded::copied_from(b"AGEAYg==")), "Encoded(8 bytes)");
    }
}
