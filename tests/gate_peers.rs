//! The gate in front of real sendmail, at its limits: difficult content, replies
//! of sendmail's own, a sendmail that is killed, one that can be smuggled to.
//! `tests/mail_peers.rs` has the everyday cases.
//!
//! Needs sendmail, swaks, msmtp, curl, python3 (see `tests/support`).

mod support;

use support::fake_authd::{LOGIN, PASSWORD};
use support::gate_world::{Options, World};
use support::mail_clients::{ALL, Login, Submission, Tls};
use support::sendmail::{self, Sendmail};
use support::smtp_client::{Reply, SmtpClient};

/// The header that keeps clients and servers from adding one.
const HEADER: &str = "Date: Fri, 20 Nov 2026 11:59:27 +0000\r\n\
    From: Alice <alice@client.test>\r\nTo: bob@gate.test\r\nMessage-ID: <1@client.test>\r\n";

/// Refuses some recipients, in sendmail's own words.
const REFUSALS: &str = "LOCAL_RULESETS\n\
    SLocal_check_rcpt\n\
    R< nobody @ $* > $*\t$#error $@ 5.1.1 $: \"550 no such user here\"\n\
    R< later @ $* > $*\t$#error $@ 4.2.1 $: \"450 that one is away\"\n\
    SLocal_check_mail\n\
    R< spammer @ $* > $*\t$#error $@ 5.7.1 $: \"554 go away\"\n";

fn start(options: &sendmail::Options) -> (Sendmail, World) {
    let sendmail = Sendmail::start(options);
    let world = World::start(sendmail.address(), &Options::default());
    (sendmail, world)
}

#[test]
fn difficult_messages_arrive_byte_for_byte_from_every_client() {
    let (sendmail, world) = start(&sendmail::Options::default());
    let ca = world.ca();
    let attachment =
        "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlz\r\n";
    let bodies: &[(&str, Vec<u8>)] = &[
        ("an empty body", b"Subject: empty\r\n\r\n".to_vec()),
        ("8-bit", b"Subject: 8\r\n\r\ngr\xc3\xbc\xc3\x9fe, \xfc\xff in Latin-1\r\n".to_vec()),
        ("dots", b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n...\r\n.\r\nx.\r\n".to_vec()),
        ("a long line", [b"Subject: long\r\n\r\n", &[b'x'; 5000][..], b"\r\n"].concat()),
        ("3 MB", [b"Subject: big\r\n\r\n", attachment.repeat(38_000).as_bytes()].concat()),
    ];
    let mut count = 0;
    for (what, body) in bodies {
        let message = [HEADER.as_bytes(), body].concat();
        for (number, (name, client)) in ALL.iter().enumerate() {
            let (server, tls) = match number % 2 {
                0 => (world.starttls, Tls::Starttls(&ca)),
                _ => (world.implicit, Tls::Implicit(&ca)),
            };
            let submission = Submission {
                server,
                tls,
                login: Some(Login { user: LOGIN, password: PASSWORD, mechanism: "PLAIN" }),
                from: "alice@client.test",
                to: &["bob@gate.test"],
                message: &message,
            };
            // swaks adds a blank line to a message without a body: what counts is what
            // the same client gives to sendmail itself.
            let direct = sendmail.address();
            client(&Submission { server: direct, tls: Tls::None, login: None, ..submission })
                .expect_success();
            client(&submission).expect_success();
            count += 1;
            let mails = sendmail.mails();
            assert_eq!(mails.len(), 2 * count, "{what} by {name}: one delivery each");
            let [wanted, got] = [2, 1].map(|back| mails[2 * count - back].as_sent());
            assert!(got == wanted, "{what} by {name}: {} bytes arrived changed", got.len());
            assert!(got.starts_with(&message), "{what} by {name}: {} bytes", got.len());
        }
    }
    assert_eq!(world.wait_for_messages(count).len(), count);
}

/// The same conversation with sendmail itself and through the gate.
fn converse(client: &mut SmtpClient) -> Vec<Reply> {
    let mut replies = Vec::new();
    for line in [
        "MAIL FROM:<spammer@client.test>",
        "MAIL FROM:<a@client.test> SIZE=2000000",
        "MAIL FROM:<a@client.test>",
        "RCPT TO:<nobody@gate.test>",
        "RCPT TO:<later@gate.test>",
        "RCPT TO:<bob@gate.test> NOTIFY=SUCCESS",
        "DATA",
    ] {
        replies.push(client.command(line));
    }
    // More header than sendmail takes.
    let header = b"X-Long: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n".repeat(1000);
    replies.push(client.finish_message(&header));
    client.open_message();
    replies.push(client.finish_message(&b"0123456789abcdef0123456789abcdef\r\n".repeat(40_000)));
    replies
}

#[test]
fn what_sendmail_says_reaches_the_client_unchanged() {
    let options = sendmail::Options {
        max_message_bytes: Some(1_000_000),
        extra_mc: REFUSALS.to_owned(),
        ..sendmail::Options::default()
    };
    let (sendmail, world) = start(&options);
    let mut direct = SmtpClient::connect(sendmail.address());
    assert_eq!(direct.reply().code, 220);
    direct.expect("EHLO client.test", 250);
    let wanted = converse(&mut direct);
    let codes: Vec<u16> = wanted.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [554, 552, 250, 550, 450, 250, 354, 552, 552]);
    let mut client = world.log_in();
    let got = converse(&mut client);
    for (got, wanted) in got.iter().zip(&wanted) {
        assert_eq!((got.code, got.text()), (wanted.code, wanted.text()));
    }
    assert!(sendmail.mails().is_empty());
    let offer = client.expect("EHLO client.test", 250).text();
    assert_eq!(
        offer,
        "gate.test greets client.test\nENHANCEDSTATUSCODES\nPIPELINING\n8BITMIME\nSIZE 1000000\n\
         DSN\nAUTH PLAIN LOGIN"
    );
}

