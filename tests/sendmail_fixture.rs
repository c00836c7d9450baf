//! The test sendmail itself: what clients send it is what its files hold.
//! Without this every other test against it would prove nothing.
#![cfg(test)]

mod support;

use support::mail_clients::{ALL, Login, MESSAGE, Submission, Tls, openssl_s_client};
use support::sendmail::{HOST_NAME, Options, Sendmail};

#[test]
fn every_client_delivers_the_message_byte_for_byte() {
    let sendmail = Sendmail::start(&Options::default());
    for (number, (name, client)) in ALL.iter().enumerate() {
        let submission = Submission {
            server: sendmail.address(),
            tls: Tls::None,
            login: None,
            from: "alice@client.test",
            to: &["bob@gate.test"],
            message: MESSAGE,
        };
        client(&submission).expect_success();
        let mails = sendmail.mails();
        assert_eq!(mails.len(), number + 1, "{name}: one delivery");
        let mail = mails.last().unwrap();
        assert_eq!(mail.from, "alice@client.test", "{name}");
        assert_eq!(mail.recipients, ["bob@gate.test"], "{name}");
        assert_eq!(
            String::from_utf8_lossy(&mail.as_sent()),
            String::from_utf8_lossy(MESSAGE),
            "{name}"
        );
        assert_eq!(mail.received().len(), 1, "{name}");
        assert!(mail.received()[0].contains("by mx.gate.test"), "{name}: {:?}", mail.received());
    }
}

#[test]
fn the_size_limit_is_announced_and_kept() {
    let options = Options { max_message_bytes: Some(1000), ..Options::default() };
    let sendmail = Sendmail::start(&options);
    let message = [MESSAGE, &b"0123456789\r\n".repeat(200)].concat();
    let submission = Submission {
        server: sendmail.address(),
        tls: Tls::None,
        login: None,
        from: "alice@client.test",
        to: &["bob@gate.test"],
        message: &message,
    };
    let finished = support::mail_clients::swaks(&submission);
    assert_ne!(finished.code, Some(0));
    assert!(finished.stdout.contains("250-SIZE 1000"), "{}", finished.stdout);
    assert!(finished.stdout.contains("552 5.2.3"), "{}", finished.stdout);
    assert!(sendmail.mails().is_empty());
}

#[test]
fn starttls_is_offered_with_its_own_certificate() {
    let sendmail = Sendmail::start(&Options { has_tls: true, ..Options::default() });
    let ca = sendmail.certificate();
    let arguments = ["-starttls", "smtp", "-verify_return_error", "-CAfile", ca.to_str().unwrap()];
    let finished = openssl_s_client(sendmail.address(), &arguments, b"QUIT\r\n");
    let text = finished.expect_success().stdout;
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    sendmail.wait_for_log("STARTTLS=server, relay=localhost [127.0.0.1], version=TLSv1.3");
}

#[test]
fn without_a_saslauthd_nobody_is_authenticated() {
    let options =
        Options { saslauthd: Some("/nonexistent/saslgate/mux".into()), ..Options::default() };
    let sendmail = Sendmail::start(&options);
    let ca = sendmail.certificate();
    let submission = Submission {
        server: sendmail.address(),
        tls: Tls::Starttls(&ca),
        login: Some(Login { user: "alice", password: "secret", mechanism: "PLAIN" }),
        from: "alice@client.test",
        to: &["bob@gate.test"],
        message: MESSAGE,
    };
    let finished = support::mail_clients::swaks(&submission);
    assert!(finished.stdout.contains("535 5.7.0 authentication failed"), "{finished:?}");
    assert!(finished.stdout.contains(HOST_NAME));
    sendmail.wait_for_log("AUTH failure (PLAIN): generic failure (-1)");
}
