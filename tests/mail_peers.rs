//! Real mail clients, the gate, real sendmail: what was sent is what arrives.
//! And sendmail alone, with our authd in the place of saslauthd.
#![cfg(test)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use support::gate::{SASLGATE, Service};
use support::mail_clients::{ALL, Login, MESSAGE, Submission, Tls, openssl_s_client, swaks};
use support::sendmail::{Options, Sendmail};

const PASSWORD: &str = "pass-w0rd";

/// authd and gate in front of `backend`, with one user, alice.
struct House {
    running: Service,
    dir: tempfile::TempDir,
    starttls: SocketAddr,
    implicit: SocketAddr,
}

impl House {
    fn build(backend: Option<SocketAddr>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users");
        fs::write(&users, format!("alice:{PASSWORD}\nbob:{PASSWORD}:other.test\n")).unwrap();
        let mut command = Command::new(SASLGATE);
        command.arg("try").arg("--quiet").arg("--users").arg(&users);
        command.arg("--dir").arg(dir.path().join("state"));
        if let Some(backend) = backend {
            command.arg("--backend").arg(backend.to_string());
        }
        let mut running = Service::spawn(&mut command, dir.path().join("log"));
        running.wait_for_log("ready ");
        let log = running.log();
        let value = |key: &str| log.split(key).nth(1).unwrap().split(' ').next().unwrap();
        let (starttls, implicit) = (value("starttls="), value("implicit="));
        let (starttls, implicit) = (starttls.parse().unwrap(), implicit.parse().unwrap());
        Self { running, dir, starttls, implicit }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }
}

fn submission<'a>(server: SocketAddr, tls: Tls<'a>, mechanism: &'a str) -> Submission<'a> {
    Submission {
        server,
        tls,
        login: Some(Login { user: "alice", password: PASSWORD, mechanism }),
        from: "alice@client.test",
        to: &["bob@gate.test"],
        message: MESSAGE,
    }
}

#[test]
fn every_client_reaches_sendmail_through_the_gate_byte_for_byte() {
    let sendmail = Sendmail::start(&Options::default());
    let mut house = House::build(Some(sendmail.address()));
    let ca = house.path("cert.pem");
    let before = sendmail.mails().len();
    let mut count = before;
    for (name, client) in ALL {
        for (server, tls) in
            [(house.starttls, Tls::Starttls(&ca)), (house.implicit, Tls::Implicit(&ca))]
        {
            for mechanism in ["PLAIN", "LOGIN"] {
                let case = format!("{name}, {tls:?}, {mechanism}");
                client(&submission(server, tls, mechanism)).expect_success();
                count += 1;
                let mails = sendmail.mails();
                assert_eq!(mails.len(), count, "{case}: one delivery");
                let mail = mails.last().unwrap();
                assert_eq!(mail.from, "alice@client.test", "{case}");
                assert_eq!(mail.recipients, ["bob@gate.test"], "{case}");
                let (sent, wanted) = (mail.as_sent(), MESSAGE);
                let text = String::from_utf8_lossy;
                assert_eq!(text(&sent), text(wanted), "{case}");
                assert!(mail.received()[1].contains("with ESMTPSA"), "{:?}", mail.received());
            }
        }
    }
    assert_eq!(house.running.stop(), Some(0));
}

#[test]
fn a_wrong_password_reaches_nobody() {
    let sendmail = Sendmail::start(&Options::default());
    let house = House::build(Some(sendmail.address()));
    let ca = house.path("cert.pem");
    let before = sendmail.mails().len();
    for (name, client) in ALL {
        let mut wrong = submission(house.starttls, Tls::Starttls(&ca), "PLAIN");
        wrong.login = Some(Login { user: "alice", password: "guess", mechanism: "PLAIN" });
        let finished = client(&wrong);
        assert_ne!(finished.code, Some(0), "{name}");
        let said = finished.stdout + &finished.stderr;
        // curl names the code only.
        assert!(said.contains("535"), "{name}:\n{said}");
    }
    assert_eq!(sendmail.mails().len(), before);
}

#[test]
fn openssl_verifies_both_kinds_of_listener() {
    let house = House::build(None);
    let ca = house.path("cert.pem");
    let ca = ["-verify_return_error", "-verify_ip", "127.0.0.1", "-CAfile", ca.to_str().unwrap()];
    let cases: [(SocketAddr, &[&str], &str); 4] = [
        (house.starttls, &["-starttls", "smtp"], "TLSv1.3"),
        (house.starttls, &["-starttls", "smtp", "-tls1_2"], "TLSv1.2"),
        (house.implicit, &["-tls1_3"], "TLSv1.3"),
        (house.implicit, &["-tls1_2"], "TLSv1.2"),
    ];
    for (server, arguments, version) in cases {
        let arguments = [&ca[..], arguments].concat();
        let said = openssl_s_client(server, &arguments, b"QUIT\r\n").expect_success().stdout;
        assert!(said.contains("Verification: OK"), "{said}");
        assert!(said.contains(&format!("New, {version}, Cipher is ")), "{said}");
        assert!(said.contains("221 2.0.0"), "{said}");
    }
    for refused in [&["-tls1_1"][..], &["-alpn", "http/1.1"]] {
        let arguments = [&ca[..], refused].concat();
        assert_ne!(openssl_s_client(house.implicit, &arguments, b"").code, Some(0), "{refused:?}");
    }
    let arguments = [&ca[..], &["-alpn", "smtp"]].concat();
    openssl_s_client(house.implicit, &arguments, b"QUIT\r\n").expect_success();
}

#[test]
fn sendmail_authenticates_through_our_authd() {
    let house = House::build(None);
    let options = Options { saslauthd: Some(house.path("mux")), ..Options::default() };
    let sendmail = Sendmail::start(&options);
    let ca = sendmail.certificate();
    for (user, password, mechanism, code) in [
        ("alice", PASSWORD, "PLAIN", "235 2.0.0"),
        ("alice", PASSWORD, "LOGIN", "235 2.0.0"),
        ("bob@other.test", PASSWORD, "PLAIN", "235 2.0.0"),
        ("alice", "wrong", "PLAIN", "535 5.7.0"),
        ("alice", "wrong", "LOGIN", "535 5.7.0"),
        ("bob", PASSWORD, "PLAIN", "535 5.7.0"),
        ("nobody", PASSWORD, "PLAIN", "535 5.7.0"),
    ] {
        let mut submission = submission(sendmail.address(), Tls::Starttls(&ca), mechanism);
        submission.login = Some(Login { user, password, mechanism });
        let finished = swaks(&submission);
        assert!(finished.stdout.contains(code), "{user} {mechanism}: {finished:?}");
        assert_eq!(finished.code == Some(0), code.starts_with('2'), "{user} {mechanism}");
    }
    assert_eq!(sendmail.mails().len(), 3);
    sendmail.wait_for_log("AUTH=server, relay=localhost [127.0.0.1], authid=alice, mech=PLAIN");
}
