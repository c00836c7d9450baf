//! sendmail's access map through the built gate: who may connect, send, relay;
//! what is discarded; limits of an address; a map that changes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;

use nix::sys::signal::Signal;
use support::gate_world::{Options, World};
use support::process::{PATIENCE, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::SmtpClient;

struct Place {
    backend: Backend,
    world: World,
    folder: tempfile::TempDir,
}

impl Place {
    /// A gate with an `mta` listener and this map, and lines of `[policy.access]`.
    fn new(map: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access");
        fs::write(&path, map).unwrap();
        let names = folder.path().join("local-host-names");
        fs::write(&names, "# ours\nours.test  also.test\n").unwrap();
        let sections = format!(
            "[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"mta\"\n\
             [policy.access]\nmap = \"{}\"\nlocal_domains_file = \"{}\"\n\
             relay_domains = [\"relayed.test\", \"127.0.0.40\"]\nrelay_loopback = false\n{lines}\n\
             [policy.dns]\nclient_names = false\n",
            path.display(),
            names.display()
        );
        let backend = Backend::polite();
        let options = Options { sections, ..Options::default() };
        let world = World::start(backend.address, &options);
        Self { backend, world, folder }
    }

    fn map(&self) -> std::path::PathBuf {
        self.folder.path().join("access")
    }

    /// On the `mta` listener from 127.0.0.`last`, before the greeting.
    fn connect(&self, last: u8) -> SmtpClient {
        SmtpClient::connect_from([127, 0, 0, last].into(), self.world.more[0])
    }

    /// As [`Place::connect`], greeted.
    fn greeted(&self, last: u8) -> SmtpClient {
        let mut client = self.connect(last);
        assert_eq!(client.reply().code, 220, "{last}");
        client.expect("EHLO client.test", 250);
        client
    }

    /// On the submission listener, logged in.
    fn user(&self, last: u8) -> SmtpClient {
        let mut client = SmtpClient::connect_from([127, 0, 0, last].into(), self.world.implicit);
        client.handshake(&self.world.ca()).unwrap();
        client.log_in();
        client
    }

    fn wait_for_log(&mut self, text: &str) {
        self.world.service.wait_for_log(text);
    }
}

fn told(client: &mut SmtpClient, line: &str) -> String {
    let reply = client.command(line);
    format!("{} {}", reply.code, reply.text())
}

#[test]
fn a_refused_client_hears_it_at_the_greeting_and_the_log_names_the_line() {
    let map = "# first\nConnect:127.0.0.5\tREJECT\nConnect:127.0.0.6\tERROR:4.7.1:450 later\n";
    let mut place = Place::new(map, "");
    let mut client = place.connect(5);
    let reply = client.reply();
    assert_eq!((reply.code, &*reply.text()), (550, "5.7.1 Access denied"));
    client.expect_closed();
    let by = format!(
        "ruleset=check_relay, arg1=127.0.0.5, relay=[127.0.0.5], by={}:2, reject=550 5.7.1 Access denied",
        place.map().display()
    );
    place.wait_for_log(&by);
    assert_eq!(place.connect(6).reply().code, 450);
    assert_eq!(place.connect(7).reply().code, 220);
    // It holds for users, too: without delay_checks they cannot even log in.
    let mut user = SmtpClient::connect_from([127, 0, 0, 5].into(), place.world.starttls);
    assert_eq!(user.reply().code, 550);
}

#[test]
fn senders_and_recipients_are_refused_in_sendmails_words() {
    let map = "From:spam@b.test\tREJECT\nTo:closed@\tREJECT\n\
               To:gone@ours.test\tERROR:5.1.1:550 moved\nbad.test\t554 not with us\n";
    let mut place = Place::new(map, "");
    let mut client = place.greeted(9);
    assert_eq!(
        told(&mut client, "MAIL FROM:<Spam+x@b.test>"),
        "550 5.7.1 <Spam+x@b.test>... Access denied"
    );
    client.expect("MAIL FROM:<a@b.test>", 250);
    for (recipient, expected) in [
        ("closed@ours.test", "550 5.2.1 <closed@ours.test>... Mailbox disabled for this recipient"),
        ("gone@ours.test", "550 5.1.1 <gone@ours.test>... moved"),
        ("x@bad.test", "554 5.0.0 <x@bad.test>... not with us"),
    ] {
        assert_eq!(told(&mut client, &format!("RCPT TO:<{recipient}>")), expected);
    }
    client.expect("RCPT TO:<fine@ours.test>", 250);
    place.wait_for_log("ruleset=check_rcpt, arg1=<gone@ours.test>, relay=[127.0.0.9], by=");
    // Of users, too.
    let mut user = place.user(9);
    user.expect("MAIL FROM:<spam@b.test>", 550);
    user.expect("MAIL FROM:<a@b.test>", 250);
    user.expect("RCPT TO:<closed@ours.test>", 550);
    user.expect("RCPT TO:<x@bad.test>", 554);
    user.expect("RCPT TO:<x@far.test>", 250);
    let heard = place.backend.all();
    let lines: Vec<String> = heard.iter().flat_map(|link| link.lines.clone()).collect();
    for word in ["spam", "closed", "gone", "bad.test"] {
        assert!(!lines.iter().any(|line| line.to_ascii_lowercase().contains(word)), "{lines:?}");
    }
}

#[test]
fn strangers_relay_only_where_a_rule_lets_them() {
    let map = "To:partner.test\tRELAY\nConnect:127.0.0.30\tRELAY\n";
    let place = Place::new(map, "");
    let mut stranger = place.greeted(10);
    stranger.expect("MAIL FROM:<a@b.test>", 250);
    for (recipient, code) in [
        ("x@ours.test", 250),
        ("x@ALSO.test", 250),
        ("x@gate.test", 250),
        ("x@localhost", 250),
        ("x@sub.partner.test", 250),
        ("x@sub.relayed.test", 250),
        ("x@far.test", 550),
        ("x@sub.ours.test", 550),
        ("x%far.test@ours.test", 550),
        ("far.test!x@ours.test", 550),
        ("\"x@far.test\"@ours.test", 550),
        ("x%partner.test@ours.test", 250),
        ("postmaster", 250),
    ] {
        let reply = stranger.command(&format!("RCPT TO:<{recipient}>"));
        assert_eq!(reply.code, code, "{recipient}: {}", reply.text());
    }
    assert_eq!(
        told(&mut stranger, "RCPT TO:<x@far.test>"),
        "550 5.7.1 <x@far.test>... Relaying denied. Proper authentication required."
    );
    for friend in [30, 40] {
        let mut friend = place.greeted(friend);
        friend.expect("MAIL FROM:<a@b.test>", 250);
        friend.expect("RCPT TO:<x@far.test>", 250);
    }
    // A login on the same listener.
    let mut user = place.greeted(10);
    user.expect("STARTTLS", 220);
    user.handshake(&place.world.ca()).unwrap();
    user.expect("EHLO client.test", 250);
    user.expect(&format!("AUTH PLAIN {}", support::smtp_client::plain_response()), 235);
    user.expect("MAIL FROM:<a@b.test>", 250);
    user.expect("RCPT TO:<x@far.test>", 250);
}

#[test]
fn what_is_discarded_is_read_and_arrives_nowhere() {
    let map =
        "Connect:127.0.0.50\tDISCARD\nFrom:junk@b.test\tDISCARD\nTo:hole@ours.test\tDISCARD\n";
    let place = Place::new(map, "");
    let mut count = 0;
    let mut send = |client: &mut SmtpClient, from: &str, to: &str, text: &str| {
        client.expect(&format!("MAIL FROM:<{from}>"), 250);
        for to in to.split(' ') {
            client.expect(&format!("RCPT TO:<{to}>"), 250);
        }
        client.expect("DATA", 354);
        let reply = client.finish_message(text.as_bytes());
        assert_eq!(reply.code, 250, "{}", reply.text());
        count += 1;
        place.world.wait_for_messages(count).pop().unwrap()
    };
    let mut client = place.greeted(11);
    let line = send(&mut client, "junk@b.test", "x@ours.test", "one\r\n");
    assert!(line.contains("outcome=discarded"), "{line}");
    // One recipient is enough, for all of them; and the session goes on.
    let line = send(&mut client, "a@b.test", "x@ours.test hole@ours.test", "two\r\n");
    assert!(line.contains("outcome=discarded"), "{line}");
    let line = send(&mut client, "a@b.test", "x@ours.test", "three\r\n");
    assert!(line.contains("outcome=accepted"), "{line}");
    drop(client);
    let mut client = place.greeted(50);
    let line = send(&mut client, "a@b.test", "x@ours.test", &"four\r\n".repeat(50_000));
    assert!(line.contains("outcome=discarded"), "{line}");
    // Who is discarded relays no more than others.
    client.expect("MAIL FROM:<a@b.test>", 250);
    client.expect("RCPT TO:<x@far.test>", 550);
    drop(client);
    place.backend.wait_until_quiet();
    let messages = place.backend.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].ends_with(b"three\r\n"), "{}", String::from_utf8_lossy(&messages[0]));
}

