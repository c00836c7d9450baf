//! Literal content through the scanner. Random content against an independent
//! reader of the same rules is in `tests/smtp_wire.rs`.

use super::*;

/// What a whole message gave.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    out: Vec<u8>,
    /// Everything but `More`, in order, up to the first `End`.
    states: Vec<State>,
    /// Bytes taken up to the end, or all.
    consumed: usize,
}

/// Reads a message piece by piece as the driver does: whatever was not
/// consumed is given again.
fn read(discipline: Discipline, pieces: &[&[u8]]) -> Outcome {
    let mut scanner = Scanner::new(discipline);
    let mut outcome = Outcome { out: Vec::new(), states: Vec::new(), consumed: 0 };
    let mut is_lost = false;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let scanned =
                if is_lost { scanner.discard(rest) } else { scanner.scan(rest, &mut outcome.out) };
            rest = &rest[scanned.consumed..];
            outcome.consumed += scanned.consumed;
            match scanned.state {
                State::More => break,
                State::Violation(_) => is_lost = true,
                State::AmbiguousEnd | State::End => {}
            }
            outcome.states.push(scanned.state);
            if scanned.state == State::End {
                assert_eq!(scanner.bytes(), outcome.out.len() as u64);
                return outcome;
            }
        }
        assert!(rest.is_empty(), "More, but not used up");
    }
    outcome
}

fn reject(content: &[u8]) -> Outcome {
    read(Discipline::Reject, &[content])
}

fn normalize(content: &[u8]) -> Outcome {
    read(Discipline::Normalize, &[content])
}

fn good(out: &[u8], consumed: usize) -> Outcome {
    Outcome { out: out.to_vec(), states: vec![State::End], consumed }
}

#[test]
fn clean_content_passes_unchanged() {
    for discipline in [Discipline::Reject, Discipline::Normalize] {
        let read = |content: &[u8]| read(discipline, &[content]);
        assert_eq!(read(b".\r\n"), good(b"", 3), "an empty message");
        assert_eq!(read(b"\r\n.\r\n"), good(b"\r\n", 5));
        assert_eq!(read(b"Subject: x\r\n\r\nHi\r\n.\r\n"), good(b"Subject: x\r\n\r\nHi\r\n", 21));
        assert_eq!(read(b"..\r\n.\r\n"), good(b"..\r\n", 7), "dot-stuffing stays");
        assert_eq!(read(b".x\r\n..y\r\n.\r\n"), good(b".x\r\n..y\r\n", 12));
        assert_eq!(read(b"a.\r\n.\r\n"), good(b"a.\r\n", 7));
        assert_eq!(
            read(b"gr\xfc\xc3\xbcn\x01\x7f\r\n.\r\n"),
            good(b"gr\xfc\xc3\xbcn\x01\x7f\r\n", 13)
        );
    }
}

#[test]
fn what_follows_the_end_is_left_alone() {
    assert_eq!(reject(b"a\r\n.\r\nMAIL FROM:<b@c>\r\n"), good(b"a\r\n", 6));
    assert_eq!(reject(b".\r\n.\r\n"), good(b"", 3));
    assert_eq!(reject(b"a\r\n.\r\n\0\n\r"), good(b"a\r\n", 6));
}

#[test]
fn bytes_that_may_belong_to_the_end_are_held_back() {
    let mut scanner = Scanner::new(Discipline::Reject);
    let mut out = Vec::new();
    let mut feed = |piece: &[u8]| {
        let scanned = scanner.scan(piece, &mut out);
        (scanned, out.clone(), scanner.bytes())
    };
    let more = |consumed| Scanned { consumed, state: State::More };
    assert_eq!(feed(b"ab\r"), (more(3), b"ab".to_vec(), 2));
    assert_eq!(feed(b"\n"), (more(1), b"ab\r\n".to_vec(), 4));
    assert_eq!(feed(b"."), (more(1), b"ab\r\n".to_vec(), 4));
    assert_eq!(feed(b".\r"), (more(2), b"ab\r\n..".to_vec(), 6));
    assert_eq!(feed(b"\n.\r"), (more(3), b"ab\r\n..\r\n".to_vec(), 8));
    assert_eq!(feed(b""), (more(0), b"ab\r\n..\r\n".to_vec(), 8));
    let end = Scanned { consumed: 1, state: State::End };
    assert_eq!(feed(b"\nQUIT"), (end, b"ab\r\n..\r\n".to_vec(), 8));
}

