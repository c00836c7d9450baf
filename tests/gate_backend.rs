//! The gate in front of a backend that misbehaves. Whatever it does: the client
//! never hears a 250 that the backend did not give, no message is sent twice,
//! and each transaction has one line in the log.

mod support;

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use support::gate_world::{Options, World};
use support::scripted_backend::{Backend, Link};
use support::smtp_client::Reply;

/// Where a backend goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    /// When the first content arrives.
    Content,
    /// When the final dot has arrived.
    Dot,
}

use Stage::{Content, Data, Dot, Ehlo, Greeting, Mail, Rcpt};

const STAGES: &[Stage] = &[Greeting, Ehlo, Mail, Rcpt, Data, Content, Dot];

/// What it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Says nothing any more.
    Hangs,
    /// Closes with RST.
    Resets,
    /// Closes with FIN.
    Closes,
    /// Says this instead of its reply, and goes on.
    Says(&'static [u8]),
    /// Says this instead of its reply, and closes.
    Leaves(&'static [u8]),
}

use Fault::{Closes, Hangs, Leaves, Resets, Says};

impl Stage {
    fn is_at(self, line: &str) -> bool {
        match self {
            Ehlo => line.starts_with("EHLO"),
            Mail => line.starts_with("MAIL"),
            Rcpt => line.starts_with("RCPT"),
            Data | Content | Dot => line == "DATA",
            Greeting => false,
        }
    }
}

impl Fault {
    /// False if the session is over.
    fn strike(self, link: &mut Link) -> bool {
        match self {
            Hangs => {
                link.wait_for_end();
                false
            }
            Resets => {
                link.reset();
                false
            }
            Closes => false,
            Says(bytes) => link.say(bytes),
            Leaves(bytes) => {
                link.say(bytes);
                let _ = link.socket().shutdown(std::net::Shutdown::Write);
                link.wait_for_end();
                false
            }
        }
    }
}

/// A polite backend but for one fault. The first connection, the probe's, is spared.
fn faulty(stage: Stage, fault: Fault) -> Backend {
    Backend::start(move |number, link| {
        if number == 0 {
            return link.be_polite();
        }
        if stage != Greeting {
            link.say(b"220 mx.test ESMTP\r\n");
        } else if !fault.strike(link) {
            return;
        }
        while let Some(line) = link.line() {
            let goes_on = match stage {
                _ if !stage.is_at(&line) => link.answer(&line),
                Content => {
                    link.say(b"354 go on\r\n");
                    if link.swallow(1) && fault.strike(link) {
                        link.ignore_content();
                    }
                    false
                }
                Dot => {
                    link.say(b"354 go on\r\n");
                    link.content().is_some() && fault.strike(link)
                }
                _ => fault.strike(link),
            };
            if !goes_on {
                return;
            }
        }
    })
}

/// Timeouts short enough to wait for, and long enough for a busy machine.
const SHORT: &str = "connect_timeout = \"2s\"\nreply_timeout = \"2s\"\n\
    data_init_timeout = \"2s\"\ndata_timeout = \"20s\"\ndata_final_timeout = \"2s\"\n";

const MESSAGE: &[u8] = b"Subject: one\r\n\r\nhello\r\n";

/// One message through a backend with a fault: the client's reply, and the world to look at.
fn try_with(stage: Stage, fault: Fault) -> (Reply, World, Backend) {
    let backend = faulty(stage, fault);
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    let reply = client.submit(MESSAGE);
    // The session is in step whatever happened: it goes on, and knows it has no transaction.
    client.expect("RSET", 250);
    client.expect("NOOP", 250);
    client.expect("QUIT", 221);
    client.expect_closed();
    (reply, world, backend)
}

/// What holds after every fault; gives the message's log line.
fn assert_honest(what: &str, world: &World, backend: &Backend, completed: usize) -> String {
    let mut lines = world.wait_for_messages(1);
    world.wait_for_sessions(1);
    backend.wait_until_quiet();
    backend.assert_rules();
    assert_eq!(backend.messages().len(), completed, "{what}: messages completed at the backend");
    let sessions = backend.sessions();
    assert!(sessions.len() <= 1, "{what}: a second connection took mail: {sessions:#?}");
    lines.remove(0)
}

#[test]
fn a_backend_that_goes_silent_or_away_is_a_temporary_failure_at_every_command() {
    // Each stage in a thread of its own: silence has to be waited for.
    thread::scope(|scope| {
        for &stage in STAGES {
            scope.spawn(move || {
                for fault in [Hangs, Resets, Closes] {
                    let what = format!("{fault:?} at {stage:?}");
                    let (reply, world, backend) = try_with(stage, fault);
                    assert_eq!(reply.code, 451, "{what}: {}", reply.text());
                    let completed = usize::from(stage == Dot);
                    let line = assert_honest(&what, &world, &backend, completed);
                    assert!(line.contains("outcome=tempfail"), "{what}: {line}");
                    assert!(world.service.log().contains("state=trouble"), "{what}");
                }
            });
        }
    });
}

#[test]
fn a_421_of_the_backend_is_451_with_its_words() {
    for &stage in STAGES {
        let what = format!("421 at {stage:?}");
        let (reply, world, backend) = try_with(stage, Leaves(b"421 4.3.2 Going down\r\n"));
        assert_eq!((reply.code, reply.text().as_str()), (451, "4.3.2 Going down"), "{what}");
        let line = assert_honest(&what, &world, &backend, usize::from(stage == Dot));
        assert!(line.contains("outcome=tempfail"), "{what}: {line}");
    }
}

#[test]
fn a_backend_that_does_not_serve_us_is_no_fault_of_the_client() {
    let refusals: &[(Stage, &[u8])] = &[
        (Greeting, b"554 5.7.1 No SMTP service here\r\n"),
        (Ehlo, b"550 5.0.0 Command rejected\r\n"),
        (Ehlo, b"554 5.5.0 SMTP protocol error\r\n"),
        (Mail, b"530 5.7.0 Authentication required\r\n"),
        (Rcpt, b"530 5.7.0 Authentication required\r\n"),
        (Data, b"530 5.7.0 Authentication required\r\n"),
        (Dot, b"530 5.7.0 Authentication required\r\n"),
    ];
    for &(stage, words) in refusals {
        let what = format!("{:?} at {stage:?}", String::from_utf8_lossy(words));
        let (reply, world, backend) = try_with(stage, Says(words));
        assert_eq!(reply.code, 451, "{what}: {}", reply.text());
        let line = assert_honest(&what, &world, &backend, usize::from(stage == Dot));
        assert!(line.contains("outcome=tempfail"), "{what}: {line}");
    }
}

#[test]
fn what_is_no_reply_to_the_command_is_a_temporary_failure() {
    let replies: &[&[u8]] = &[
        b"050 <bob@gate.test>... Sent\r\n250 2.0.0 ok\r\n",
        b"garbage without a code\r\n",
        b"150 one too low\r\n",
        b"600 one too high\r\n",
        b"250-first\r\n251 other code\r\n",
        b"\r\n",
        b"334 \r\n",
        b"2500 four digits\r\n",
        b"\x16\x03\x01\x00\x05hello\n",
    ];
    thread::scope(|scope| {
        for &stage in STAGES {
            scope.spawn(move || {
                for words in replies {
                    let what = format!("{:?} at {stage:?}", String::from_utf8_lossy(words));
                    let (reply, world, backend) = try_with(stage, Says(words));
                    assert_eq!(reply.code, 451, "{what}: {}", reply.text());
                    assert_honest(&what, &world, &backend, usize::from(stage == Dot));
                }
            });
        }
    });
    // A 354 is right in one place only.
    for stage in [Mail, Rcpt, Content, Dot] {
        let (reply, world, backend) = try_with(stage, Says(b"354 go on\r\n"));
        assert_eq!(reply.code, 451, "354 at {stage:?}");
        assert_honest("354", &world, &backend, usize::from(stage == Dot));
    }
}

#[test]
fn a_250_that_comes_too_early_is_not_believed() {
    let (said, wait) = channel();
    let said = Mutex::new(said);
    let backend = Backend::start(move |_, link| {
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            if line != "DATA" {
                link.answer(&line);
                continue;
            }
            link.say(b"354 go on\r\n");
            link.swallow(1);
            link.say(b"250 2.0.0 Accepted, really\r\n");
            said.lock().unwrap().send(()).unwrap();
            return link.wait_for_end();
        }
    });
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    client.open_message();
    client.send(MESSAGE);
    wait.recv().unwrap();
    client.send(b".\r\n");
    let reply = client.reply();
    assert_eq!(reply.code, 451, "{}", reply.text());
    client.expect("QUIT", 221);
    let line = assert_honest("early 250", &world, &backend, 0);
    assert!(line.contains("outcome=tempfail"), "{line}");
}

