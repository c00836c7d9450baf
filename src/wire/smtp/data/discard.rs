//! The scanner on content that is lost: reads on to the end, and tells where a
//! sloppy client may think the end is.
//!
//! A sloppy line end is CRLF, LF alone or CR alone, and a NUL may be overlooked.
//! A dot between two of these is an ambiguous end, unless both are CRLF with
//! nothing else, which is the end. Under [`Discipline::Normalize`] a client is
//! expected to be sloppy, and only the end counts, as when the message is taken.

use super::{Discipline, LineStart, Place, Scanned, Scanner, State};

impl Scanner {
    /// Reads over the rest of the content, putting nothing out: after a
    /// [`State::Violation`], or because the message is refused for another
    /// reason. Gives `More`, `End` or `AmbiguousEnd`; the last with `consumed: 0`
    /// if the violation itself was one. Any split into pieces gives the same.
    pub fn discard(&mut self, input: &[u8]) -> Scanned {
        if std::mem::take(&mut self.is_ambiguous) {
            return Scanned { consumed: 0, state: State::AmbiguousEnd };
        }
        let mut at = 0;
        while at < input.len() {
            if self.place == Place::Text {
                match memchr::memchr2(b'\r', b'\n', &input[at..]) {
                    Some(found) => at += found,
                    None => break,
                }
            }
            let followed = self.follow(input[at]);
            at += followed.consumed;
            let is_passed_over =
                followed.state == State::AmbiguousEnd && self.discipline == Discipline::Normalize;
            if followed.state != State::More && !is_passed_over {
                return Scanned { consumed: at, state: followed.state };
            }
        }
        Scanned { consumed: input.len(), state: State::More }
    }

    /// Takes one byte as a sloppy reader would. `consumed` is 0 if the byte is
    /// to be given again: it showed the CR before it to be a line end.
    pub(super) fn follow(&mut self, byte: u8) -> Scanned {
        let more = |consumed| Scanned { consumed, state: State::More };
        let ambiguous = |consumed| Scanned { consumed, state: State::AmbiguousEnd };
        match (self.place, byte) {
            (Place::DotCr, b'\n') => {
                let is_end = self.line_start == LineStart::Strict;
                self.begin_line(LineStart::Strict);
                if is_end { Scanned { consumed: 1, state: State::End } } else { ambiguous(1) }
            }
            (Place::DotCr, _) => {
                self.begin_line(LineStart::Sloppy);
                ambiguous(0)
            }
            (Place::Cr, b'\n') => {
                self.begin_line(LineStart::Strict);
                more(1)
            }
            (Place::Cr, _) => {
                self.begin_line(LineStart::Sloppy);
                more(0)
            }
            (place, b'\n') => {
                self.begin_line(LineStart::Sloppy);
                if place == Place::Dot { ambiguous(1) } else { more(1) }
            }
            (_, 0) => {
                self.line_start = LineStart::Sloppy;
                more(1)
            }
            (place, _) => {
                self.place = match (place, byte) {
                    (Place::Dot, b'\r') => Place::DotCr,
                    (_, b'\r') => Place::Cr,
                    (Place::Start, b'.') => Place::Dot,
                    _ => Place::Text,
                };
                more(1)
            }
        }
    }

    fn begin_line(&mut self, how: LineStart) {
        self.place = Place::Start;
        self.line_start = how;
    }
}