#[test]
fn a_stray_byte_stops_the_message_in_front_of_itself() {
    use State::{End, Violation};
    let lost = |out: &[u8], stray, consumed| Outcome {
        out: out.to_vec(),
        states: vec![Violation(stray), End],
        consumed,
    };
    assert_eq!(reject(b"a\nb\r\n.\r\nQUIT\r\n"), lost(b"a", Stray::Lf, 8));
    assert_eq!(reject(b"a\rb\r\n.\r\nQUIT\r\n"), lost(b"a", Stray::Cr, 8));
    assert_eq!(reject(b"a\0b\r\n.\r\nQUIT\r\n"), lost(b"a", Stray::Nul, 8));
    assert_eq!(reject(b"a\r\r\n.\r\n"), lost(b"a", Stray::Cr, 7), "CR CR LF");
    assert_eq!(reject(b"a\r\n.x\n.\r.\r\nb\r\n.\r\n").out, b"a\r\n.x");
    assert_eq!(reject(b"a\r\n.x\n").states, [Violation(Stray::Lf)]);
}

#[test]
fn after_a_violation_scanning_gives_nothing_more() {
    let mut scanner = Scanner::new(Discipline::Reject);
    let mut out = Vec::new();
    let stop = Scanned { consumed: 2, state: State::Violation(Stray::Lf) };
    assert_eq!(scanner.scan(b"a\nb", &mut out), stop);
    assert_eq!(scanner.scan(b"b", &mut out), Scanned { consumed: 0, ..stop });
    assert_eq!((out, scanner.bytes()), (b"a".to_vec(), 1));
}

/// The known malformed ends (CVE-2023-51764, -51765, -51766, -52354, VU#302671):
/// each was the end of content for some server. With the stray byte that gives it away.
const MALFORMED_ENDS: &[(&[u8], Stray)] = &[
    (b"\n.\r\n", Stray::Lf),
    (b"\n.\n", Stray::Lf),
    (b"\n.\r", Stray::Lf),
    (b"\r\n.\n", Stray::Lf),
    (b"\r\n.\r", Stray::Cr),
    (b"\r.\r\n", Stray::Cr),
    (b"\r.\r", Stray::Cr),
    (b"\r.\n", Stray::Cr),
    (b"\r\n\0.\r\n", Stray::Nul),
    (b"\r\n.\0\r\n", Stray::Nul),
    (b"\r\n.\r\0\n", Stray::Cr),
    (b"\r\0\n.\r\n", Stray::Cr),
    (b"\n\0.\n", Stray::Lf),
    (b"\r\n.\r\r\n", Stray::Cr),
    (b"\r\r\n.\r\r\n", Stray::Cr),
    (b"\n\r.\r\n", Stray::Lf),
    (b"\n\n.\n\n", Stray::Lf),
];

const SMUGGLED: &[u8] = b"MAIL FROM:<evil@example.org>\r\nDATA\r\nhi\r\n.\r\n";

#[test]
fn every_malformed_end_is_refused_and_reported_as_ambiguous() {
    for (form, stray) in MALFORMED_ENDS {
        let content = [b"text", *form, SMUGGLED].concat();
        let outcome = reject(&content);
        let expected = [State::Violation(*stray), State::AmbiguousEnd, State::End];
        assert_eq!(outcome.states, expected, "{form:?}");
        assert!(b"text\r\n".starts_with(&outcome.out[..]), "{form:?}: {:?}", outcome.out);
        assert_eq!(outcome.consumed, content.len());
    }
}

#[test]
fn an_ambiguous_end_is_reported_even_if_nothing_follows() {
    // A client that ends with CRLF.LF sends nothing more and waits for its reply.
    assert_eq!(reject(b"a\r\n.\n").states, [State::Violation(Stray::Lf), State::AmbiguousEnd]);
    assert_eq!(reject(b"a\n.\n").states, [State::Violation(Stray::Lf), State::AmbiguousEnd]);
    assert_eq!(reject(b".\n").states, [State::Violation(Stray::Lf), State::AmbiguousEnd]);
}

#[test]
fn a_dot_inside_a_line_is_no_ambiguous_end() {
    let states = [State::Violation(Stray::Lf), State::End];
    assert_eq!(reject(b"a\nb.\n.b\n..\n. \n\r\n.\r\n").states, states);
}

