//! Every line, to the letter; and that each call writes one.

use std::net::IpAddr;
use std::time::Duration;

use super::session::{Party, TlsStarted};
use super::text::queue_id;
use super::*;
use crate::base::{Reason, ReasonCode};
use crate::ops::log::{Format, Level, capture};

const TLS: TlsFacts<'static> =
    TlsFacts { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384", bits: 256, verify: "NOT" };

fn client(address: &str) -> Client<'static> {
    Client { name: None, address: address.parse::<IpAddr>().unwrap(), session: "" }
}

fn auth_line(mechanism: &str, login: &str, outcome: AuthOutcome<'_>) -> String {
    AuthEvent { client: client("192.0.2.7"), mechanism, login, outcome }.to_string()
}

fn a_message<'a>() -> MessageEvent<'a> {
    MessageEvent {
        client: client("192.0.2.7"),
        login: "alice",
        from: "a@b.test",
        recipients: &["c@d.test", "e@d.test"],
        size: 4096,
        protocol: "ESMTPSA",
        tls: Some(TLS),
        backend: "127.0.0.1:10587",
        reply: "250 2.0.0 6AKBxRDK017977 Message accepted for delivery",
        duration: Duration::from_millis(12),
        outcome: MessageOutcome::Accepted,
        refused: 0,
        id: "k3f9abcdef.1",
    }
}

#[test]
fn tls_lines_are_sendmails() {
    let relay = Client { name: Some("mx.gate.test"), ..client("127.0.0.1") };
    assert_eq!(
        TlsStarted { with: Party::Client(&relay), tls: &TLS }.to_string(),
        "STARTTLS=server, relay=mx.gate.test [127.0.0.1], version=TLSv1.3, verify=NOT, \
         cipher=TLS_AES_256_GCM_SHA384, bits=256/256"
    );
    let failure = TlsFailure { client: client("192.0.2.7"), reason: "plaintext instead of TLS" };
    assert_eq!(
        failure.to_string(),
        "STARTTLS=server, error: accept failed=-1, reason=plaintext instead of TLS, \
         SSL_error=1, errno=0, retry=-1, relay=[192.0.2.7]"
    );
}

#[test]
fn a_client_certificate_is_told_of_as_sendmail_does() {
    let shown = PresentedCertificate {
        client: client("192.0.2.7"),
        subject: "/C=DE/CN=Alice+20Doe",
        issuer: "/C=DE/CN=a,b",
        problem: None,
        fingerprint: "AB:CD",
    };
    assert_eq!(
        shown.to_string(),
        "STARTTLS=server, cert-subject=/C=DE/CN=Alice+20Doe, cert-issuer=/C=DE/CN=a\\x2cb, \
         verifymsg=ok, relay=[192.0.2.7], fingerprint=AB:CD"
    );
    let refused = PresentedCertificate { problem: Some("certificate revoked"), ..shown };
    assert!(refused.to_string().contains("verifymsg=certificate revoked, relay="));
}

#[test]
fn a_certificate_that_ends_is_told_of_with_its_days() {
    let at = |text: &str| text.parse().unwrap();
    let certificate = Certificate {
        what: "certificate",
        file: std::path::Path::new("/etc/pki/my mail.pem"),
        names: &["mail.example.org", "*.example.org"],
        not_before: at("2026-10-01T00:00:00Z"),
        not_after: at("2026-12-30T00:00:00Z"),
        ending: Ending::Expires { days: 7 },
    };
    let line = "certificate: file=/etc/pki/my\\x20mail.pem, names=mail.example.org,*.example.org, \
                not-before=2026-10-01T00:00:00Z, not-after=2026-12-30T00:00:00Z, state=";
    assert_eq!(certificate.to_string(), format!("{line}expires, days=7"));
    let over = Certificate { ending: Ending::Expired, ..certificate };
    assert_eq!(over.to_string(), format!("{line}expired"));
    let ahead = Certificate { ending: Ending::NotYetValid, ..certificate };
    assert_eq!(ahead.to_string(), format!("{line}not-yet-valid"));
}

#[test]
fn auth_success_is_sendmails_line() {
    assert_eq!(
        auth_line("PLAIN", "alice", AuthOutcome::Accepted),
        "AUTH=server, relay=[192.0.2.7], authid=alice, mech=PLAIN, bits=0"
    );
}

#[test]
fn auth_failure_is_sendmails_line() {
    let bad = Reason::from(ReasonCode::BadCredentials);
    assert_eq!(
        auth_line("LOGIN", "alice", AuthOutcome::Rejected(&bad)),
        "AUTH failure (LOGIN): authentication failure (-13) SASL(-13): authentication failure: \
         checkpass failed, user=alice, relay=[192.0.2.7]"
    );
    assert_eq!(
        auth_line("PLAIN", "alice", AuthOutcome::Rejected(&bad)),
        "AUTH failure (PLAIN): authentication failure (-13) SASL(-13): authentication failure: \
         Password verification failed, user=alice, relay=[192.0.2.7]"
    );
}

