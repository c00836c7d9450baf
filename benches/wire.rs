//! Micro-benchmarks of the SMTP codecs: `cargo bench --bench wire`.
//!
//! Content is what a submission gate spends its bytes on, so the scanner is
//! measured on a typical message (lines of 76 bytes), on short lines, and on
//! content that has to be mended.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use saslgate::wire::smtp::command::Command;
use saslgate::wire::smtp::data::{Discipline, Scanner};
use saslgate::wire::smtp::input::Input;
use saslgate::wire::smtp::line::LineSplitter;
use saslgate::wire::smtp::reply::ReplyParser;

fn main() {
    divan::main();
}

const MEBIBYTE: usize = 1 << 20;
/// What a driver reads from a socket at once.
const PIECE_BYTES: usize = 16 * 1024;

/// About a mebibyte of content in lines of `width` bytes, each ended by `end`.
fn content(width: usize, end: &[u8]) -> Vec<u8> {
    let line = [&vec![b'x'; width][..], end].concat();
    line.repeat(MEBIBYTE / line.len())
}

fn scan(bencher: Bencher, discipline: Discipline, content: &[u8]) {
    let mut out = Vec::with_capacity(4 * PIECE_BYTES);
    bencher.counter(BytesCount::new(content.len())).bench_local(|| {
        let mut scanner = Scanner::new(discipline);
        for piece in black_box(content).chunks(PIECE_BYTES) {
            out.clear();
            black_box(scanner.scan(piece, &mut out));
        }
        scanner.bytes()
    });
}

#[divan::bench(args = [1, 20, 76, 998])]
fn scan_clean_lines(bencher: Bencher, width: usize) {
    scan(bencher, Discipline::Reject, &content(width, b"\r\n"));
}

#[divan::bench]
fn scan_stuffed_dots(bencher: Bencher) {
    scan(bencher, Discipline::Reject, &b"..\r\n".repeat(MEBIBYTE / 4));
}

#[divan::bench(args = [20, 76])]
fn mend_bare_lf(bencher: Bencher, width: usize) {
    scan(bencher, Discipline::Normalize, &content(width, b"\n"));
}

#[divan::bench]
fn discard_after_a_violation(bencher: Bencher) {
    let content = content(76, b"\r\n");
    bencher.counter(BytesCount::new(content.len())).bench_local(|| {
        let mut scanner = Scanner::new(Discipline::Reject);
        scanner.scan(b"\n", &mut Vec::new());
        black_box(scanner.discard(black_box(&content)))
    });
}

#[divan::bench(args = [
    "NOOP",
    "EHLO mail.example.org",
    "MAIL FROM:<first.last@example.org>",
    "MAIL FROM:<first.last@example.org> SIZE=12345 BODY=8BITMIME RET=HDRS ENVID=QQ314159",
    "RCPT TO:<first.last@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first.last@example.org",
    "AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHMzY3JldCBwYXNzcGhyYXNl",
])]
fn parse_command(bencher: Bencher, line: &str) {
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench_local(|| Command::parse(black_box(line.as_bytes())));
}

/// A client that sends as many lines as it can at once costs the same a line.
#[divan::bench(args = [10, 1_000, 100_000])]
fn split_pipelined_lines(bencher: Bencher, count: usize) {
    let pipelined = b"RSET\r\n".repeat(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut input = Input::new();
        input.extend_from_slice(&pipelined);
        let mut splitter = LineSplitter::new(2048);
        while let Some(line) = splitter.next(&mut input) {
            black_box(line);
        }
    });
}

#[divan::bench]
fn parse_reply(bencher: Bencher) {
    let wire = b"250 2.0.0 6AKBaHSi006712 Message accepted for delivery\r\n";
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let mut input = black_box(wire).to_vec();
        ReplyParser::new().feed(&mut input)
    });
}