#[test]
fn a_message_refused_for_another_reason_is_read_to_its_end() {
    let rest = b"x\r\n..\r\n\n.\n\r\n.\r\nQUIT\r\n";
    let discard = |discipline, first: &[u8]| {
        let mut scanner = Scanner::new(discipline);
        scanner.scan(first, &mut Vec::new());
        scanner.discard(rest)
    };
    let end = Scanned { consumed: 15, state: State::End };
    assert_eq!(discard(Discipline::Normalize, b"a\r\n."), end, "what mending would take");
    let doubt = Scanned { consumed: 10, state: State::AmbiguousEnd };
    assert_eq!(discard(Discipline::Reject, b"a\r"), doubt);
    let mut scanner = Scanner::new(Discipline::Reject);
    scanner.scan(b"a\r\n.\r", &mut Vec::new());
    assert_eq!(scanner.discard(b"\nQUIT"), Scanned { consumed: 1, state: State::End });
}

#[test]
fn normalizing_leaves_exactly_one_end() {
    for (form, _) in MALFORMED_ENDS {
        let content = [b"text", *form, SMUGGLED].concat();
        let outcome = normalize(&content);
        assert_eq!(outcome.states, [State::End], "{form:?}");
        assert_eq!(outcome.consumed, content.len(), "{form:?}: ended before the real end");
        let sent = [b"\r\n", &outcome.out[..], b".\r\n"].concat();
        let ends: Vec<usize> =
            (0..sent.len()).filter(|&at| sent[at..].starts_with(b"\r\n.\r\n")).collect();
        assert_eq!(ends, [sent.len() - 5], "{form:?} became {:?}", outcome.out);
        assert_eq!(strays(&sent), 0, "{form:?} became {:?}", outcome.out);
    }
}

/// CR and LF that are not a pair, and NULs.
fn strays(content: &[u8]) -> usize {
    let pairs = content.windows(2).filter(|pair| pair == b"\r\n").count();
    content.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count() - 2 * pairs
}

#[test]
fn normalizing_mends_each_stray_byte() {
    assert_eq!(normalize(b"a\nb\r\n.\r\n"), good(b"a\r\nb\r\n", 8));
    assert_eq!(normalize(b"a\rb\r\n.\r\n"), good(b"a b\r\n", 8));
    assert_eq!(normalize(b"a\0b\r\n.\r\n"), good(b"ab\r\n", 8));
    assert_eq!(normalize(b"a\r\r\n.\r\n"), good(b"a \r\n", 7));
    assert_eq!(normalize(b"\n\n\r\n.\r\n"), good(b"\r\n\r\n\r\n", 7));
    assert_eq!(normalize(b"\n..\r\n.\r\n"), good(b"\r\n..\r\n", 8), "was stuffed by the client");
    assert_eq!(normalize(b"\n.a\r\n.\r\n"), good(b"\r\n.a\r\n", 8));
    assert_eq!(normalize(b"a\r\n.\n\r\n.\r\n").out, b"a\r\n..\r\n\r\n");
    assert_eq!(normalize(b"a\n.\r\n.\r\n").out, b"a\r\n..\r\n");
    assert_eq!(normalize(b"a\r\n\0.\r\n.\r\n").out, b"a\r\n..\r\n");
    assert_eq!(normalize(b"a\r\n.\0\r\n.\r\n").out, b"a\r\n..\r\n");
    assert_eq!(normalize(b"a\r\n.\0b\r\n.\r\n").out, b"a\r\n.b\r\n");
    assert_eq!(normalize(b"a\r\n.\rb\r\n.\r\n").out, b"a\r\n. b\r\n");
}

#[test]
fn every_split_gives_the_same() {
    let mut samples: Vec<Vec<u8>> =
        MALFORMED_ENDS.iter().map(|(form, _)| [b"a", *form, b"b\r\n.\r\nQ"].concat()).collect();
    samples.push(b"Subject: x\r\n\r\n..y\r\n.z\r\n\r\n.\r\nQUIT\r\n".to_vec());
    for discipline in [Discipline::Reject, Discipline::Normalize] {
        for content in &samples {
            let whole = read(discipline, &[content]);
            for first in 0..=content.len() {
                for second in first..=content.len() {
                    let pieces = [&content[..first], &content[first..second], &content[second..]];
                    let split = read(discipline, &pieces);
                    assert_eq!(split, whole, "{content:?} at {first}, {second}");
                }
            }
            let bytes: Vec<&[u8]> = content.chunks(1).collect();
            assert_eq!(read(discipline, &bytes), whole, "{content:?} byte by byte");
        }
    }
}
