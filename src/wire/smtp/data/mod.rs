//! Message content up to its end (RFC 5321 §4.1.1.4): only `CRLF . CRLF` ends it.
//!
//! ```text
//! state of the scanner                     CRLF        .        CRLF
//!   Start (of a line) ... Text ... Cr ... Start ... Dot ... DotCr ... End
//! ```
//!
//! Servers that disagree on where content ends can be made to see two messages
//! where another saw one (CVE-2023-51764 to -51766, VU#302671). So content
//! leaves here with CRLF line ends only, whatever came in: under
//! [`Discipline::Reject`] the first stray byte stops it, under
//! [`Discipline::Normalize`] stray bytes are mended, and a dot that would come
//! to stand alone by mending is doubled. Otherwise dots are left as sent:
//! doubled by the client, undoubled by the server behind us.
//!
//! Called by the gate's driver with pieces of any size; knows nothing of limits
//! (see [`Scanner::bytes`]). One scanner reads one message.

mod discard;
mod scan;

#[cfg(test)]
mod tests;

use super::Stray;

/// What to do with a CR, LF or NUL that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// Report it, and read over the rest of the message.
    Reject,
    /// LF becomes CRLF, CR becomes a blank, NUL is dropped.
    Normalize,
}

/// How far a piece of content was read, and why not further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// Bytes of the input that are done with; the rest is to be given again, or
    /// follows the message.
    pub consumed: usize,
    /// What was found.
    pub state: State,
}

/// What a piece of content ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The piece is used up, the message is not.
    More,
    /// The end: `consumed` includes the final `.CRLF`, which is not in the
    /// output; the CRLF before it is. The output is empty or ends with CRLF.
    End,
    /// A stray byte ([`Discipline::Reject`] only), which is consumed and not in
    /// the output. The message is lost; go on with [`Scanner::discard`], at
    /// once, even if nothing is left of the input: it may have
    /// [`State::AmbiguousEnd`] to report already.
    Violation(Stray),
    /// Only from [`Scanner::discard`] under [`Discipline::Reject`]: something
    /// that a sloppy client may mean, and a sloppy server take, for the end,
    /// such as LF.LF or CRLF.CR. What follows may be meant as commands or as
    /// content, so nobody can tell where the session stands: reply and close.
    /// Reading on is possible.
    AmbiguousEnd,
}

/// Finds the end of message content, and lets only CRLF line ends through.
#[derive(Debug, Clone)]
pub struct Scanner {
    discipline: Discipline,
    place: Place,
    line_start: LineStart,
    /// Bytes put out so far.
    bytes: u64,
    /// The first stray byte, under [`Discipline::Reject`].
    violation: Option<Stray>,
    /// The stray byte itself completed an ambiguous end that was not reported yet.
    is_ambiguous: bool,
}

/// Where in a line the scanner stands. What is in parentheses has been read and
/// not put out, since it may belong to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Text,
    /// (`CR`)
    Cr,
    /// (`.`) at the start of a line.
    Dot,
    /// (`.CR`) at the start of a line.
    DotCr,
}

/// How the line began that the scanner is at the start of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineStart {
    /// Behind CRLF, or where the content begins.
    Strict,
    /// Behind a stray byte, or with one inside: a dot that stands alone here ends nothing.
    Sloppy,
}

impl Place {
    /// The bytes that have been read and not put out.
    fn held(self) -> &'static [u8] {
        match self {
            Self::Start | Self::Text => b"",
            Self::Cr => b"\r",
            Self::Dot => b".",
            Self::DotCr => b".\r",
        }
    }
}

impl Scanner {
    /// A scanner at the start of a message, right behind the 354.
    #[must_use]
    pub fn new(discipline: Discipline) -> Self {
        Self {
            discipline,
            place: Place::Start,
            line_start: LineStart::Strict,
            bytes: 0,
            violation: None,
            is_ambiguous: false,
        }
    }

    /// Bytes of content put out so far, dots doubled as sent.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}