#[test]
fn the_log_line_of_a_message_has_sendmails_queue_id() {
    let (sendmail, world) = start(&sendmail::Options::default());
    let mut client = world.log_in();
    client.open_message();
    let reply = client.finish_message(format!("{HEADER}\r\nx\r\n").as_bytes()).text();
    let id = reply.split(' ').nth(1).unwrap();
    let line = world.wait_for_messages(1).remove(0);
    assert!(line.contains(&format!("queueid={id}, reply=\"250 2.0.0 {id} Message")), "{line}");
    sendmail.wait_for_log(&format!("{id}: from=<a@client.test>"));
    let received = sendmail.mails()[0].received();
    assert!(received[0].contains("by mx.gate.test"), "{received:?}");
    assert!(received[1].contains("from client.test ([127.0.0.1])"), "{received:?}");
}

#[test]
fn a_sendmail_killed_in_the_middle_costs_a_451_and_no_message() {
    let options = sendmail::Options::default();
    let (mut sendmail, world) = start(&options);
    let port = sendmail.address().port();
    let body = b"0123456789abcdef0123456789abcdef0123456789abcdef\r\n".repeat(20_000);
    let mut client = world.log_in();
    client.open_message();
    client.send(b"Subject: killed\r\n\r\n");
    client.send(&body);
    sendmail.kill();
    client.send(&body);
    client.send(b".\r\n");
    let reply = client.reply();
    assert_eq!(reply.code, 451, "{}", reply.text());
    client.expect("MAIL FROM:<a@client.test>", 451);
    assert!(sendmail.mails().is_empty());

    let again = Sendmail::start_on(&options, port);
    client.open_message();
    let reply = client.finish_message(b"Subject: again\r\n\r\nx\r\n");
    assert_eq!(reply.code, 250, "{}", reply.text());
    assert_eq!(again.mails().len(), 1, "one copy");
    let outcomes: Vec<bool> =
        world.wait_for_messages(3).iter().map(|line| line.contains("outcome=accepted")).collect();
    assert_eq!(outcomes, [false, false, true]);
}

#[test]
fn a_sendmail_that_can_be_smuggled_to_is_safe_behind_the_gate() {
    // As sendmail was before CVE-2023-51765.
    let lenient = "LOCAL_RULESETS\nSsrv_features\nR$*\t$# O G U F\n";
    let options =
        sendmail::Options { extra_mc: lenient.to_owned(), ..sendmail::Options::default() };
    let sendmail = Sendmail::start(&options);
    let forms = ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r\n\0.\r\n"];
    let smuggle = |form: &str| {
        format!(
            "Subject: bait\r\n\r\nbait{form}MAIL FROM:<evil@client.test>\r\n\
             RCPT TO:<victim@gate.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
        )
    };
    let is_smuggled = || sendmail.mails().iter().any(|mail| mail.from == "evil@client.test");

    for bare_newlines in ["reject", "normalize"] {
        let lines =
            format!("bare_newlines = \"{bare_newlines}\"\nmax_sessions_per_address = 1000\n");
        let world = World::start(sendmail.address(), &Options::gate(&lines));
        let code = if bare_newlines == "reject" { 554 } else { 250 };
        for form in forms {
            let mut client = world.log_in();
            client.open_message();
            let reply = client.finish_message(smuggle(form).as_bytes());
            assert_eq!(reply.code, code, "{bare_newlines}, {form:?}: {}", reply.text());
        }
        world.wait_for_messages(forms.len());
        world.wait_for_sessions(forms.len());
        assert!(!is_smuggled(), "{bare_newlines}");
    }
    assert_eq!(sendmail.mails().len(), forms.len());

    // The same without the gate: this sendmail falls for it, so the above means something.
    let mut direct = SmtpClient::connect(sendmail.address());
    assert_eq!(direct.reply().code, 220);
    direct.expect("EHLO client.test", 250);
    direct.open_message();
    direct.finish_message(smuggle("\r\n.\n").as_bytes());
    direct.expect("NOOP", 250);
    assert!(support::process::wait_until(support::process::PATIENCE, is_smuggled));
}
