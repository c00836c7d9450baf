//! Properties of the SMTP codecs on random input, and the content scanner
//! against an independent reader of the same rules.
//!
//! The reader below looks at a whole message at once, line by line, and shares
//! no code and no states with the scanner, which looks at bytes and pieces.
#![cfg(test)]

use proptest::collection::vec;
use proptest::prelude::*;
use saslgate::wire::smtp::Stray;
use saslgate::wire::smtp::auth;
use saslgate::wire::smtp::command::{
    Body, Command, Mail, Notify, Parameter, Rcpt, RcptParameter, Ret,
};
use saslgate::wire::smtp::data::{Discipline, Scanner, State};
use saslgate::wire::smtp::ehlo::Capabilities;
use saslgate::wire::smtp::input::Input;
use saslgate::wire::smtp::line::{Line, LineSplitter};
use saslgate::wire::smtp::path::{Direction, Path};
use saslgate::wire::smtp::reply::{Reply, ReplyParser};
use saslgate::wire::smtp::xtext;

// ---- the scanner against the reader -------------------------------------

/// What reading a whole message gave.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    out: Vec<u8>,
    /// Where the end was, behind its CRLF.
    end: Option<usize>,
    violation: Option<Stray>,
    ambiguous_ends: usize,
}

/// Runs the scanner over the pieces, giving again what it does not consume.
fn scanned(discipline: Discipline, pieces: &[&[u8]]) -> Outcome {
    let mut scanner = Scanner::new(discipline);
    let mut outcome = Outcome::default();
    let mut consumed = 0;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let scanned = match outcome.violation {
                Some(_) => scanner.discard(rest),
                None => scanner.scan(rest, &mut outcome.out),
            };
            consumed += scanned.consumed;
            rest = &rest[scanned.consumed..];
            match scanned.state {
                State::More => break,
                State::End => {
                    outcome.end = Some(consumed);
                    return outcome;
                }
                State::Violation(stray) => outcome.violation = Some(stray),
                State::AmbiguousEnd => outcome.ambiguous_ends += 1,
            }
        }
    }
    outcome
}

/// How a line ended.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    CrLf,
    Lf,
    Cr,
}

/// Splits content where a sloppy server sees line ends. What has no end yet is
/// left out, and so is a CR that may still become CRLF.
fn sloppy_lines(content: &[u8]) -> Vec<(&[u8], Ending)> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < content.len() {
        let (ending, length) = match &content[at..] {
            [b'\r', b'\n', ..] => (Ending::CrLf, 2),
            [b'\r', _, ..] => (Ending::Cr, 1),
            [b'\n', ..] => (Ending::Lf, 1),
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push((&content[start..at], ending));
        at += length;
        start = at;
    }
    lines
}

fn without_nul(line: &[u8]) -> Vec<u8> {
    line.iter().copied().filter(|byte| *byte != 0).collect()
}

/// The rules of `Discipline::Reject`, on a whole message.
fn expect_rejecting(content: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut began_well = true;
    let mut taken = 0;
    for (line, ending) in sloppy_lines(content) {
        let length = line.len() + if ending == Ending::CrLf { 2 } else { 1 };
        if outcome.violation.is_none() {
            let nul = line.contains(&0).then_some(Stray::Nul);
            outcome.violation = nul.or(match ending {
                Ending::CrLf => None,
                Ending::Lf => Some(Stray::Lf),
                Ending::Cr => Some(Stray::Cr),
            });
        }
        taken += length;
        if line == b"." && began_well && ending == Ending::CrLf {
            outcome.end = Some(taken);
            break;
        }
        // Such a line can only be seen when something in it or before it is stray.
        outcome.ambiguous_ends += usize::from(without_nul(line) == b".");
        began_well = ending == Ending::CrLf;
    }
    // A NUL in a line that has not ended yet is seen at once.
    if outcome.violation.is_none() && outcome.end.is_none() && content[taken..].contains(&0) {
        outcome.violation = Some(Stray::Nul);
    }
    outcome
}