#[test]
fn an_outage_and_a_refusal_have_different_codes() {
    let down = Reason::new(ReasonCode::BackendDown, "no socket /run/saslauthd/mux");
    assert_eq!(
        auth_line("PLAIN", "alice", AuthOutcome::Unavailable(&down)),
        "AUTH failure (PLAIN): generic failure (-1) SASL(-1): generic failure: \
         backend-down: no socket /run/saslauthd/mux, user=alice, relay=[192.0.2.7]"
    );
    let code = |code: ReasonCode, wanted: &str| {
        let line = auth_line("PLAIN", "", AuthOutcome::Rejected(&code.into()));
        assert!(line.contains(wanted), "{line}");
        assert!(line.ends_with(", user=, relay=[192.0.2.7]"), "{line}");
    };
    code(ReasonCode::Cancelled, "bad protocol / cancel (-5) SASL(-5)");
    code(ReasonCode::NotAuthorized, "authorization failure (-14) SASL(-14)");
    code(ReasonCode::NoMechanism, "no mechanism available (-4) SASL(-4)");
    code(ReasonCode::AccountLocked, "authentication failure: account-locked");
}

#[test]
fn user_names_are_xtext_as_sendmail_writes_it() {
    let line = auth_line("PLAIN", "al ice(x)<y>+\"=\\\u{fc}\n", AuthOutcome::Accepted);
    assert!(line.contains("authid=al+20ice+28x+29+3Cy+3E+2B+22+3D+5C+C3+BC+0A, mech"), "{line}");
    let line = auth_line("PLAIN", &"u".repeat(1000), AuthOutcome::Accepted);
    assert!(line.contains("uuu..., mech=PLAIN"), "{line}");
    assert!(line.len() < 400);
}

#[test]
fn one_line_tells_all_about_a_message() {
    assert_eq!(
        a_message().to_string(),
        "message: from=<a@b.test>, to=<c@d.test>,<e@d.test>, size=4096, nrcpts=2, \
         client=[192.0.2.7], login=alice, proto=ESMTPSA, tls=TLSv1.3/TLS_AES_256_GCM_SHA384, \
         backend=127.0.0.1:10587, queueid=6AKBxRDK017977, \
         reply=\"250 2.0.0 6AKBxRDK017977 Message accepted for delivery\", ms=12, \
         outcome=accepted, refused=0, id=k3f9abcdef.1"
    );
    let line = MessageEvent {
        from: "",
        recipients: &[],
        tls: None,
        reply: "",
        outcome: MessageOutcome::Lost,
        ..a_message()
    };
    assert_eq!(
        line.to_string(),
        "message: from=<>, to=, size=4096, nrcpts=0, client=[192.0.2.7], login=alice, \
         proto=ESMTPSA, tls=none, backend=127.0.0.1:10587, queueid=, reply=\"\", ms=12, \
         outcome=lost, refused=0, id=k3f9abcdef.1"
    );
}

#[test]
fn an_address_cannot_pretend_to_be_another_key_or_line() {
    let event = MessageEvent {
        from: "\"x, outcome=accepted\n\"@b.test",
        recipients: &["y>, size=1"],
        reply: "550 5.1.1 \"no\", outcome=accepted",
        outcome: MessageOutcome::Refused,
        ..a_message()
    };
    let line = event.to_string();
    assert!(line.starts_with("message: from=<\\x22x\\x2c\\x20outcome=accepted\\x0a\\x22@b.test>"));
    assert!(line.contains("to=<y>\\x2c\\x20size=1>, size=4096"), "{line}");
    assert!(line.contains("reply=\"550 5.1.1 \\x22no\\x22, outcome=accepted\", ms="), "{line}");
    assert!(!line.contains('\n'));
}

#[test]
fn a_long_recipient_list_is_cut_and_counted() {
    let address = format!("{}@d.test", "r".repeat(57));
    let recipients = vec![address.as_str(); 1000];
    let line = MessageEvent { recipients: &recipients, ..a_message() }.to_string();
    assert!(line.len() < 10_000);
    assert!(line.contains(">,+877, size=4096, nrcpts=1000"), "{}", &line[8000..]);
}

#[test]
fn clients_are_written_as_sendmail_writes_them() {
    assert_eq!(client("192.0.2.7").to_string(), "[192.0.2.7]");
    assert_eq!(client("::ffff:192.0.2.7").to_string(), "[192.0.2.7]");
    assert_eq!(client("2001:db8::7").to_string(), "[IPv6:2001:db8::7]");
    let named = Client { name: Some("evil], x=\n"), ..client("192.0.2.7") };
    assert_eq!(named.to_string(), "evil\\x5d\\x2c\\x20x=\\x0a [192.0.2.7]");
}

