//! Whose mail real sendmail thinks it gets from the gate: handover with one-time
//! tokens of authd, and the rules of `packaging/sendmail/gate.m4`.
//!
//! Needs sendmail with its m4 files, and a C compiler (see `tests/support`).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;

use support::fake_authd::{LOGIN, PASSWORD as FAKE_PASSWORD};
use support::gate_world::{Options, World};
use support::milter::Milter;
use support::process;
use support::saslauthd::{Kind, PASSWORD, Subject};
use support::sendmail::{self, HOST_NAME, Sendmail};
use support::smtp_client::{SmtpClient, base64};

const ALICE: &str = "alice@example.org";

/// authd with a store, where this very account is the gate's and sendmail's.
fn authd(lines: &str) -> Subject {
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let us = nix::unistd::geteuid();
    let handover =
        format!("\n[authd.handover]\ngates = [\"{us}\"]\nmail_servers = [\"{us}\"]\n{lines}\n");
    let text = fs::read_to_string(subject.config()).unwrap();
    fs::write(subject.config(), text + &handover).unwrap();
    subject.restart();
    subject
}

/// sendmail that sees the gate at an address that may relay nothing by itself.
fn distant_sendmail(authd: &Subject, extra_mc: &str) -> Sendmail {
    Sendmail::start(&sendmail::Options {
        saslauthd: Some(authd.socket()),
        extra_mc: extra_mc.to_owned(),
        peers: "127.0.0.1 203.0.113.5 front.example\n".to_owned(),
        ..sendmail::Options::default()
    })
}

/// Lines of the backend: verified TLS, since sendmail hides AUTH without it.
fn over_tls(sendmail: &Sendmail, identity: &str) -> String {
    let ca = sendmail.certificate();
    format!(
        "tls = \"starttls\"\nca_file = \"{}\"\nserver_name = \"{HOST_NAME}\"\n{identity}\npool_idle = 8\n",
        ca.display()
    )
}

fn gate(authd: &Subject, sendmail: &Sendmail, identity: &str) -> World {
    let backend = over_tls(sendmail, identity);
    let options = Options { auth: Some(authd.socket()), backend, ..Options::default() };
    World::start(sendmail.address(), &options)
}

fn log_in(world: &World, user: &str, password: &str) -> SmtpClient {
    let mut client = world.connect();
    assert_eq!(client.reply().code, 220);
    client.expect("EHLO laptop.test", 250);
    let response = base64(format!("\0{user}\0{password}").as_bytes());
    client.expect(&format!("AUTH PLAIN {response}"), 235);
    client
}

/// One message to somewhere else, which only somebody who may relay can send.
fn relay(client: &mut SmtpClient, subject: &str) {
    client.expect("MAIL FROM:<alice@example.org>", 250);
    client.expect("RCPT TO:<somebody@far.example>", 250);
    client.expect("DATA", 354);
    let reply = client.finish_message(format!("Subject: {subject}\r\n\r\nx\r\n").as_bytes());
    assert_eq!(reply.code, 250, "{}", reply.text());
}