/// The rules of `Discipline::Normalize`, on a whole message that ends with CRLF.
fn expect_normalizing(content: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut began_well = true;
    let mut taken = 0;
    for piece in content.split_inclusive(|byte| *byte == b'\n') {
        taken += piece.len();
        let line = piece.strip_suffix(b"\n").unwrap();
        let (raw, ended_well) = match line.strip_suffix(b"\r") {
            Some(raw) => (raw, true),
            None => (line, false),
        };
        if raw == b"." && began_well && ended_well {
            outcome.end = Some(taken);
            return outcome;
        }
        let mut mended = without_nul(raw);
        mended.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
        if mended == b"." {
            mended.push(b'.');
        }
        outcome.out.extend_from_slice(&mended);
        outcome.out.extend_from_slice(b"\r\n");
        began_well = ended_well;
    }
    outcome
}

/// Content in which every second byte matters.
fn hostile_content() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![b"\r\n", b"\r\n.\r\n", b"\r", b"\n", b".", b"\0", b"a", b"text"];
    vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

fn split_at<'a>(content: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(content.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(content.len());
    let mut start = 0;
    cuts.into_iter().map(|end| &content[std::mem::replace(&mut start, end)..end]).collect()
}

/// All places where a strict server sees the end in what the gate sends it.
fn strict_ends(sent: &[u8]) -> Vec<usize> {
    let stream = [b"\r\n", sent].concat();
    (0..stream.len()).filter(|&at| stream[at..].starts_with(b"\r\n.\r\n")).collect()
}

fn has_strays(content: &[u8]) -> bool {
    let pairs = content.windows(2).filter(|pair| pair == b"\r\n").count();
    content.iter().filter(|byte| b"\r\n\0".contains(byte)).count() != 2 * pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rejecting_agrees_with_the_reader(content in hostile_content()) {
        let found = scanned(Discipline::Reject, &[&content]);
        let expected = expect_rejecting(&content);
        prop_assert_eq!(found.end, expected.end);
        prop_assert_eq!(found.violation.is_some(), expected.violation.is_some());
        prop_assert_eq!(found.ambiguous_ends, expected.ambiguous_ends);
        prop_assert!(!has_strays(&found.out), "{:?}", found.out);
        prop_assert!(content.starts_with(&found.out), "not the bytes that came");
        if let (Some(end), None) = (found.end, found.violation) {
            prop_assert_eq!(&found.out[..], &content[..end - 3]);
        }
    }

    #[test]
    fn normalizing_agrees_with_the_reader(mut content in hostile_content()) {
        content.extend_from_slice(b"\r\n");
        let found = scanned(Discipline::Normalize, &[&content]);
        prop_assert_eq!(found, expect_normalizing(&content));
    }

    #[test]
    fn what_goes_to_the_backend_has_one_end(content in hostile_content(), normalize: bool) {
        let discipline = if normalize { Discipline::Normalize } else { Discipline::Reject };
        let content = [&content[..], b"\r\n.\r\n"].concat();
        let found = scanned(discipline, &[&content]);
        if found.violation.is_none() {
            prop_assert!(found.end.is_some());
            let sent = [&found.out[..], b".\r\n"].concat();
            prop_assert_eq!(strict_ends(&sent), [sent.len() - 3], "{:?}", sent);
            prop_assert!(!has_strays(&sent));
        }
    }

    #[test]
    fn any_split_of_content_gives_the_same(
        content in hostile_content(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
        normalize: bool,
    ) {
        let discipline = if normalize { Discipline::Normalize } else { Discipline::Reject };
        let whole = scanned(discipline, &[&content]);
        prop_assert_eq!(scanned(discipline, &split_at(&content, &cuts)), whole);
    }

    #[test]
    fn any_split_of_commands_gives_the_same_lines(
        content in hostile_content(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
        limit in 1_usize..12,
    ) {
        let whole = lines(limit, &[&content]);
        prop_assert_eq!(lines(limit, &split_at(&content, &cuts)), whole);
    }
}

fn lines(limit: usize, pieces: &[&[u8]]) -> Vec<Line> {
    let mut splitter = LineSplitter::new(limit);
    let mut input = Input::new();
    let mut found = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        found.extend(std::iter::from_fn(|| splitter.next(&mut input)));
    }
    found
}

// ---- round trips ---------------------------------------------------------

fn path(direction: Direction) -> impl Strategy<Value = Path> {
    let atom = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\u{f6}\u{4e2d}-]{1,12}";
    let quoted = r#""([ !#-\[\]-~\u{f6}]|\\[ -~]){0,12}""#;
    let local = prop_oneof![
        vec(atom, 1..3).prop_map(|atoms| atoms.join(".")),
        proptest::string::string_regex(quoted).unwrap(),
    ];
    let label = "[a-zA-Z0-9_]([a-zA-Z0-9_\u{e4}-]{0,8}[a-zA-Z0-9_])?";
    let domain = prop_oneof![
        4 => vec(label, 1..4).prop_map(|labels| labels.join(".")),
        1 => any::<std::net::Ipv4Addr>().prop_map(|v4| format!("[{v4}]")),
        1 => any::<std::net::Ipv6Addr>().prop_map(|v6| format!("[IPv6:{v6}]")),
    ];
    let special = if direction == Direction::Reverse { "<>" } else { "<PostMaster>" };
    let text = prop_oneof![
        1 => Just(special.to_owned()),
        9 => (local, domain).prop_map(|(local, domain)| format!("<{local}@{domain}>")),
    ];
    text.prop_map(move |text| {
        let (path, rest) = Path::parse(text.as_bytes(), direction).expect(&text);
        assert_eq!((path.to_string().as_str(), rest), (text.as_str(), &b""[..]));
        path
    })
}

