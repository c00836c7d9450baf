//! Log lines as JSON: one object a line, for log shippers.
//!
//! ```text
//! {"time":"2026-11-20T14:02:27.123Z","level":"info","event":"auth","session":"k3f9...","outcome":"accepted",...}
//! {"time":"2026-11-20T14:02:27.123Z","level":"info","event":"log","message":"reloaded"}
//! ```
//!
//! An event brings its members ready made, in the field [`FIELD`], beside the
//! text that it is otherwise; diagnostics have a message. What peers sent is cut
//! at 256 bytes and escaped, so an object is a line, and is bounded.

use std::fmt::{self, Display, Formatter, Write};

use tracing::Event;
use tracing::field::{Field, Visit};

use crate::base::Printable;

/// The tracing field that holds an event's members.
pub(super) const FIELD: &str = "json";

/// What an event says, as members of an object.
pub(in crate::ops) trait Members {
    /// What kind of event it is: the value of `event`.
    const EVENT: &'static str;

    /// Writes the members behind it, each by a method of `to`.
    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result;
}

/// Shows the members of an event: `"event":"auth",...`, without the braces.
pub(in crate::ops) struct Json<'a, M>(pub(in crate::ops) &'a M);

impl<M: Members> Display for Json<'_, M> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"event\":\"{}\"", M::EVENT)?;
        self.0.write(&mut Object(f))
    }
}

/// Takes the members of an object. Keys are ours, and plain.
pub(in crate::ops) struct Object<'a, 'f>(&'a mut Formatter<'f>);

impl Object<'_, '_> {
    /// A text; of a peer's it takes as much as log lines show.
    pub(in crate::ops) fn text(&mut self, key: &str, text: &str) -> fmt::Result {
        write!(self.0, ",\"{key}\":\"")?;
        write_cut(self.0, text)?;
        self.0.write_str("\"")
    }

    /// Bytes that should be a text.
    pub(in crate::ops) fn bytes(&mut self, key: &str, bytes: &[u8]) -> fmt::Result {
        let shown = &bytes[..bytes.len().min(Printable::MAX_BYTES + 1)];
        self.text(key, &String::from_utf8_lossy(shown))
    }

    /// What shows itself in a few bytes of ours.
    pub(in crate::ops) fn shown(&mut self, key: &str, value: impl Display) -> fmt::Result {
        write!(self.0, ",\"{key}\":\"{value}\"")
    }

    /// A number.
    pub(in crate::ops) fn number(&mut self, key: &str, value: impl Into<u64>) -> fmt::Result {
        write!(self.0, ",\"{key}\":{}", value.into())
    }

    /// As many texts as `limit_bytes` have room for; the reader knows the number from elsewhere.
    pub(in crate::ops) fn list<'t>(
        &mut self,
        key: &str,
        texts: impl Iterator<Item = &'t str>,
        limit_bytes: usize,
    ) -> fmt::Result {
        write!(self.0, ",\"{key}\":[")?;
        let mut written = 0;
        for (index, text) in texts.enumerate() {
            if written >= limit_bytes {
                break;
            }
            written += text.len().min(Printable::MAX_BYTES) + 3;
            self.0.write_str(if index == 0 { "\"" } else { ",\"" })?;
            write_cut(self.0, text)?;
            self.0.write_str("\"")?;
        }
        self.0.write_str("]")
    }
}

fn write_cut(to: &mut impl Write, text: &str) -> fmt::Result {
    if text.len() <= Printable::MAX_BYTES {
        return Escaped(to).write_str(text);
    }
    let end = (0..=Printable::MAX_BYTES).rev().find(|at| text.is_char_boundary(*at));
    Escaped(to).write_str(&text[..end.unwrap_or(0)])?;
    to.write_str("...")
}

/// Writes text between the quotes of a JSON string (RFC 8259 §7).
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if text.as_bytes().iter().all(is_plain) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| match c {
            '"' => self.0.write_str("\\\""),
            '\\' => self.0.write_str("\\\\"),
            // Line ends of Unicode, too: some readers break at them.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                write!(self.0, "\\u{:04x}", u32::from(c))
            }
            c => self.0.write_char(c),
        })
    }
}