#[test]
fn a_reply_nobody_asked_for_is_not_taken_for_the_next_one() {
    let twice = b"250 2.1.0 Sender ok\r\n250 2.0.0 Accepted in advance\r\n";
    let (reply, world, backend) = try_with(Mail, Says(twice));
    assert_eq!(reply.code, 451, "{}", reply.text());
    assert_honest("two replies", &world, &backend, 0);
}

#[test]
fn replies_reach_the_client_byte_for_byte() {
    let long = [&b"550 5.1.1 "[..], &[b'x'; 2000], b"\r\n"].concat();
    let many: Vec<u8> = (0..100)
        .flat_map(|number| {
            format!("550{}5.1.1 line {number}\r\n", if number < 99 { "-" } else { " " })
                .into_bytes()
        })
        .collect();
    let replies: &[&'static [u8]] = &[
        b"550-5.7.1 first line\r\n550-5.7.1\r\n550 5.7.1 third  line \r\n",
        b"550 5.7.1 gr\xc3\xbc\xc3\x9fe, and \xfc\xff in Latin-1\r\n",
        b"452\r\n",
        b"552 no enhanced code; tabs\tand 250 2.0.0 inside\r\n",
        long.leak(),
        many.leak(),
    ];
    thread::scope(|scope| {
        for stage in [Mail, Rcpt, Data, Content, Dot] {
            scope.spawn(move || {
                for words in replies {
                    let (reply, world, backend) = try_with(stage, Says(words));
                    let got = on_the_wire(&reply);
                    // A code alone gets the blank that most parsers want.
                    let wanted = if *words == b"452\r\n" { &b"452 \r\n"[..] } else { words };
                    let text = String::from_utf8_lossy;
                    assert_eq!(text(&got), text(wanted), "{stage:?}");
                    assert_eq!(got, wanted, "{stage:?}");
                    assert_honest("reply", &world, &backend, usize::from(stage == Dot));
                }
            });
        }
    });
}

