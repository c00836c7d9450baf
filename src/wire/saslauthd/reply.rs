//! The reply: a word, and perhaps a reason.
//!
//! Our server writes [`Reply`], whose texts are ours; clients read
//! [`ServerReply`], whose reason is a peer's and is taken for nothing but a log line.

use std::fmt;

use zeroize::Zeroizing;

use crate::base::Secret;

/// Longest reply text a client reads: libsasl2 clamps it there (1,024-byte buffer less a NUL).
pub const MAX_REPLY_BYTES: usize = 1023;

/// A reply to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// `OK`
    Ok,
    /// `NO` alone: the reason is nobody's business, or there is none.
    No,
    /// `NO` and a blank and this reason, which may be empty.
    NoBecause(&'static str),
}

impl Reply {
    /// Length and text, to be sent with one write. A text beyond
    /// [`MAX_REPLY_BYTES`] is cut, since clients would not read the rest.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let (word, blank, reason) = match self {
            Self::Ok => ("OK", "", ""),
            Self::No => ("NO", "", ""),
            Self::NoBecause(reason) => ("NO", " ", reason),
        };
        let reason = &reason.as_bytes()[..reason.len().min(MAX_REPLY_BYTES - 3)];
        let length = word.len() + blank.len() + reason.len();
        let mut bytes = Vec::with_capacity(2 + length);
        // At most 1,023, so the cast keeps it whole.
        bytes.extend_from_slice(&(length as u16).to_be_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(blank.as_bytes());
        bytes.extend_from_slice(reason);
        bytes
    }
}

/// The word a reply begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyWord {
    /// `OK`, whatever follows.
    Ok,
    /// `NO`, whatever follows.
    No,
    /// Anything else; libsasl2 takes it for `NO`.
    Other,
}

/// A reply that was received. Its `Debug` tells the word alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerReply {
    /// What it begins with.
    pub word: ReplyWord,
    /// What is behind the word, without the blank between; peer-supplied bytes, at most 1,023.
    /// Wiped on drop: a token may be in it.
    pub reason: Zeroizing<Vec<u8>>,
}

/// In front of a handover token, behind `OK` and a blank.
const TOKEN_KEY: &[u8] = b"handover=";

/// `OK` with a handover token for a gate that asked for one, to be sent with one write.
#[must_use]
pub fn accepted_with(token: &Secret) -> Zeroizing<Vec<u8>> {
    let length = b"OK ".len() + TOKEN_KEY.len() + token.expose().len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 + length));
    // Tokens are far below the limit of a reply.
    bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(b"OK ");
    bytes.extend_from_slice(TOKEN_KEY);
    bytes.extend_from_slice(token.expose());
    bytes
}

/// Bytes that are no reply: the server broke off or speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A text of 0 or 1 bytes (libsasl2: "bad response from saslauthd").
    #[error("the reply is too short to be one")]
    TooShort,
}

impl fmt::Debug for ServerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerReply").field("word", &self.word).finish_non_exhaustive()
    }
}

impl ServerReply {
    /// Reads what is there: a reply, or `None` while bytes are missing. A length
    /// over [`MAX_REPLY_BYTES`] is clamped, as libsasl2 does; bytes behind are ignored.
    ///
    /// # Errors
    /// [`ReplyError::TooShort`] from the length alone.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, ReplyError> {
        let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length)).min(MAX_REPLY_BYTES);
        if length < 2 {
            return Err(ReplyError::TooShort);
        }
        let Some((word, reason)) = rest.get(..length).and_then(|text| text.split_at_checked(2))
        else {
            return Ok(None);
        };
        let word = match word {
            b"OK" => ReplyWord::Ok,
            b"NO" => ReplyWord::No,
            _ => ReplyWord::Other,
        };
        let reason = reason.strip_prefix(b" ").unwrap_or(reason);
        Ok(Some(Self { word, reason: Zeroizing::new(reason.to_vec()) }))
    }

    /// The handover token of an `OK`, if it has one.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        let words = (self.word == ReplyWord::Ok).then_some(&self.reason)?;
        let mut words = words.split(|byte| *byte == b' ');
        let token = words.find_map(|word| word.strip_prefix(TOKEN_KEY))?;
        Secret::copied_from(token).ok()
    }
}