#[test]
fn tls_is_demanded_of_clients_that_the_map_names() {
    let place = Place::new("TLS_Clt:127.0.0.12\tPERM+ENCR:112\nTLS_Clt:127.0.0.13\tVERIFY\n", "");
    let mut client = place.greeted(12);
    let reply = told(&mut client, "MAIL FROM:<a@b.test>");
    assert!(
        reply.starts_with("503 5.7.0 ") && reply.ends_with("too weak 0 less than 112"),
        "{reply}"
    );
    client.expect("STARTTLS", 220);
    client.handshake(&place.world.ca()).unwrap();
    client.expect("EHLO client.test", 250);
    client.expect("MAIL FROM:<a@b.test>", 250);
    let mut client = place.greeted(13);
    client.expect("STARTTLS", 220);
    client.handshake(&place.world.ca()).unwrap();
    client.expect("EHLO client.test", 250);
    let reply = told(&mut client, "MAIL FROM:<a@b.test>");
    assert!(reply.starts_with("454 4.7.0 "), "{reply}");
    place.greeted(14).expect("MAIL FROM:<a@b.test>", 250);
}

#[test]
fn connections_of_an_address_are_limited_by_number_and_by_minute() {
    let map = "ClientConn:127.0.0.20\t2\nClientRate:127.0.0.21\t3\nClientRate:\t0\n";
    let place = Place::new(map, "");
    let first = place.greeted(20);
    let _second = place.greeted(20);
    let reply = place.connect(20).reply();
    assert_eq!((reply.code, &*reply.text()), (421, "4.3.2 Too many open connections."));
    place.greeted(22);
    drop(first);
    let is_room = || place.connect(20).reply().code == 220;
    assert!(wait_until(PATIENCE, is_room), "a connection that is over still counts");
    for _ in 0..3 {
        place.greeted(21);
    }
    let reply = place.connect(21).reply();
    assert_eq!((reply.code, &*reply.text()), (421, "4.3.2 Connection rate limit exceeded."));
}

