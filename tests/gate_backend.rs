//! The gate in front of a backend that misbehaves. Whatever it does: the client
//! never hears a 250 that the backend did not give, no message is sent twice,
//! and each transaction has one line in the log.

mod support;

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::gate_world::{Options, World};
use support::scripted_backend::{Backend, EHLO, Link, below_trace};
use support::smtp_client::{Reply, SmtpClient};

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
                        // What comes now is content that nobody wants.
                        link.wait_for_end();
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

/// Timeouts short enough to wait for.
const SHORT: &str = "connect_timeout = \"500ms\"\nreply_timeout = \"500ms\"\n\
    data_init_timeout = \"500ms\"\ndata_timeout = \"20s\"\ndata_final_timeout = \"500ms\"\n";

const MESSAGE: &[u8] = b"Subject: one\r\n\r\nhello\r\n";

/// Sends one message up to the first reply that is not good; gives that or the last.
fn submit(client: &mut SmtpClient, message: &[u8]) -> Reply {
    for (line, good) in [("MAIL FROM:<a@b.test>", 250), ("RCPT TO:<c@d.test>", 250), ("DATA", 354)]
    {
        let reply = client.command(line);
        if reply.code != good {
            return reply;
        }
    }
    client.finish_message(message)
}

/// One message through a backend with a fault: the client's reply, and the world to look at.
fn try_with(stage: Stage, fault: Fault) -> (Reply, World, Backend) {
    let backend = faulty(stage, fault);
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    let reply = submit(&mut client, MESSAGE);
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
    for &stage in STAGES {
        for fault in [Hangs, Resets, Closes] {
            // Content that is not read is taken by the kernel: the silence shows at the dot.
            let what = format!("{fault:?} at {stage:?}");
            let (reply, world, backend) = try_with(stage, fault);
            assert_eq!(reply.code, 451, "{what}: {}", reply.text());
            let completed = usize::from(stage == Dot);
            let line = assert_honest(&what, &world, &backend, completed);
            assert!(line.contains("outcome=tempfail"), "{what}: {line}");
            assert!(world.service.log().contains("state=trouble"), "{what}");
        }
    }
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
    for &stage in STAGES {
        for words in replies {
            let what = format!("{:?} at {stage:?}", String::from_utf8_lossy(words));
            let (reply, world, backend) = try_with(stage, Says(words));
            assert_eq!(reply.code, 451, "{what}: {}", reply.text());
            assert_honest(&what, &world, &backend, usize::from(stage == Dot));
        }
    }
    // A 354 is right in one place only.
    for stage in [Mail, Rcpt, Content, Dot] {
        let (reply, world, backend) = try_with(stage, Says(b"354 go on\r\n"));
        assert_eq!(reply.code, 451, "354 at {stage:?}");
        assert_honest("354", &world, &backend, usize::from(stage == Dot));
    }
}

#[test]
fn a_250_that_comes_too_early_is_not_believed() {
    let (reply, world, backend) = try_with(Content, Says(b"250 2.0.0 Accepted, really\r\n"));
    assert_eq!(reply.code, 451, "{}", reply.text());
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
    for stage in [Mail, Rcpt, Data, Content, Dot] {
        for words in replies {
            let (reply, world, backend) = try_with(stage, Says(words));
            let mut got = Vec::new();
            for (number, line) in reply.lines.iter().enumerate() {
                let is_last = number + 1 == reply.lines.len();
                write!(got, "{}{}", reply.code, if is_last { ' ' } else { '-' }).unwrap();
                got.extend_from_slice(line);
                got.extend_from_slice(b"\r\n");
            }
            let wanted = if *words == b"452\r\n" { &b"452 \r\n"[..] } else { words };
            assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(wanted), "{stage:?}");
            assert_eq!(got, wanted, "{stage:?}");
            assert_honest("reply", &world, &backend, usize::from(stage == Dot));
        }
    }
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

#[test]
fn a_backend_that_is_down_is_451_at_mail_and_works_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let world = World::start(address, &Options::gate(SHORT));
    assert!(world.service.log().contains("state=down"), "{}", world.service.log());
    let mut client = world.log_in();
    let reply = client.command("MAIL FROM:<a@b.test>");
    assert_eq!(reply.code, 451, "{}", reply.text());
    assert_eq!(world.wait_for_messages(1).len(), 1);
    let backend = Backend::on(TcpListener::bind(address).unwrap(), |_, link| link.be_polite());
    assert_eq!(submit(&mut client, MESSAGE).code, 250);
    assert_eq!(backend.messages().len(), 1);
    assert!(world.service.log().contains("state=up"));
}

#[test]
fn a_backend_that_closed_an_idle_connection_is_connected_to_again() {
    // After each message it says goodbye, as an MTA does after a while, or just goes.
    for parting in [&b"421 4.4.1 timeout waiting for input\r\n"[..], b""] {
        let backend = Backend::start(move |_, link| {
            link.say(b"220 mx.test ESMTP\r\n");
            while let Some(line) = link.line() {
                let goes_on = link.answer(&line);
                if line == "DATA" {
                    link.say(parting);
                    return;
                }
                if !goes_on {
                    return;
                }
            }
        });
        let world = World::start(backend.address, &Options::gate(SHORT));
        let mut client = world.log_in();
        for number in 1..=3 {
            let reply = submit(&mut client, MESSAGE);
            assert_eq!(reply.code, 250, "message {number}: {}", reply.text());
            // The parting words must have arrived for the next one to be a test.
            backend.wait_until_quiet();
        }
        assert_eq!(backend.sessions().len(), 3);
        assert_eq!(backend.messages().len(), 3);
        world.wait_for_messages(3);
        backend.assert_rules();
    }
}

