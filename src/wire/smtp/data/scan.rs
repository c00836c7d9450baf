//! The scanner on clean content: finds what is not a line of text, copies what is.
//!
//! The hot loop of the gate: runs of lines are found with memchr and copied
//! whole. What happens after a violation is in `discard`.

use super::{Discipline, LineStart, Place, Scanned, Scanner, State};
use crate::wire::smtp::Stray;

/// What a byte does to the scanner.
enum Step {
    To(Place),
    /// A stray byte; a CR shows itself only at the byte behind it.
    Stray(Stray),
    End,
}

/// Content of one piece that was found clean and is not put out yet:
/// `carried` held bytes of earlier pieces, then `input[from..]`. Copying whole
/// runs of lines is what makes this fast.
struct Run<'a> {
    input: &'a [u8],
    from: usize,
    carried: usize,
}

impl Run<'_> {
    /// Puts out what comes before the bytes that `place` holds back, which end at `at`.
    fn flush(&self, place: Place, at: usize, out: &mut Vec<u8>) {
        let held_here = place.held().len() - self.carried;
        out.extend_from_slice(&self.input[self.from..at - held_here]);
    }

    /// Goes on at `at`, with what `place` holds counted as carried.
    fn restart(&mut self, place: Place, at: usize) {
        self.from = at;
        self.carried = place.held().len();
    }
}

impl Scanner {
    /// Reads on in `input`, and appends to `out` what belongs to the message.
    /// Up to two bytes that may belong to the end are held back until more
    /// comes. Any split of the content into pieces gives the same.
    pub fn scan(&mut self, input: &[u8], out: &mut Vec<u8>) -> Scanned {
        if let Some(stray) = self.violation {
            return Scanned { consumed: 0, state: State::Violation(stray) };
        }
        let before = out.len();
        let scanned = self.read(input, out);
        self.bytes += (out.len() - before) as u64;
        scanned
    }

    fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> Scanned {
        let mut run = Run { input, from: 0, carried: self.place.held().len() };
        let mut at = 0;
        while at < input.len() {
            if self.place == Place::Text {
                match memchr::memchr3(b'\r', b'\n', 0, &input[at..]) {
                    Some(found) => at += found,
                    None => break,
                }
            }
            match self.step(input[at]) {
                Step::To(place) => {
                    if place != Place::DotCr {
                        out.extend_from_slice(&self.place.held()[..run.carried]);
                        run.carried = 0;
                    }
                    self.enter(place);
                    at += 1;
                }
                Step::Stray(stray) => {
                    run.flush(self.place, at, out);
                    if self.discipline == Discipline::Reject {
                        return self.violate(stray, input[at], at);
                    }
                    at += self.mend(stray, out);
                    run.restart(self.place, at);
                }
                Step::End => {
                    run.flush(self.place, at, out);
                    at += 1;
                    if self.line_start == LineStart::Strict {
                        return Scanned { consumed: at, state: State::End };
                    }
                    // The dot stands alone only since what was before it was mended.
                    out.extend_from_slice(b"..\r\n");
                    self.enter(Place::Start);
                    run.restart(self.place, at);
                }
            }
        }
        run.flush(self.place, input.len(), out);
        Scanned { consumed: input.len(), state: State::More }
    }

    fn step(&self, byte: u8) -> Step {
        match (self.place, byte) {
            (Place::Cr, b'\n') => Step::To(Place::Start),
            (Place::DotCr, b'\n') => Step::End,
            (Place::Cr | Place::DotCr, _) => Step::Stray(Stray::Cr),
            (_, b'\n') => Step::Stray(Stray::Lf),
            (_, 0) => Step::Stray(Stray::Nul),
            (Place::Dot, b'\r') => Step::To(Place::DotCr),
            (_, b'\r') => Step::To(Place::Cr),
            (Place::Start, b'.') => Step::To(Place::Dot),
            _ => Step::To(Place::Text),
        }
    }

    fn enter(&mut self, place: Place) {
        self.place = place;
        if place == Place::Start {
            self.line_start = LineStart::Strict;
        }
    }

    /// Ends the message's chances; `byte` at `at` showed it.
    fn violate(&mut self, stray: Stray, byte: u8, at: usize) -> Scanned {
        self.violation = Some(stray);
        let followed = self.follow(byte);
        self.is_ambiguous = followed.state == State::AmbiguousEnd;
        Scanned { consumed: at + followed.consumed, state: State::Violation(stray) }
    }

    /// Puts out the mended form of a stray byte and of the held bytes before
    /// it. Gives how many bytes of the input that takes: a CR shows itself one
    /// byte late, so it takes none.
    fn mend(&mut self, stray: Stray, out: &mut Vec<u8>) -> usize {
        match stray {
            Stray::Lf => {
                let line_end: &[u8] = if self.place == Place::Dot { b"..\r\n" } else { b"\r\n" };
                out.extend_from_slice(line_end);
                self.place = Place::Start;
                self.line_start = LineStart::Sloppy;
                1
            }
            Stray::Cr => {
                let blank: &[u8] = if self.place == Place::DotCr { b". " } else { b" " };
                out.extend_from_slice(blank);
                self.place = Place::Text;
                0
            }
            Stray::Nul => {
                self.line_start = LineStart::Sloppy;
                1
            }
        }
    }
}
