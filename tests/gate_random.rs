//! Random sessions with a backend that fails at random: whatever the order of
//! things, the books balance. Each 250 for a message that a client heard is one
//! that the backend gave, each transaction has one line in the log, and the
//! backend sees nothing that it must not.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::gate_world::{Options, World};
use support::scripted_backend::{Backend, Link};
use support::smtp_client::SmtpClient;

/// Numbers that look random and are the same in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % count
    }

    fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }
}

const COMMANDS: &[&str] = &[
    "MAIL FROM:<a@b.test>",
    "MAIL FROM:<a@b.test>",
    "MAIL FROM:<> SIZE=100 BODY=8BITMIME",
    "MAIL FROM:<nobody@b.test>",
    "MAIL FROM:<later@b.test>",
    "MAIL FROM:<bye@b.test>",
    "MAIL FROM:broken",
    "MAIL FROM:<a@b.test> FOO=BAR",
    "RCPT TO:<c@d.test>",
    "RCPT TO:<c@d.test>",
    "RCPT TO:<c@d.test>",
    "RCPT TO:<nobody@d.test>",
    "RCPT TO:<later@d.test>",
    "RCPT TO:<bye@d.test>",
    "RCPT TO:<c@d.test> NOTIFY=NEVER",
    "RSET",
    "NOOP",
    "EHLO again.test",
    "HELO again.test",
    "VRFY x",
    "VERB",
    "AUTH PLAIN AGEAYg==",
    "STARTTLS",
    "",
    "NOOP\u{1}",
];

const CONTENTS: &[&[u8]] = &[
    b"",
    b"Subject: x\r\n\r\nhello\r\n",
    b"Subject: x\r\n\r\n..\r\n.. \r\n...\r\n",
    b"X-Refuse: yes\r\n",
    b"bare\nnewline\r\n",
    b"bare\rreturn\r\n",
    b"a nul\0byte\r\n",
    b"smuggle\n.\r\nMAIL FROM:<evil@b.test>\r\n",
    b"smuggle\r\n.\nRCPT TO:<evil@b.test>\r\n",
    b" folded from the start\r\n",
];

/// One session; gives how many messages it was told are accepted.
fn session(world: &World, dice: &mut Dice) -> usize {
    let mut client = world.log_in();
    let mut accepted = 0;
    for _ in 0..dice.below(40) {
        let mut group: Vec<&str> = (0..=dice.below(4)).map(|_| dice.one_of(COMMANDS)).collect();
        match dice.below(4) {
            0 => group.push("DATA"),
            1 => group = vec!["RSET", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA"],
            _ => {}
        }
        if !send(&mut client, format!("{}\r\n", group.join("\r\n")).as_bytes(), dice) {
            return accepted;
        }
        let mut last = 0;
        for _ in &group {
            match client.try_reply() {
                Ok(reply) if reply.code != 421 => last = reply.code,
                _ => return accepted,
            }
        }
        if last != 354 {
            continue;
        }
        if dice.below(10) == 0 {
            // Leaves in the middle.
            send(&mut client, dice.one_of(CONTENTS), dice);
            return accepted;
        }
        let content = [dice.one_of(CONTENTS), b".\r\n"].concat();
        send(&mut client, &content, dice);
        match client.try_reply() {
            Ok(reply) if reply.code == 250 => accepted += 1,
            Ok(reply) => assert!([451, 452, 554].contains(&reply.code), "{}", reply.text()),
            Err(_) => return accepted,
        }
    }
    accepted
}

/// In up to three segments; false if the gate is gone.
fn send(client: &mut SmtpClient, bytes: &[u8], dice: &mut Dice) -> bool {
    let mut cuts = [dice.below(bytes.len() + 1), dice.below(bytes.len() + 1)];
    cuts.sort_unstable();
    let pieces = [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..]];
    pieces.into_iter().filter(|piece| !piece.is_empty()).all(|piece| client.try_send(piece).is_ok())
}

/// Polite, but for one command in twenty. Counts the messages it accepted.
fn unreliable(link: &mut Link, dice: &mut Dice, accepted: &AtomicUsize) {
    link.say(b"220 mx.test ESMTP\r\n");
    while let Some(line) = link.line() {
        let fault = if line.starts_with("EHLO") { 99 } else { dice.below(60) };
        match fault {
            0 => return link.reset(),
            1 => return,
            2 => {
                link.say(b"421 4.3.2 Going down\r\n");
                return;
            }
            3 => link.say(b"garbage\r\n"),
            4 => link.say(b"451 4.0.0 Not now\r\n"),
            // The session of the gate goes on; what was asked is a mystery to us.
            5 => link.say(b"250 2.0.0 ok\r\n250 2.0.0 and another\r\n"),
            _ if line == "DATA" && link.takes_content() => {
                link.say(b"354 go on\r\n");
                let Some(content) = link.content() else { return };
                let is_refused = content.windows(8).any(|word| word == b"X-Refuse");
                match dice.below(10) {
                    0 => return,
                    1 => link.say(b"452 4.3.1 Disk full\r\n"),
                    _ if is_refused => link.say(b"554 5.7.1 Content refused\r\n"),
                    _ => {
                        accepted.fetch_add(1, Ordering::SeqCst);
                        link.say(b"250 2.0.0 q1 Message accepted\r\n")
                    }
                }
            }
            _ => link.answer(&line),
        };
        if line == "QUIT" {
            return;
        }
    }
}

#[test]
fn the_books_balance_after_random_sessions_with_an_unreliable_backend() {
    const SESSIONS: u64 = 150;
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let backend = Backend::start(move |number, link| {
        if number == 0 {
            return link.be_polite();
        }
        unreliable(link, &mut Dice(number as u64 + 1_000_000), &count);
    });
    let limits = "reply_timeout = \"5s\"\nmax_errors = 30\nmax_sessions_per_address = 1000\n";
    let world = World::start(backend.address, &Options::gate(limits));
    let heard: usize = (0..SESSIONS).map(|seed| session(&world, &mut Dice(seed))).sum();
    world.wait_for_sessions(usize::try_from(SESSIONS).unwrap());
    backend.wait_until_quiet();

    let given = given.load(Ordering::SeqCst);
    assert!(heard > 50, "only {heard} messages: the test has lost its point");
    assert_eq!(heard, given, "messages that clients and backend think are accepted");
    let lines = world.message_lines();
    let logged = lines.iter().filter(|line| line.contains("outcome=accepted")).count();
    assert_eq!(logged, given, "messages that the log says are accepted");
    let ids: HashSet<&str> = lines.iter().map(|line| line.rsplit_once("id=").unwrap().1).collect();
    assert_eq!(ids.len(), lines.len(), "a transaction is in the log twice");
    let begun = backend.all().into_iter().flat_map(|seen| seen.lines);
    let begun = begun.filter(|line| line.starts_with("MAIL")).count();
    assert!(lines.len() >= begun, "{} lines for {begun} transactions", lines.len());
    for seen in backend.all() {
        assert!(seen.lines.iter().all(|line| !line.contains("evil")), "{:?}", seen.lines);
    }
    backend.assert_rules();
}
