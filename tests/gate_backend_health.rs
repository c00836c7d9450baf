//! The gate and a backend over time: down and back, idle connections, several
//! messages, what it offers and no longer offers, the health probe.

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::gate_world::{Options, World};
use support::scripted_backend::{Backend, EHLO, below_trace};

const MESSAGE: &[u8] = b"Subject: one\r\n\r\nhello\r\n";

#[test]
fn a_backend_that_is_down_is_451_at_mail_and_works_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let world = World::start(address, &Options::default());
    assert!(world.service.log().contains("state=down"), "{}", world.service.log());
    let mut client = world.log_in();
    let reply = client.command("MAIL FROM:<a@b.test>");
    assert_eq!(reply.code, 451, "{}", reply.text());
    assert_eq!(world.wait_for_messages(1).len(), 1);
    let backend = Backend::on(TcpListener::bind(address).unwrap(), |_, link| link.be_polite());
    assert_eq!(client.submit(MESSAGE).code, 250);
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
        let world = World::start(backend.address, &Options::default());
        let mut client = world.log_in();
        for number in 1..=3 {
            let reply = client.submit(MESSAGE);
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
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    assert_eq!(client.submit(MESSAGE).code, 250);
    client.expect("MAIL FROM:<x@b.test> RET=HDRS", 250);
    client.expect("RCPT TO:<nobody@d.test>", 550);
    client.expect("RSET", 250);
    client.expect("MAIL FROM:<nobody@b.test>", 550);
    assert_eq!(client.submit(b"X-Refuse: yes\r\n").code, 554);
    assert_eq!(client.submit(MESSAGE).code, 250);
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
    let world = World::start(backend.address, &Options::default());
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
    let world = World::start(backend.address, &Options::default());
    let mut client = world.log_in();
    let reply = client.command("MAIL FROM:<a@b.test> BODY=8BITMIME");
    assert_eq!(reply.code, 451, "{}", reply.text());
    // EHLO again tells what is left, and what needs nothing more goes through.
    let offer = client.expect("EHLO client.test", 250).text();
    assert_eq!(offer, "gate.test greets client.test\nSIZE 1000\nAUTH PLAIN LOGIN");
    client.expect("MAIL FROM:<a@b.test> BODY=8BITMIME", 555);
    assert_eq!(client.submit(MESSAGE).code, 250);
    world.wait_for_messages(2);
    assert_eq!(backend.messages().len(), 1);
}

#[test]
fn the_first_client_gets_the_full_offer() {
    let backend = Backend::start(|_, link| {
        // Slower than a client that connects as soon as it can.
        thread::sleep(Duration::from_millis(300));
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
