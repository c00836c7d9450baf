//! Text from a peer, made safe for a log line or a terminal.
//!
//! A log line is one line whatever the peer sent: control characters, quotes,
//! brackets and bytes that are not UTF-8 come out as `\xNN`, and what is too
//! long is cut and marked with `...`. Brackets are escaped because the
//! saslauthd log format delimits values with them.

use std::fmt;

/// Displays up to [`Printable::MAX_BYTES`] bytes of peer-supplied text, escaped.
pub struct Printable<'a>(pub &'a [u8]);

impl Printable<'_> {
    /// How much of the text is shown before it is cut.
    pub const MAX_BYTES: usize = 256;
}

impl<'a> From<&'a str> for Printable<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(Self::MAX_BYTES)];
        // Nearly all names, and each login has several.
        if shown.len() == self.0.len() && shown.iter().all(is_plain) {
            return std::str::from_utf8(shown).map_or(Err(fmt::Error), |text| f.write_str(text));
        }
        for chunk in shown.utf8_chunks() {
            for c in chunk.valid().chars() {
                write_char(f, c)?;
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if shown.len() < self.0.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// ASCII that stands for itself.
fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'[' | b']' | b'"' | b'\\')
}

fn write_char(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    // U+2028/2029 break lines and U+202A..2069 reorder them in some viewers.
    let is_deceptive = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || is_deceptive || matches!(c, '[' | ']' | '"' | '\\') {
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            write!(f, "\\x{byte:02x}")?;
        }
        return Ok(());
    }
    write!(f, "{c}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_one_line_one_line() {
        assert_eq!(Printable(b"al\nice\x1b[31m").to_string(), "al\\x0aice\\x1b\\x5b31m");
        assert_eq!(Printable(b"gr\xc3\xbcn \xff").to_string(), "gr\u{fc}n \\xff");
        assert_eq!(Printable::from("a\u{202e}b").to_string(), "a\\xe2\\x80\\xaeb");
    }

    #[test]
    fn cuts_and_says_so() {
        let text = Printable(&[b'x'; 300]).to_string();
        assert_eq!(text.len(), Printable::MAX_BYTES + 3);
        assert!(text.ends_with("x..."));
    }
}