#[test]
fn a_connection_serves_several_messages_and_each_begins_clean() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    assert_eq!(submit(&mut client, MESSAGE).code, 250);
    client.expect("MAIL FROM:<x@b.test> RET=HDRS", 250);
    client.expect("RCPT TO:<nobody@d.test>", 550);
    client.expect("RSET", 250);
    client.expect("MAIL FROM:<nobody@b.test>", 550);
    assert_eq!(submit(&mut client, b"X-Refuse: yes\r\n").code, 554);
    assert_eq!(submit(&mut client, MESSAGE).code, 250);
    client.expect("QUIT", 221);
    world.wait_for_messages(5);
    backend.wait_until_quiet();
    backend.assert_rules();
    let sessions = backend.sessions();
    assert_eq!(sessions.len(), 1, "one connection serves the session");
    assert_eq!(
        sessions[0].lines,
        [
            "EHLO gate.test",
            "MAIL FROM:<a@b.test>",
            "RCPT TO:<c@d.test>",
            "DATA",
            "MAIL FROM:<x@b.test> RET=HDRS",
            "RCPT TO:<nobody@d.test>",
            "RSET",
            "MAIL FROM:<nobody@b.test>",
            "RSET",
            "MAIL FROM:<a@b.test>",
            "RCPT TO:<c@d.test>",
            "DATA",
            "MAIL FROM:<a@b.test>",
            "RCPT TO:<c@d.test>",
            "DATA",
            "QUIT",
        ]
    );
    assert_eq!(below_trace(&sessions[0].contents[2]), MESSAGE);
}

#[test]
fn the_envelope_is_written_anew() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    client.expect(
        "mail from: <@relay.test,@other.test:a@b.test>  size=9 auth=bob body=8bitmime",
        250,
    );
    client.expect("rcpt to:<@relay.test:\"c c\"@d.test>\tnotify=delay,success", 250);
    client.expect("Rcpt To:<postmaster>", 250);
    client.expect("QUIT", 221);
    backend.wait_until_quiet();
    backend.assert_rules();
    assert_eq!(
        backend.sessions()[0].lines[1..],
        [
            "MAIL FROM:<a@b.test> SIZE=9 BODY=8BITMIME",
            "RCPT TO:<\"c c\"@d.test> NOTIFY=SUCCESS,DELAY",
            "RCPT TO:<postmaster>",
            "QUIT",
        ]
    );
}

#[test]
fn what_the_backend_lost_between_probe_and_session_is_a_temporary_failure() {
    let backend = Backend::start(|number, link| {
        if number == 0 {
            return link.be_polite();
        }
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            let goes_on = match line.starts_with("EHLO") {
                true => link.say(b"250-mx.test\r\n250 SIZE 1000\r\n"),
                false => link.answer(&line),
            };
            if !goes_on {
                return;
            }
        }
    });
    let world = World::start(backend.address, &Options::gate(SHORT));
    let mut client = world.log_in();
    let reply = client.command("MAIL FROM:<a@b.test> BODY=8BITMIME");
    assert_eq!(reply.code, 451, "{}", reply.text());
    // EHLO again tells what is left, and what needs nothing more goes through.
    let offer = client.expect("EHLO client.test", 250).text();
    assert_eq!(offer, "gate.test greets client.test\nSIZE 1000\nAUTH PLAIN LOGIN");
    client.expect("MAIL FROM:<a@b.test> BODY=8BITMIME", 555);
    assert_eq!(submit(&mut client, MESSAGE).code, 250);
    world.wait_for_messages(2);
    assert_eq!(backend.messages().len(), 1);
}

#[test]
fn the_first_client_gets_the_full_offer() {
    let backend = Backend::start(|_, link| {
        // Slower than a client that connects as soon as it can.
        std::thread::sleep(Duration::from_millis(300));
        link.be_polite();
    });
    let world = World::launch(backend.address, &Options::default());
    let mut client = world.connect();
    client.reply();
    let offer = client.expect("EHLO client.test", 250).text();
    assert!(offer.contains("8BITMIME") && offer.contains("SIZE 10485760"), "{offer}");
}

#[test]
fn the_probe_learns_of_changes_and_of_outages() {
    let probes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&probes);
    let backend = Backend::start(move |_, link| {
        let reply: &[u8] = match count.fetch_add(1, Ordering::SeqCst) {
            0 => EHLO,
            1 => b"421 4.3.2 rejecting connections\r\n",
            _ => b"250-mx.test\r\n250 DSN\r\n",
        };
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            link.say(if line == "QUIT" { b"221 bye\r\n" } else { reply });
        }
    });
    let options = Options { backend: "probe_interval = \"1s\"\n".to_owned(), ..Options::default() };
    let mut world = World::start(backend.address, &options);
    world.service.wait_for_log("state=up, offers=\"ENHANCEDSTATUSCODES PIPELINING 8BITMIME");
    world.service.wait_for_log("state=down, reason=");
    world.service.wait_for_log("state=up, offers=\"DSN\"");
    let mut client = world.connect();
    client.reply();
    let offer = client.expect("EHLO client.test", 250).text();
    assert_eq!(offer, "gate.test greets client.test\nDSN\nAUTH PLAIN LOGIN");
    backend.assert_rules();
}