fn xtext_of(most: usize) -> impl Strategy<Value = String> {
    vec(0x20_u8..=0x7e, 1..most).prop_map(|plain| xtext::encode(&plain))
}

fn mail() -> impl Strategy<Value = Mail> {
    let body = prop::sample::select(vec![Body::SevenBit, Body::EightBitMime]);
    let ret = prop::sample::select(vec![Ret::Full, Ret::Hdrs]);
    let optional = (
        proptest::option::of(any::<u64>().prop_map(Parameter::Size)),
        proptest::option::of(body.prop_map(Parameter::Body)),
        proptest::option::of(ret.prop_map(Parameter::Ret)),
        proptest::option::of(xtext_of(30).prop_map(Parameter::Envid)),
        any::<bool>(),
    );
    (path(Direction::Reverse), optional).prop_map(|(sender, (size, body, ret, envid, utf8))| {
        let utf8 = (utf8 || sender.needs_smtputf8()).then_some(Parameter::SmtpUtf8);
        let parameters = [utf8, envid, size, ret, body].into_iter().flatten().collect();
        Mail { sender, parameters }
    })
}

fn rcpt() -> impl Strategy<Value = Rcpt> {
    let on = (any::<bool>(), any::<bool>(), any::<bool>());
    let notify = on.prop_map(|(success, failure, delay)| {
        let never = !(success || failure || delay);
        if never { Notify::Never } else { Notify::On { success, failure, delay } }
    });
    let optional = (
        proptest::option::of(notify.prop_map(RcptParameter::Notify)),
        proptest::option::of(
            xtext_of(100).prop_map(|address| RcptParameter::Orcpt(format!("rfc822;{address}"))),
        ),
    );
    (path(Direction::Forward), optional).prop_map(|(recipient, (notify, orcpt))| Rcpt {
        recipient,
        parameters: [notify, orcpt].into_iter().flatten().collect(),
    })
}

fn able() -> Capabilities {
    Capabilities {
        size: Some(0),
        eight_bit_mime: true,
        dsn: true,
        smtputf8: true,
        ..Capabilities::default()
    }
}