#[test]
fn handover_makes_the_user_a_user_of_sendmail() {
    let (authd, milter) = (authd(""), Milter::start());
    let sendmail = distant_sendmail(&authd, &milter.mc());
    // It relays nothing for that address: what follows is by the login alone.
    let mut stranger = SmtpClient::connect(sendmail.address());
    assert_eq!(stranger.reply().code, 220);
    stranger.expect("EHLO gate.test", 250);
    stranger.expect("MAIL FROM:<alice@example.org>", 250);
    let refused = stranger.expect("RCPT TO:<somebody@far.example>", 550);
    assert!(refused.text().contains("Relaying denied"), "{}", refused.text());

    for identity in ["identity = \"handover\"", "identity = \"auto\""] {
        let before = sendmail.mails().len();
        let connections = sendmail.maillog().matches("AUTH=server").count();
        let world = gate(&authd, &sendmail, identity);
        let mut client = log_in(&world, "alice", PASSWORD);
        // Both over one connection, which is alice's.
        relay(&mut client, "one");
        relay(&mut client, "two");
        let mails = sendmail.mails();
        assert_eq!(mails.len(), before + 2);
        let received = mails[before].received();
        assert!(
            received[0].contains("by mx.gate.test") && received[0].contains("with ESMTPSA"),
            "{received:?}"
        );
        assert!(received[0].contains("(authenticated bits=0)"), "{received:?}");
        sendmail.wait_for_log(
            "AUTH=server, relay=front.example [203.0.113.5], authid=alice, mech=PLAIN, bits=0",
        );
        let logins = sendmail.maillog().matches("AUTH=server").count();
        assert_eq!(logins, connections + 1, "{}", sendmail.maillog());
        let told = milter.mails().pop().unwrap();
        assert_eq!(told["auth_authen"], "alice");
        assert_eq!(told["auth_type"], "PLAIN");
        client.expect("QUIT", 221);
    }
    authd.wait_for_log("[user=alice] [service=smtp] [realm=example.org] [mech=handover]");
}

#[test]
fn each_session_has_a_connection_of_its_own_and_nobody_gets_anothers() {
    let authd = authd("");
    let status = support::saslauthd::saslgate()
        .arg("--config")
        .arg(authd.config())
        .args(["user", "add", "bob@example.org", "--stdin"])
        .stdin(
            fs::File::open({
                let file = authd.dir().join("bob");
                fs::write(&file, "another-Zauberwort\n").unwrap();
                file
            })
            .unwrap(),
        )
        .status()
        .unwrap();
    assert!(status.success());
    let milter = Milter::start();
    let sendmail = distant_sendmail(&authd, &milter.mc());
    let world = gate(&authd, &sendmail, "identity = \"handover\"");
    let mut alice = log_in(&world, ALICE, PASSWORD);
    let mut bob = log_in(&world, "bob@example.org", "another-Zauberwort");
    for _ in 0..2 {
        relay(&mut alice, "alice's");
        relay(&mut bob, "bob's");
    }
    alice.expect("QUIT", 221);
    alice.expect_closed();
    relay(&mut bob, "bob's again");
    let mut again = log_in(&world, "bob@example.org", "another-Zauberwort");
    relay(&mut again, "bob's in a new session");
    let users: Vec<String> =
        milter.mails().iter().map(|told| told["auth_authen"].clone()).collect();
    let bob = "bob@example.org";
    assert_eq!(users, [ALICE, bob, ALICE, bob, bob, bob]);
    assert_eq!(sendmail.maillog().matches("AUTH=server").count(), 3);
}

#[test]
fn what_cannot_be_handed_over_is_not_sent_and_the_log_says_why() {
    // authd gives this gate nothing.
    let authd = authd("sockets = [\"default\"]");
    let text = fs::read_to_string(authd.config()).unwrap();
    let us = nix::unistd::geteuid();
    fs::write(authd.config(), text.replace(&format!("gates = [\"{us}\"]"), "gates = [\"4242\"]"))
        .unwrap();
    authd.signal(nix::sys::signal::Signal::SIGHUP);
    authd.wait_for_log("reloaded");
    let sendmail = distant_sendmail(&authd, "");
    let mut world = gate(&authd, &sendmail, "identity = \"handover\"");
    let mut client = log_in(&world, "alice", PASSWORD);
    client.expect("MAIL FROM:<alice@example.org>", 421);
    client.expect_closed();
    world
        .service
        .wait_for_log("authd gave none (is the gate's account among authd.handover.gates?)");
    assert!(sendmail.mails().is_empty());
    // What is not insisted on is left.
    let world = gate(&authd, &sendmail, "identity = \"auto\"");
    let mut client = log_in(&world, "alice", PASSWORD);
    client.expect("MAIL FROM:<alice@example.org>", 250);
    client.expect("RCPT TO:<somebody@far.example>", 550);
    client.expect("RCPT TO:<bob@gate.test>", 250);
}