#[test]
fn delayed_checks_refuse_at_rcpt_and_spare_users() {
    let map = "Connect:127.0.0.5\tREJECT\nFrom:spam@b.test\t550 no spam\nTo:closed@\tREJECT\n";
    let place = Place::new(map, "delay_checks = true\n");
    let mut client = place.greeted(5);
    client.expect("MAIL FROM:<a@b.test>", 250);
    assert_eq!(
        told(&mut client, "RCPT TO:<x@ours.test>"),
        "550 5.7.1 <x@ours.test>... Access denied"
    );
    let mut client = place.greeted(6);
    client.expect("MAIL FROM:<spam@b.test>", 250);
    assert_eq!(told(&mut client, "RCPT TO:<x@ours.test>"), "550 5.0.0 <x@ours.test>... no spam");
    let mut user = place.user(5);
    user.expect("MAIL FROM:<spam@b.test>", 250);
    user.expect("RCPT TO:<x@far.test>", 250);
    user.expect("RCPT TO:<closed@ours.test>", 550);
}

#[test]
fn a_new_map_counts_after_a_reload_and_a_lost_one_changes_nothing() {
    let mut place = Place::new("Connect:127.0.0.5\tREJECT\n nonsense\n", "");
    let problem = format!("{}:2: begins with a blank, left out", place.map().display());
    place.wait_for_log(&problem);
    fs::write(place.map(), "Connect:127.0.0.6\tREJECT\n").unwrap();
    place.world.service.signal(Signal::SIGHUP);
    let is_new = || place.connect(6).reply().code == 550;
    assert!(wait_until(PATIENCE, is_new), "the new map does not count");
    assert_eq!(place.connect(5).reply().code, 220);

    fs::remove_file(place.map()).unwrap();
    place.world.service.signal(Signal::SIGHUP);
    let problem = format!("policy.access: cannot read {}", place.map().display());
    place.wait_for_log(&problem);
    assert_eq!(place.connect(6).reply().code, 550);
    assert_eq!(place.connect(5).reply().code, 220);
}