fn begin(line: &mut impl Write, level: tracing::Level) -> fmt::Result {
    let level = level.as_str().to_ascii_lowercase();
    write!(line, "{{\"time\":\"{:.3}\",\"level\":\"{level}\",", jiff::Timestamp::now())
}

/// Writes a warning of the log's own, with its line feed.
pub(super) fn warning(line: &mut impl Write, message: fmt::Arguments<'_>) -> fmt::Result {
    begin(line, tracing::Level::WARN)?;
    line.write_str("\"event\":\"log\",\"message\":\"")?;
    Escaped(line).write_fmt(message)?;
    line.write_str("\"}\n")
}

/// Writes `event` as an object.
pub(super) fn write(line: &mut impl Write, event: &Event<'_>) -> fmt::Result {
    begin(line, *event.metadata().level())?;
    let has_members = event.metadata().fields().field(FIELD).is_some();
    if !has_members {
        line.write_str("\"event\":\"log\"")?;
    }
    let mut visitor = Visitor { line, has_members, result: Ok(()) };
    event.record(&mut visitor);
    visitor.result?;
    line.write_str("}")
}

struct Visitor<'a, W> {
    line: &'a mut W,
    has_members: bool,
    result: fmt::Result,
}

impl<W: Write> Visitor<'_, W> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let written = match field.name() {
            FIELD => self.line.write_fmt(value),
            // The text form of the same.
            _ if self.has_members => Ok(()),
            name => self.member(name, value),
        };
        self.result = self.result.and(written);
    }

    fn member(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        write!(self.line, ",\"{name}\":\"")?;
        Escaped(self.line).write_fmt(value)?;
        self.line.write_str("\"")
    }
}

impl<W: Write> Visit for Visitor<'_, W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Level, capture};
    use super::*;

    struct Sample<'a>(&'a str);

    impl Members for Sample<'_> {
        const EVENT: &'static str = "sample";

        fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
            to.text("text", self.0)?;
            to.bytes("bytes", b"\xff\n")?;
            to.number("number", 7_u32)?;
            to.list("list", [self.0, "b", "c"].into_iter(), self.0.len() + 4)
        }
    }

    fn logged(work: impl FnOnce()) -> Vec<serde_json::Value> {
        let text = capture::lines(Format::Json, Level::Debug, work);
        text.lines().map(|line| serde_json::from_str(&line[3..]).unwrap()).collect()
    }

    #[test]
    fn an_event_is_an_object_with_its_members_and_not_its_text() {
        let evil = "a\"b\\c\n\u{2028}\u{7f}\u{fc}";
        let sample = Sample(evil);
        let lines = logged(|| {
            tracing::info!(target: super::super::EVENT, json = %Json(&sample), "sample text");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["event"], "sample");
        assert_eq!(lines[0]["level"], "info");
        assert_eq!(lines[0]["text"], evil);
        assert_eq!(lines[0]["bytes"], "\u{fffd}\n");
        assert_eq!(lines[0]["number"], 7);
        assert_eq!(lines[0]["list"], serde_json::json!([evil, "b"]), "bounded");
        assert_eq!(lines[0].get("message"), None);
        assert!(lines[0]["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn text_logs_show_no_members() {
        let sample = Sample("x");
        let text = capture::journal(Level::Debug, || {
            tracing::info!(target: super::super::EVENT, json = %Json(&sample), "sample text");
        });
        assert_eq!(text, "<6>sample text\n");
    }

    #[test]
    fn diagnostics_are_objects_with_a_message() {
        let name = "al\nice\"";
        let lines = logged(|| tracing::warn!(answer = 42, "user {name}"));
        assert_eq!(lines[0]["event"], "log");
        assert_eq!(lines[0]["level"], "warn");
        assert_eq!(lines[0]["message"], "user al\nice\"");
        assert_eq!(lines[0]["answer"], "42");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = "\u{fc}".repeat(300);
        let sample = Sample(&long);
        let lines = logged(|| {
            tracing::info!(target: super::super::EVENT, json = %Json(&sample), "sample text");
        });
        let text = lines[0]["text"].as_str().unwrap();
        assert_eq!(text.len(), Printable::MAX_BYTES + 3);
        assert!(text.ends_with("\u{fc}..."));
    }
}
