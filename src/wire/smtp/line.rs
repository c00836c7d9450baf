//! A client's bytes as command lines (RFC 5321 §2.3.8): a line ends with CRLF and nothing else.
//!
//! ```text
//! bytes          line
//! NOOP CR LF     Complete("NOOP")
//! NOOP LF        Malformed(Lf)
//! NO CR OP CR LF Malformed(Cr)      one line, up to the LF
//! NO NUL OP CR LF Malformed(Nul)
//! ...long... LF  TooLong            once, whatever its length
//! ```
//!
//! A server that takes a bare LF for a line end, in front of one that does not,
//! is how commands are smuggled; so the two are told apart here, once. Called by
//! the gate's session. Memory is bounded by the limit: bytes of an over-long
//! line are dropped as they come.

use std::fmt;

use super::Stray;
use super::input::Front;

/// Longest line of an AUTH exchange with its CRLF (RFC 4954 §4).
pub const MAX_AUTH_LINE_BYTES: usize = 12_288;

/// One step of splitting a client's bytes into command lines. Its `Debug`
/// shows lengths only: a line may be a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its CRLF; holds no CR, LF or NUL. In an AUTH exchange the caller wipes it.
    Complete(Vec<u8>),
    /// A line beyond the limit, consumed up to its end.
    TooLong,
    /// A line that ended with a bare LF, or holds a bare CR or a NUL (the first
    /// of them is named), consumed up to its LF.
    Malformed(Stray),
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(line) => write!(f, "Complete({} bytes)", line.len()),
            Self::TooLong => f.write_str("TooLong"),
            Self::Malformed(stray) => write!(f, "Malformed({})", stray.as_str()),
        }
    }
}

/// Splits a client's bytes into lines. Remembers where it stopped looking, so
/// no byte is looked at twice, and whether it is inside an over-long line.
#[derive(Debug)]
pub struct LineSplitter {
    limit_bytes: usize,
    /// Bytes at the front of the input that are known to hold no LF.
    scanned: usize,
    is_discarding: bool,
}

impl LineSplitter {
    /// A splitter for lines of at most `limit_bytes`, CRLF included.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, scanned: 0, is_discarding: false }
    }

    /// Takes the next line from the front of `input`, wiping its bytes there;
    /// `None` if there is none yet. The input is the same from call to call,
    /// and only grows at its end in between; after taking bytes from it in
    /// another way (DATA, STARTTLS) start with a new splitter.
    pub fn next(&mut self, input: &mut impl Front) -> Option<Line> {
        // Whoever took bytes behind our back gets a rescan, not a panic.
        let scanned = self.scanned.min(input.len());
        let Some(found) = memchr::memchr(b'\n', &input[scanned..]) else {
            self.wait(input);
            return None;
        };
        self.scanned = 0;
        let length = scanned + found + 1;
        if std::mem::take(&mut self.is_discarding) || length > self.limit_bytes {
            input.consume(length);
            return Some(Line::TooLong);
        }
        if let Some(stray) = first_stray(&input[..length]) {
            input.consume(length);
            return Some(Line::Malformed(stray));
        }
        let mut line = input.take(length);
        line.truncate(length - 2);
        Some(Line::Complete(line))
    }

    /// No end in sight: remembers how far we looked, drops what is too long anyway.
    fn wait(&mut self, input: &mut impl Front) {
        self.is_discarding |= input.len() >= self.limit_bytes;
        if self.is_discarding {
            input.consume(input.len());
        }
        self.scanned = input.len();
    }
}

/// The first byte in a line, given with its LF, that may not stand there.
fn first_stray(line: &[u8]) -> Option<Stray> {
    let body = line.strip_suffix(b"\r\n");
    let found = memchr::memchr2(b'\r', 0, body.unwrap_or(line));
    match found.map(|at| line[at]) {
        Some(0) => Some(Stray::Nul),
        Some(_) => Some(Stray::Cr),
        None if body.is_none() => Some(Stray::Lf),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::smtp::input::Input;

    fn lines(limit: usize, pieces: &[&[u8]]) -> Vec<Line> {
        let mut splitter = LineSplitter::new(limit);
        let mut input = Input::new();
        let mut found = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(line) = splitter.next(&mut input) {
                found.push(line);
            }
            assert!(input.len() < limit.max(1), "an over-long line piles up");
        }
        found
    }

    fn complete(text: &[u8]) -> Line {
        Line::Complete(text.to_vec())
    }

    #[test]
    fn only_crlf_ends_a_good_line() {
        let all = b"NOOP\r\n\r\nA\nB\rC\r\nD\0E\r\nF\0\nG\r\r\nH\r\n";
        assert_eq!(
            lines(100, &[all]),
            [
                complete(b"NOOP"),
                complete(b""),
                Line::Malformed(Stray::Lf),
                Line::Malformed(Stray::Cr),
                Line::Malformed(Stray::Nul),
                Line::Malformed(Stray::Nul),
                Line::Malformed(Stray::Cr),
                complete(b"H"),
            ]
        );
    }

    #[test]
    fn the_limit_counts_the_crlf() {
        assert_eq!(lines(6, &[b"NOOP\r\n"]), [complete(b"NOOP")]);
        assert_eq!(lines(5, &[b"NOOP\r\nX\r\n"]), [Line::TooLong, complete(b"X")]);
        assert_eq!(
            lines(5, &[b"NOO", b"PE", b"X", b"yz\r", b"\nX\r\n"]),
            [Line::TooLong, complete(b"X")]
        );
    }

    #[test]
    fn every_split_gives_the_same_lines() {
        let all: &[u8] = b"EHLO a\r\nlonglonglonglong\r\nA\nB\rC\r\n\0\r\n\n\r\nQUIT\r\n";
        let whole = lines(12, &[all]);
        assert_eq!(whole.len(), 8);
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let pieces = [&all[..first], &all[first..second], &all[second..]];
                assert_eq!(lines(12, &pieces), whole, "split at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(lines(12, &bytes), whole);
    }

    #[test]
    fn works_on_a_plain_vector_too() {
        let mut input = b"A\r\nB\r\n.".to_vec();
        let mut splitter = LineSplitter::new(100);
        assert_eq!(splitter.next(&mut input), Some(complete(b"A")));
        assert_eq!(splitter.next(&mut input), Some(complete(b"B")));
        assert_eq!(splitter.next(&mut input), None);
        assert_eq!(input, b".");
    }
}