/// A reply as it must have come.
fn on_the_wire(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, line) in reply.lines.iter().enumerate() {
        let is_last = number + 1 == reply.lines.len();
        bytes.extend(format!("{}{}", reply.code, if is_last { ' ' } else { '-' }).into_bytes());
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn a_positive_reply_reaches_the_client_unchanged_too() {
    let words = b"250-2.0.0 6AKBxRDK017977 Message accepted\r\n250 2.0.0 for delivery\r\n";
    let (reply, world, backend) = try_with(Dot, Says(words));
    assert_eq!(reply.code, 250);
    assert_eq!(reply.text(), "2.0.0 6AKBxRDK017977 Message accepted\n2.0.0 for delivery");
    let line = assert_honest("250", &world, &backend, 1);
    assert!(line.contains("queueid=6AKBxRDK017977,"), "{line}");
    assert!(line.contains("outcome=accepted"), "{line}");
    assert!(line.contains("from=<a@b.test>, to=<c@d.test>, size=23, nrcpts=1"), "{line}");
    assert!(line.contains("client=[127.0.0.1], login=alice@gate.test"), "{line}");
}

/// 5 MB of content in lines.
fn five_megabytes() -> Vec<u8> {
    b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(80_000)
}

#[test]
fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let words: &[(Fault, u16, &str)] = &[
        (Says(b"552 5.3.4 Too much\r\n"), 552, "5.3.4 Too much"),
        (Leaves(b"552 5.3.4 Too much\r\n"), 552, "5.3.4 Too much"),
        (Leaves(b"451 4.3.0 Disk full\r\n"), 451, "4.3.0 Disk full"),
        (
            Leaves(b"421 4.5.0 Bare linefeed (LF) not allowed\r\n"),
            451,
            "4.5.0 Bare linefeed (LF) not allowed",
        ),
    ];
    let content = five_megabytes();
    for &(fault, code, text) in words {
        let backend = faulty(Content, fault);
        let world = World::start(backend.address, &Options::gate(SHORT));
        let mut client = world.log_in();
        client.open_message();
        let reply = client.finish_message(&content);
        assert_eq!((reply.code, reply.text().as_str()), (code, text), "{fault:?}");
        client.expect("QUIT", 221);
        assert_honest(&format!("{fault:?}"), &world, &backend, 0);
    }
}

#[test]
fn a_backend_killed_in_the_middle_of_content_is_a_temporary_failure() {
    let backend = Backend::start(|number, link| {
        if number == 0 {
            return link.be_polite();
        }
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            if line != "DATA" {
                link.answer(&line);
                continue;
            }
            link.say(b"354 go on\r\n");
            link.swallow(1_000_000);
            return link.reset();
        }
    });
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    client.open_message();
    let reply = client.finish_message(&five_megabytes());
    assert_eq!(reply.code, 451, "{}", reply.text());
    client.expect("QUIT", 221);
    assert_honest("killed", &world, &backend, 0);
}

#[test]
fn a_message_whose_reply_was_lost_is_never_sent_again() {
    for fault in [Hangs, Resets, Closes] {
        let (reply, world, backend) = try_with(Dot, fault);
        assert_eq!(reply.code, 451, "{fault:?}");
        assert_honest("lost reply", &world, &backend, 1);
        assert_eq!(backend.sessions().len(), 1, "{fault:?}");
    }
}