#[test]
fn a_sendmail_that_went_away_costs_a_new_session_and_no_login_as_nobody() {
    let authd = authd("");
    let mut sendmail = distant_sendmail(&authd, "");
    let mut world = gate(&authd, &sendmail, "identity = \"handover\"");
    let mut client = log_in(&world, "alice", PASSWORD);
    relay(&mut client, "before");
    sendmail.kill();
    // Whether the loss shows before MAIL or at it is the kernel's affair.
    let first = client.command("MAIL FROM:<alice@example.org>").code;
    assert!(matches!(first, 421 | 451), "{first}");
    if first == 451 {
        client.expect("MAIL FROM:<alice@example.org>", 421);
    }
    client.expect_closed();
    world.service.wait_for_log("the connection that it was for is gone");
}

/// The lines of `packaging/sendmail/gate.m4`, for the daemon of the fixture.
fn gate_rules() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/sendmail/gate.m4");
    format!("define(`confGATE_DAEMON', `MSA')dnl\ninclude(`{file}')dnl\n")
}

const PROXIED: &str = "[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"submissions\"\n\
    proxy_from = [\"127.0.0.1\"]\n[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"mta\"\n\
    proxy_from = [\"127.0.0.1\"]\n";

/// A gate with the rules of sendmail behind it, with connections that are kept.
fn gate_with_rules(sendmail: &Sendmail) -> World {
    let options = Options {
        backend: "identity = \"rules\"\npool_idle = 1\n".to_owned(),
        sections: PROXIED.to_owned(),
        ..Options::default()
    };
    World::start(sendmail.address(), &options)
}

/// A client at `address`, logged in.
fn client_at(world: &World, header: &str) -> SmtpClient {
    let mut client = SmtpClient::connect(world.more[0]);
    client.send(header.as_bytes());
    client.handshake(&world.ca()).unwrap();
    client.log_in();
    client
}

#[test]
fn rules_name_user_and_client_for_each_message_on_one_connection() {
    let milter = Milter::start();
    let access = "Connect:198.51.100.9\tREJECT\n";
    let sendmail = Sendmail::start(&sendmail::Options {
        extra_mc: milter.mc() + &gate_rules(),
        access: Some(access.to_owned()),
        ..sendmail::Options::default()
    });
    let world = gate_with_rules(&sendmail);
    let clients = [
        ("PROXY TCP4 198.51.100.7 203.0.113.1 50000 465\r\n", "198.51.100.7"),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 50000 465\r\n", "IPv6:2001:db8:0:0:0:0:0:7"),
        ("PROXY TCP4 198.51.100.8 203.0.113.1 50000 465\r\n", "198.51.100.8"),
    ];
    for (number, (header, address)) in clients.iter().enumerate() {
        let mut client = client_at(&world, header);
        relay(&mut client, "relayed");
        client.expect("QUIT", 221);
        client.expect_closed();
        world.wait_for_sessions(number + 1);
        let told = milter.mails().pop().unwrap();
        assert_eq!(told["auth_authen"], LOGIN, "{told:?}");
        assert_eq!(told["auth_author"], LOGIN, "{told:?}");
        assert_eq!(told["auth_type"], "GATE", "{told:?}");
        assert_eq!(told["client_addr"], *address, "{told:?}");
        sendmail.wait_for_log(&format!("relay=[{address}]"));
        let received = sendmail.mails()[number].received();
        assert!(received[0].contains(&format!("[{address}]")), "{received:?}");
        assert!(received[0].contains("(authenticated bits=0)"), "{received:?}");
    }
    // The probe's connection, and one for all messages.
    let connections = sendmail.maillog().matches("NOQUEUE: connect from").count();
    let probes = sendmail.maillog().matches("did not issue MAIL").count();
    assert!(connections - probes <= 2, "{connections} of which {probes}:\n{}", sendmail.maillog());
    // Its own access map sees the client.
    let mut client = client_at(&world, "PROXY TCP4 198.51.100.9 203.0.113.1 1 465\r\n");
    let refused = client.expect("MAIL FROM:<alice@example.org>", 550);
    assert!(refused.text().contains("Access denied"), "{}", refused.text());
    assert!(FAKE_PASSWORD.len() > 3 && !sendmail.maillog().contains(FAKE_PASSWORD));
}

