//! The reply: a word, and perhaps a reason.
//!
//! Our server writes [`Reply`], whose texts are ours; clients read
//! [`ServerReply`], whose reason is a peer's and is taken for nothing but a log line.

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

/// A reply that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    /// What it begins with.
    pub word: ReplyWord,
    /// What is behind the word, without the blank between; peer-supplied bytes, at most 1,023.
    pub reason: Vec<u8>,
}

/// Bytes that are no reply: the server broke off or speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A text of 0 or 1 bytes (libsasl2: "bad response from saslauthd").
    #[error("the reply is too short to be one")]
    TooShort,
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
        Ok(Some(Self { word, reason: reason.to_vec() }))
    }
}