#[test]
fn finds_the_queue_id_of_sendmail_and_postfix() {
    assert_eq!(
        queue_id("250 2.0.0 6AKBxRDK017977 Message accepted for delivery"),
        Some("6AKBxRDK017977")
    );
    assert_eq!(queue_id("250 2.0.0 Ok: queued as 4Xb3Yz1QzPz"), Some("4Xb3Yz1QzPz"));
    for other in ["", "250 2.0.0 ", "250 2.0.0 Ok", "452 4.2.2 6AKB Message accepted", "250 ok"] {
        assert_eq!(queue_id(other), None, "{other}");
    }
    assert_eq!(queue_id("250 2.0.0 two words Message accepted for delivery"), None);
}

#[test]
fn each_fact_is_one_line_whatever_the_level() {
    let client = client("192.0.2.7");
    let text = capture::journal(Level::Error, || {
        tls_started(&client, &TLS);
        tls_failed(&TlsFailure { client, reason: "x" });
        auth(&AuthEvent { client, mechanism: "PLAIN", login: "a", outcome: AuthOutcome::Accepted });
        message(&a_message());
        rejected(&client, Rejection::HttpVerb, "421 5.7.0 \"bye\"");
        // At debug, so not here.
        connected(&client, "127.0.0.1:587".parse().unwrap());
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines.iter().all(|line| line.starts_with("<6>")));
    assert_eq!(
        lines[4],
        "<6>rejected: relay=[192.0.2.7], reason=http-verb, reply=\"421 5.7.0 \\x22bye\\x22\""
    );
}

#[test]
fn the_end_of_a_session_is_described() {
    let event = SessionEvent {
        client: client("192.0.2.7"),
        duration: Duration::from_millis(1500),
        commands: 9,
        messages: 1,
        end: "quit",
    };
    assert_eq!(
        event.to_string(),
        "disconnect: relay=[192.0.2.7], ms=1500, commands=9, messages=1, end=quit"
    );
}

#[test]
fn a_session_id_stands_where_sendmail_has_the_queues() {
    let client = Client { session: "k3f9abcdefghij", ..client("192.0.2.7") };
    let bad = Reason::from(ReasonCode::BadCredentials);
    let text = capture::journal(Level::Debug, || {
        connected(&client, "127.0.0.1:587".parse().unwrap());
        tls_started(&client, &TLS);
        tls_failed(&TlsFailure { client, reason: "x" });
        auth(&AuthEvent {
            client,
            mechanism: "LOGIN",
            login: "alice",
            outcome: AuthOutcome::Rejected(&bad),
        });
        message(&MessageEvent { client, ..a_message() });
        backend_trouble(&client, "lost");
        rejected(&client, Rejection::Timeout, "421");
        disconnected(&SessionEvent {
            client,
            duration: Duration::ZERO,
            commands: 1,
            messages: 0,
            end: "quit",
        });
    });
    assert_eq!(text.lines().count(), 8, "{text}");
    for line in text.lines() {
        assert!(line[3..].starts_with("k3f9abcdefghij: "), "{line}");
    }
}

#[test]
fn the_same_facts_are_members_in_json() {
    let client = Client { session: "k3f9abcdefghij", name: Some("mx.test"), ..client("192.0.2.7") };
    let bad = Reason::new(ReasonCode::BackendDown, "gone");
    let outcome = AuthOutcome::Unavailable(&bad);
    let text = capture::lines(Format::Json, Level::Error, || {
        message(&MessageEvent { client, ..a_message() });
        auth(&AuthEvent { client, mechanism: "PLAIN", login: "al\"ice", outcome });
    });
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(&line[3..]).unwrap()).collect();
    let message = &lines[0];
    assert_eq!(message["event"], "message");
    assert_eq!(message["session"], "k3f9abcdefghij");
    assert_eq!(message["client"], "192.0.2.7");
    assert_eq!(message["client_name"], "mx.test");
    assert_eq!(message["to"], serde_json::json!(["c@d.test", "e@d.test"]));
    assert_eq!((&message["size"], &message["nrcpts"]), (&4096.into(), &2.into()));
    assert_eq!(message["queueid"], "6AKBxRDK017977");
    assert_eq!(message["outcome"], "accepted");
    assert_eq!(lines[1]["login"], "al\"ice");
    assert_eq!(
        (&lines[1]["outcome"], &lines[1]["code"]),
        (&"unavailable".into(), &"backend-down".into())
    );
}
