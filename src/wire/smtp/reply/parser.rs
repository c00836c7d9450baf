//! Reads replies of the backend. It is trusted with mail, not with our memory
//! or our step: too long, too many, or out of order is an error.
//!
//! Lines may end with LF alone: the gate is the client here, and a reply holds
//! nothing that could be smuggled, since it is written anew. `050` lines, which
//! sendmail sends in verbose mode, are an error: they would put the two out of
//! step.

use super::Reply;
use crate::wire::smtp::input::Front;

/// Most lines of one reply.
pub const MAX_REPLY_LINES: usize = 128;
/// Longest line of a reply with its line end (RFC 5321 §4.5.3.1.5 asks for 512).
pub const MAX_REPLY_LINE_BYTES: usize = 2048;

/// Why bytes are not a reply. The backend's fault; the connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not start with three digits from 200 to 599 and `-`, a blank or its end.
    #[error("the backend sent a line that is no SMTP reply")]
    BadLine,
    /// The lines of one reply have different codes.
    #[error("the backend changed the code inside a reply")]
    CodeChanged,
    /// More than [`MAX_REPLY_LINES`].
    #[error("the backend sent a reply of more than {MAX_REPLY_LINES} lines")]
    TooManyLines,
    /// More than [`MAX_REPLY_LINE_BYTES`].
    #[error("the backend sent a reply line of more than {MAX_REPLY_LINE_BYTES} bytes")]
    LineTooLong,
}

/// Reads replies from bytes as they come. After an error it gives the same error for ever.
#[derive(Debug, Default)]
pub struct ReplyParser {
    /// Lines of the reply that is being read, which all had `code`.
    lines: Vec<Vec<u8>>,
    code: u16,
    /// Bytes at the front of the input that are known to hold no LF.
    scanned: usize,
    error: Option<ReplyError>,
}

/// One line of a reply.
struct ReplyLine<'a> {
    code: u16,
    is_last: bool,
    text: &'a [u8],
}

impl ReplyParser {
    /// A parser at the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next reply from the front of `input`; `None` if it is not
    /// complete yet. Bytes behind the reply stay where they are.
    pub fn feed(&mut self, input: &mut impl Front) -> Option<Result<Reply, ReplyError>> {
        if let Some(error) = self.error {
            return Some(Err(error));
        }
        loop {
            match self.read_line(input) {
                Ok(Some(reply)) => return Some(Ok(reply)),
                Ok(None) if self.scanned > 0 || input.is_empty() => return None,
                Ok(None) => {}
                Err(error) => {
                    self.error = Some(error);
                    return Some(Err(error));
                }
            }
        }
    }

    /// Takes one line, if there is one. The reply, if it was its last; if no
    /// line was there, `scanned` covers the input.
    fn read_line(&mut self, input: &mut impl Front) -> Result<Option<Reply>, ReplyError> {
        let scanned = self.scanned.min(input.len());
        let Some(found) = memchr::memchr(b'\n', &input[scanned..]) else {
            self.scanned = input.len();
            let is_too_long = self.scanned >= MAX_REPLY_LINE_BYTES;
            return if is_too_long { Err(ReplyError::LineTooLong) } else { Ok(None) };
        };
        self.scanned = 0;
        let length = scanned + found + 1;
        if length > MAX_REPLY_LINE_BYTES {
            return Err(ReplyError::LineTooLong);
        }
        let line = input.take(length);
        let line = split_line(&line).ok_or(ReplyError::BadLine)?;
        if !self.lines.is_empty() && line.code != self.code {
            return Err(ReplyError::CodeChanged);
        }
        if self.lines.len() == MAX_REPLY_LINES {
            return Err(ReplyError::TooManyLines);
        }
        self.code = line.code;
        self.lines.push(line.text.to_vec());
        Ok(line.is_last.then(|| Reply::from_lines(self.code, std::mem::take(&mut self.lines))))
    }
}

/// Splits `250-text CR LF`; `None` if it is no reply line.
fn split_line(line: &[u8]) -> Option<ReplyLine<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (is_last, text) = match rest.split_first() {
        None => (true, rest),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => return None,
    };
    (200..=599).contains(&code).then_some(ReplyLine { code, is_last, text })
}