/// An enhanced code and any bytes that do not end a line.
fn backend_text() -> impl Strategy<Value = Vec<u8>> {
    proptest::string::bytes_regex(r"(?s-u)5\.[0-9]\.[0-9] [^\r\n\x00]{0,60}").unwrap()
}

fn as_line(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(out.split_off(out.len() - 2), b"\r\n");
    out
}

proptest! {
    #[test]
    fn mail_round_trips(mail in mail()) {
        let line = as_line(|out| mail.write(&able(), out));
        prop_assert_eq!(Command::parse(&line), Ok(Command::Mail(mail)));
    }

    #[test]
    fn rcpt_round_trips(rcpt in rcpt()) {
        let line = as_line(|out| rcpt.write(&able(), out));
        prop_assert_eq!(Command::parse(&line), Ok(Command::Rcpt(rcpt)));
    }

    #[test]
    fn a_line_for_the_backend_is_one_line_whatever_came(
        verb in prop::sample::select(vec!["MAIL FROM:", "RCPT TO:"]),
        path in "(<[ -~\u{f6}\r\n\0]{0,20}>?|<a@b>)",
        parameters in "( (SIZE|BODY|AUTH|ENVID|NOTIFY|ORCPT|SMTPUTF8|X)=?[ -~\u{f6}\r\n]{0,10}){0,3}",
    ) {
        let line = format!("{verb}{path}{parameters}");
        let mut out = Vec::new();
        match Command::parse(line.as_bytes()) {
            Ok(Command::Mail(mail)) => mail.write(&able(), &mut out),
            Ok(Command::Rcpt(rcpt)) => rcpt.write(&able(), &mut out),
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(error) => error.reply().write(&mut out),
        }
        prop_assert!(out.ends_with(b"\r\n"));
        let line = &out[..out.len() - 2];
        prop_assert!(!line.iter().any(u8::is_ascii_control), "{:?}", line);
        prop_assert!(!line.windows(5).any(|word| word == b"AUTH=") || line.starts_with(b"5"));
    }

    #[test]
    fn random_bytes_are_commands_or_errors(line in vec(any::<u8>(), 0..200)) {
        let _ = Command::parse(&line);
        let _ = auth::decode_response(&line);
        let _ = xtext::decode(&line);
    }

    #[test]
    fn replies_round_trip(
        code in 200_u16..=599,
        texts in vec("[^\r\n\0]{0,60}", 1..5),
    ) {
        let reply = Reply::multiline(code, "", texts);
        let mut wire = Input::new();
        let mut bytes = Vec::new();
        reply.write(&mut bytes);
        wire.extend_from_slice(&bytes);
        let parsed = ReplyParser::new().feed(&mut wire).unwrap().unwrap();
        prop_assert!(wire.is_empty());
        prop_assert_eq!(parsed, reply);
    }

    #[test]
    fn backend_replies_pass_unchanged(texts in vec(backend_text(), 1..5)) {
        let last = texts.len() - 1;
        let wire: Vec<u8> = texts
            .iter()
            .enumerate()
            .flat_map(|(number, text)| {
                let mark: &[u8] = if number == last { b"550 " } else { b"550-" };
                [mark, text, b"\r\n"].concat()
            })
            .collect();
        let reply = ReplyParser::new().feed(&mut wire.clone()).unwrap().unwrap();
        let mut out = Vec::new();
        reply.write(&mut out);
        prop_assert_eq!(out, wire);
    }

    #[test]
    fn a_random_backend_is_a_reply_or_an_error(
        bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(b"25 -\r\n".to_vec())], 0..300),
    ) {
        let mut input = bytes;
        let mut parser = ReplyParser::new();
        while let Some(Ok(reply)) = parser.feed(&mut input) {
            prop_assert!((200..=599).contains(&reply.code));
            prop_assert!(!reply.lines().flatten().any(|byte| b"\r\n\0".contains(byte)));
            let _ = (Capabilities::parse(&reply), reply.first_line());
        }
    }

    #[test]
    fn xtext_round_trips(plain in vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(xtext::decode(xtext::encode(&plain).as_bytes()), Some(plain));
    }
}
