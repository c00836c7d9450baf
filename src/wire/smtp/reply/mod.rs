//! Replies (RFC 5321 §4.2): ours, and the backend's on their way to the client.
//!
//! ```text
//! 250-2.1.0 first line CR LF      code, "-", text
//! 250 2.1.0 last line CR LF       code, blank, text
//! ```
//!
//! The text of a backend's reply is kept byte for byte, 8-bit included; only
//! what would end or cut the line (CR, LF, NUL) becomes a blank. A reply is one
//! or more lines with one code.

mod parser;

#[cfg(test)]
mod tests;

pub use parser::{MAX_REPLY_LINE_BYTES, MAX_REPLY_LINES, ReplyError, ReplyParser};

/// A reply: a code and at least one line of text without CR, LF and NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `200..=599`.
    pub code: u16,
    /// Never empty. Each line with its enhanced status code, if the reply has one.
    lines: Vec<Vec<u8>>,
}

impl Reply {
    /// A reply of one line. `code` is `200..=599`; `enhanced` is an RFC 3463
    /// code such as `5.7.1`, or empty for none.
    #[must_use]
    pub fn new(code: u16, enhanced: &str, text: impl Into<String>) -> Self {
        Self::multiline(code, enhanced, [text.into()])
    }

    /// A reply of as many lines as `texts` has (one empty line if it has none),
    /// each with the enhanced code (RFC 2034 §4).
    #[must_use]
    pub fn multiline<T: AsRef<str>>(
        code: u16,
        enhanced: &str,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        let gap = if enhanced.is_empty() { "" } else { " " };
        let full = |text: T| format!("{enhanced}{gap}{}", text.as_ref()).into_bytes();
        Self::from_lines(code, texts.into_iter().map(full).collect())
    }

    /// A reply of these lines of text, made harmless.
    fn from_lines(code: u16, mut lines: Vec<Vec<u8>>) -> Self {
        for byte in lines.iter_mut().flatten() {
            if matches!(*byte, b'\r' | b'\n' | 0) {
                *byte = b' ';
            }
        }
        if lines.is_empty() {
            lines.push(Vec::new());
        }
        Self { code, lines }
    }

    /// The same text under another code of the same class (421 as 451).
    #[must_use]
    pub fn with_code(&self, code: u16) -> Self {
        Self { code, lines: self.lines.clone() }
    }

    /// Appends the reply as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        let last = self.lines.len() - 1;
        for (number, line) in self.lines.iter().enumerate() {
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if number == last { b' ' } else { b'-' });
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// 2xx: done.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx: not now.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: not like this.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The text of each line as it goes on the wire, with the enhanced code, without the reply code.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(Vec::as_slice)
    }

    /// Code and text of the first line, for a log: `250 2.0.0 6AKBaHSi006712 Message accepted`.
    #[must_use]
    pub fn first_line(&self) -> String {
        let line = self.lines.first().map_or(&b""[..], Vec::as_slice);
        format!("{} {}", self.code, String::from_utf8_lossy(line)).trim_end().to_owned()
    }
}
