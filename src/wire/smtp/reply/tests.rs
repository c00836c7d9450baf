//! Our replies and the backend's: literal bytes, every truncation, mutation and split.

use super::*;

fn written(reply: &Reply) -> String {
    let mut out = Vec::new();
    reply.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn read(bytes: &[u8]) -> Option<Result<Reply, ReplyError>> {
    ReplyParser::new().feed(&mut bytes.to_vec())
}

fn reply(bytes: &[u8]) -> Reply {
    read(bytes).unwrap().unwrap()
}

#[test]
fn our_replies_have_code_enhanced_code_and_text() {
    assert_eq!(written(&Reply::new(250, "2.1.0", "Sender ok")), "250 2.1.0 Sender ok\r\n");
    assert_eq!(written(&Reply::new(334, "", "VXNlcm5hbWU6")), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(written(&Reply::new(334, "", "")), "334 \r\n", "clients wait for the blank");
    let lines = Reply::multiline(550, "5.7.1", ["no", "really"]);
    assert_eq!(written(&lines), "550-5.7.1 no\r\n550 5.7.1 really\r\n");
    assert_eq!(written(&Reply::multiline(250, "", Vec::<String>::new())), "250 \r\n");
}

#[test]
fn text_cannot_end_a_line() {
    let reply = Reply::new(550, "", "no\r\n250 yes\0");
    assert_eq!(written(&reply), "550 no  250 yes \r\n");
}

#[test]
fn backend_text_survives_byte_for_byte() {
    for sample in [
        &b"250 2.0.0 6AKBaHSi006712 Message accepted for delivery\r\n"[..],
        b"550-5.7.1 first\r\n550-\r\n550 5.7.1   gr\xc3\xbc\xdfe \xff \x1b[1m \t\r\n",
        b"354 Enter mail, end with \".\" on a line by itself\r\n",
        b"250 \r\n",
    ] {
        let mut out = Vec::new();
        reply(sample).write(&mut out);
        assert_eq!(out, sample);
    }
}

#[test]
fn lf_alone_and_a_bare_code_are_taken() {
    assert_eq!(reply(b"250-a\n250 b\n"), reply(b"250-a\r\n250 b\r\n"));
    assert_eq!(written(&reply(b"250\r\n")), "250 \r\n");
    assert_eq!(written(&reply(b"250 a\rb\0c\r\n")), "250 a b c\r\n");
}

#[test]
fn what_follows_a_reply_stays() {
    let mut input = b"250-a\r\n250 b\r\n354 go\r\n5".to_vec();
    let mut parser = ReplyParser::new();
    assert_eq!(parser.feed(&mut input).unwrap().unwrap().lines().count(), 2);
    assert_eq!(input, b"354 go\r\n5");
    assert_eq!(parser.feed(&mut input).unwrap().unwrap().code, 354);
    assert!(parser.feed(&mut input).is_none());
    assert_eq!(input, b"5");
    input.extend_from_slice(b"50 no\r\n");
    assert_eq!(parser.feed(&mut input).unwrap().unwrap().code, 550);
    assert!(input.is_empty());
}

#[test]
fn refuses_what_would_put_the_two_out_of_step() {
    for bad in [
        // sendmail in verbose mode (observed with 8.17.1).
        &b"050 <bob@gate.test>... Sent\r\n250 ok\r\n"[..],
        b"199 x\r\n",
        b"600 x\r\n",
        b"25 x\r\n",
        b"2500 x\r\n",
        b"250_x\r\n",
        b"\r\n",
        b"+25 x\r\n",
        b" 250 x\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ] {
        assert_eq!(read(bad), Some(Err(ReplyError::BadLine)), "{bad:?}");
    }
    assert_eq!(read(b"250-a\r\n251 b\r\n"), Some(Err(ReplyError::CodeChanged)));
}

#[test]
fn bounds_what_a_backend_can_make_us_hold() {
    let lines = |count: usize| [b"250-x\r\n".repeat(count - 1), b"250 x\r\n".to_vec()].concat();
    assert!(read(&lines(MAX_REPLY_LINES)).unwrap().is_ok());
    assert_eq!(read(&lines(MAX_REPLY_LINES + 1)), Some(Err(ReplyError::TooManyLines)));
    let line = |bytes: usize| [b"250 ".to_vec(), vec![b'x'; bytes - 6], b"\r\n".to_vec()].concat();
    assert!(read(&line(MAX_REPLY_LINE_BYTES)).unwrap().is_ok());
    assert_eq!(read(&line(MAX_REPLY_LINE_BYTES + 1)), Some(Err(ReplyError::LineTooLong)));
    let endless = [b'2'; MAX_REPLY_LINE_BYTES];
    assert_eq!(read(&endless), Some(Err(ReplyError::LineTooLong)));
}

#[test]
fn an_error_stays() {
    let mut parser = ReplyParser::new();
    let mut input = b"junk\r\n250 ok\r\n".to_vec();
    assert_eq!(parser.feed(&mut input), Some(Err(ReplyError::BadLine)));
    assert_eq!(parser.feed(&mut input), Some(Err(ReplyError::BadLine)));
}

#[test]
fn every_split_gives_the_same_reply() {
    let sample = b"250-mx Hello\r\n250-SIZE 5\n250 DSN\r\n";
    let whole = reply(sample);
    for first in 0..=sample.len() {
        for second in first..=sample.len() {
            let mut parser = ReplyParser::new();
            let mut input = Vec::new();
            let mut found = Vec::new();
            for piece in [&sample[..first], &sample[first..second], &sample[second..]] {
                input.extend_from_slice(piece);
                found.extend(parser.feed(&mut input));
            }
            assert_eq!(found, [Ok(whole.clone())], "split at {first} and {second}");
        }
    }
}

#[test]
fn truncations_and_mutations_never_make_a_reply_of_another_shape() {
    let sample = b"250-2.1.0 one\r\n250 2.1.0 two\r\n";
    for end in 0..sample.len() {
        assert_eq!(read(&sample[..end]), None, "cut at {end}");
    }
    for at in 0..sample.len() {
        for byte in 0..=255 {
            let mut bytes = sample.to_vec();
            bytes[at] = byte;
            if let Some(Ok(reply)) = read(&bytes) {
                let mut out = Vec::new();
                reply.write(&mut out);
                assert_eq!(self::reply(&out), reply, "byte {byte} at {at}");
            }
        }
    }
}

#[test]
fn sorts_replies_by_class() {
    let classes = |code| {
        let reply = Reply::new(code, "", "x");
        [reply.is_positive(), reply.is_transient(), reply.is_permanent()]
    };
    assert_eq!(classes(250), [true, false, false]);
    assert_eq!(classes(354), [false, false, false]);
    assert_eq!(classes(421), [false, true, false]);
    assert_eq!(classes(550), [false, false, true]);
}

#[test]
fn gives_its_first_line_for_a_log() {
    let multi = reply(b"550-5.7.1 one\r\n550 5.7.1 two \xff\r\n");
    assert_eq!(multi.first_line(), "550 5.7.1 one");
    assert_eq!(reply(b"250\r\n").first_line(), "250");
}
