//! What was said in a session, line by line, in the manner of `sendmail -X`.
//!
//! ```text
//! === a note                what happens, or what a line means
//! <<< EHLO client           the client said (as the server sees it)
//! >>> 250 STARTTLS          the server answered
//! ```
//!
//! Holds no secret: whoever sends one names what is shown in its place. Control
//! characters of a peer come out as `\xNN`, since this goes to a terminal.

use std::fmt::{self, Write};

use crate::wire::smtp::reply::Reply;

/// The lines so far.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    text: String,
}

impl Transcript {
    /// Adds an explanation.
    pub(super) fn note(&mut self, text: &str) {
        self.line("===", text);
    }

    /// Adds a line of the client, or what is shown for it.
    pub(super) fn said(&mut self, line: &str) {
        self.line("<<<", line);
    }

    /// Adds a reply of the server, all its lines.
    pub(super) fn answered(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        reply.write(&mut bytes);
        for line in String::from_utf8_lossy(&bytes).lines() {
            self.line(">>>", line);
        }
    }

    fn line(&mut self, mark: &str, text: &str) {
        self.text.push_str(mark);
        self.text.push(' ');
        self.text.push_str(&harmless(text.trim_end()));
        self.text.push('\n');
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text for a terminal: control characters but TAB and LF as `\xNN`.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' && c != '\n' {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_who_said_what() {
        let mut transcript = Transcript::default();
        transcript.note("connected");
        transcript.said("EHLO client.test");
        transcript.answered(&Reply::multiline(250, "", ["mx Hello", "STARTTLS"]));
        assert_eq!(
            transcript.to_string(),
            "=== connected\n<<< EHLO client.test\n>>> 250-mx Hello\n>>> 250 STARTTLS\n"
        );
    }

    #[test]
    fn a_terminal_gets_no_escape_sequences() {
        let mut transcript = Transcript::default();
        transcript.answered(&Reply::new(250, "", "\x1b[31mred\x07"));
        assert_eq!(transcript.to_string(), ">>> 250 \\x1b[31mred\\x07\n");
    }
}
