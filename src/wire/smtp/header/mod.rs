//! Finds the `From:` of a message on its way, and who stands there.
//!
//! ```text
//! Received: ...                  other fields: passed over, however long
//! From: "Doe, J" <j@a.test>,     the field, maybe folded, maybe `From :` (RFC 5322 §4.5.2)
//!  team: x@b.test, y@b.test;
//!                                the empty line, or one that is no field: the end
//! ```
//!
//! Bytes come in as they come, split anywhere; only the value of `From:` is
//! kept, up to [`MAX_VALUE_BYTES`]. In doubt where the header ends this reads
//! on rather than stop, so that no server behind sees a `From:` that was not
//! read here: a line of mbox (`From alice Thu ...`) is passed over, since
//! servers drop it. Lines must end in CRLF (`data` sees to that); dots may still
//! be doubled, no `From` begins with one. Called by the gate's content stream.

mod mailboxes;
#[cfg(test)]
mod tests;

pub use mailboxes::MalformedList;

/// Longest value of `From:` that is read; 100 addresses with their names.
pub const MAX_VALUE_BYTES: usize = 16 * 1024;

/// Reads a header piece by piece.
#[derive(Debug)]
pub struct FromReader {
    at: At,
    /// What stood in `From:` so far, folds included.
    value: Vec<u8>,
    /// Fields called `From`.
    count: u32,
    /// The field that a folded line goes on with.
    field: Field,
    is_too_long: bool,
}

/// Who a message says it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authors {
    /// It has no `From:`.
    Missing,
    /// The addresses, at least one, without names and comments; a local part keeps its quotes.
    Mailboxes(Vec<String>),
    /// It has several, against RFC 5322 §3.6: which one is shown is anybody's guess.
    Repeated,
    /// Its value is beyond [`MAX_VALUE_BYTES`].
    TooLong,
    /// Its value is no list of addresses.
    Malformed(MalformedList),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first byte of a line.
    LineStart,
    /// Within a name, `matched` bytes of which are those of `from`.
    Name { matched: usize, length: usize },
    /// Between a name and its colon.
    BeforeColon { is_from: bool },
    /// Behind the colon, or in a line that goes on.
    Value,
    /// In a line that counts for nothing.
    Skipped,
    /// Behind the CR of an empty line.
    EmptyLine,
    /// The header is over.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// No field has begun.
    None,
    From,
    Other,
}

const NAME: &[u8] = b"from";

impl Default for FromReader {
    fn default() -> Self {
        Self {
            at: At::LineStart,
            value: Vec::new(),
            count: 0,
            field: Field::None,
            is_too_long: false,
        }
    }
}

impl FromReader {
    /// Reads on. True once the header is over: then more changes nothing.
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while self.at != At::End {
            // Most of a header is values of other fields.
            if matches!(self.at, At::Value | At::Skipped) && self.field != Field::From {
                let Some(end) = memchr::memchr(b'\n', rest) else { return false };
                rest = &rest[end + 1..];
                self.at = At::LineStart;
                continue;
            }
            let Some((byte, behind)) = rest.split_first() else { return false };
            rest = behind;
            self.at = self.step(*byte);
        }
        true
    }

    /// What the header said, as far as it was read.
    #[must_use]
    pub fn authors(&self) -> Authors {
        match self.count {
            0 => Authors::Missing,
            1 if self.is_too_long => Authors::TooLong,
            1 => match mailboxes::parse(&self.value) {
                Ok(mailboxes) => Authors::Mailboxes(mailboxes),
                Err(error) => Authors::Malformed(error),
            },
            _ => Authors::Repeated,
        }
    }

    fn step(&mut self, byte: u8) -> At {
        match self.at {
            At::LineStart => self.begin(byte),
            At::Name { matched, length } => self.name(byte, matched, length),
            At::BeforeColon { is_from } => match byte {
                b':' => self.begin_value(is_from),
                b' ' | b'\t' => At::BeforeColon { is_from },
                // A line of mbox; no field has such a name.
                _ if is_from => At::Skipped,
                _ => At::End,
            },
            At::Value if byte == b'\n' => At::LineStart,
            At::Value => {
                self.keep(byte);
                At::Value
            }
            At::Skipped if byte == b'\n' => At::LineStart,
            At::Skipped => At::Skipped,
            At::EmptyLine | At::End => At::End,
        }
    }

    fn begin(&mut self, byte: u8) -> At {
        match byte {
            b'\r' => At::EmptyLine,
            b' ' | b'\t' if self.field == Field::None => At::End,
            b' ' | b'\t' => {
                self.keep(byte);
                At::Value
            }
            // What some programs make of a line of mbox.
            b'>' => At::Name { matched: 0, length: 0 },
            _ => self.name(byte, 0, 0),
        }
    }

    fn name(&mut self, byte: u8, matched: usize, length: usize) -> At {
        let is_from = matched == NAME.len() && length == NAME.len();
        match byte {
            b':' if length == 0 => At::End,
            b':' => self.begin_value(is_from),
            b' ' | b'\t' => At::BeforeColon { is_from },
            b'!'..=b'~' => {
                let goes_on = matched == length
                    && NAME.get(matched).is_some_and(|wanted| byte.eq_ignore_ascii_case(wanted));
                At::Name { matched: matched + usize::from(goes_on), length: length + 1 }
            }
            _ => At::End,
        }
    }

    fn begin_value(&mut self, is_from: bool) -> At {
        if is_from {
            self.count += 1;
            self.value.clear();
        }
        self.field = if is_from { Field::From } else { Field::Other };
        At::Value
    }

    fn keep(&mut self, byte: u8) {
        if self.field != Field::From {
            return;
        }
        if self.value.len() < MAX_VALUE_BYTES {
            self.value.push(byte);
        } else {
            self.is_too_long = true;
        }
    }
}