#[test]
fn rules_believe_the_gate_alone_and_forget_with_each_message() {
    let milter = Milter::start();
    let sendmail = Sendmail::start(&sendmail::Options {
        extra_mc: milter.mc() + &gate_rules(),
        access: Some(String::new()),
        ..sendmail::Options::default()
    });
    let mut direct = SmtpClient::connect(sendmail.address());
    assert_eq!(direct.reply().code, 220);
    direct.expect("EHLO gate.test", 250);
    // Not from the gate, or from one that does not say whose it is.
    for mail in [
        "MAIL FROM:<a@client.test>",
        "MAIL FROM:<a@client.test> AUTH=root",
        "MAIL FROM:<a@client.test> AUTH=<>",
    ] {
        let refused = direct.expect(mail, 550);
        assert!(refused.text().contains("comes through the gate"), "{}", refused.text());
        direct.expect("RSET", 250);
    }
    // A user may relay; the next message is a stranger's, who may not, though it comes from loopback.
    direct.expect("MAIL FROM:<a@client.test> AUTH=[198.51.100.7]alice", 250);
    direct.expect("RCPT TO:<somebody@far.example>", 250);
    direct.expect("RSET", 250);
    direct.expect("MAIL FROM:<a@client.test> AUTH=[198.51.100.7]", 250);
    direct.expect("RCPT TO:<somebody@far.example>", 550);
    direct.expect("RCPT TO:<bob@gate.test>", 250);
    direct.expect("RSET", 250);
    // Names that rules could choke on are names.
    for user in
        ["a+2Bb@x.test", "a]b[c@x.test", "$j@x.test", "a+20b+28c+29@x.test", "a+3C@b+3E@x.test"]
    {
        direct.expect(&format!("MAIL FROM:<a@client.test> AUTH=[198.51.100.7]{user}"), 250);
        let told = milter.mails().pop().unwrap();
        assert_eq!(told["auth_authen"], user, "{told:?}");
        assert_eq!(told["client_addr"], "198.51.100.7", "{user}");
        direct.expect("RSET", 250);
    }
    assert!(milter.mails().iter().filter(|told| !told.contains_key("auth_authen")).count() >= 1);
}

#[test]
fn what_a_client_says_in_auth_is_not_what_sendmail_hears() {
    let milter = Milter::start();
    let sendmail = Sendmail::start(&sendmail::Options {
        extra_mc: milter.mc() + &gate_rules(),
        access: Some(String::new()),
        ..sendmail::Options::default()
    });
    let world = gate_with_rules(&sendmail);
    let header = "PROXY TCP4 198.51.100.7 203.0.113.1 50000 465\r\n";
    let mut client = client_at(&world, header);
    client.expect("MAIL FROM:<a@client.test> AUTH=[192.0.2.1]root", 250);
    assert_eq!(milter.mails().pop().unwrap()["auth_authen"], LOGIN);
    // Nor without rules.
    let plain = Sendmail::start(&sendmail::Options {
        extra_mc: milter.mc(),
        ..sendmail::Options::default()
    });
    let world = World::start(plain.address(), &Options::default());
    let mut client = world.log_in();
    client.expect("MAIL FROM:<a@client.test> AUTH=root", 250);
    let told = milter.mails().pop().unwrap();
    assert_eq!(told.get("auth_author"), None, "{told:?}");
}
