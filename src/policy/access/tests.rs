//! Whole maps against whole questions; the same against sendmail is `tests/access_sendmail.rs`.

use super::classes::Classes;
use super::{
    AccessMap, Cause, Client, Decision, PtrState, Relaying, Site, TlsFacts, Visit, explain,
};

const MAP: &str = "\
Connect:192.0.2\tREJECT
Connect:192.0.2.9\tOK
Connect:bad.example\tERROR:5.7.1:451 later please
Connect:198.51.100.1\tDISCARD
Connect:198.51.100.2\tRELAY
198.51.100.3\treject
[198.51.100.4]\t550 in brackets
Connect:198.51.100.12\tSKIP
Connect:198.51.100\t550 net
Connect:IPv6:2001:db8:0:0:0:0:0:7\tREJECT
Connect:IPv6:2001:db8:1\tERROR:4.3.1:450 v6 net
Connect:friend.example\tRELAY
Connect:10\tQUARANTINE:held
From:spam@sender.test\tREJECT
From:bulk@\tERROR:5.7.9:550 no bulk
From:dom.test\tERROR:550 no dom
From:ok.dom.test\tOK
From:skip.dom.test\tSKIP
From:plus+*@sender.test\tREJECT
From:disc@sender.test\tDISCARD
To:nobody@gate.test\tERROR:5.1.1:550 no such user
To:closed@\tREJECT
To:relay.test\tRELAY
To:ok.test\tOK
To:rej.test\tREJECT
bare.test\tREJECT
CERTIssuer:/C=DE/CN=Root+20CA\tSUBJECT
CERTSubject:/C=DE/CN=client+5C+2Bx\tRELAY
CERTIssuer:/CN=Trusted\tRELAY
TLS_Clt:192.0.2\tVERIFY
TLS_Clt:strong.example\tPERM+ENCR:512
TLS_Srv:mx.example\tENCR:112
TLS_Rcpt:secret@far.test\tPERM+VERIFY:128
ClientRate:\t10
ClientRate:192.0.2\t0
ClientRate:192.0.2.9\t3
ClientConn:127\t5
";

fn site() -> Site {
    let (map, problems) = AccessMap::parse(MAP.as_bytes());
    assert_eq!(problems.iter().map(|it| it.line).collect::<Vec<_>>(), [13], "{problems:?}");
    let classes = Classes::new(["gate.test", "local.test"], ["relay-dom.test", "203.0.113.77"]);
    Site { map, classes, delay_checks: false, relay_loopback: true }
}

fn from(address: &str) -> Client {
    Client::new(address.parse().unwrap(), None, PtrState::Failed)
}

fn named(address: &str, name: &str) -> Client {
    Client::new(address.parse().unwrap(), Some(name), PtrState::Verified)
}

fn visit(client: &Client) -> Visit<'_> {
    Visit { client, tls: TlsFacts::default(), is_authenticated: false }
}

/// `550 5.7.1 text [line]`, or the decision's name.
fn told(decision: &Decision) -> String {
    match decision {
        Decision::Refuse(refusal, Cause::Line(line)) => format!("{refusal} [{line}]"),
        Decision::Refuse(refusal, cause) => format!("{refusal} [{cause:?}]"),
        other => format!("{other:?}"),
    }
}

#[test]
fn clients_are_looked_up_by_name_then_by_address_and_network() {
    let site = site();
    for (client, expected) in [
        (from("192.0.2.7"), "550 5.7.1 Access denied [1]"),
        (from("::ffff:192.0.2.7"), "550 5.7.1 Access denied [1]"),
        (from("192.0.2.9"), "Accept(Line(2))"),
        (named("192.0.2.9", "mail.Bad.example"), "451 5.7.1 later please [3]"),
        (from("198.51.100.1"), "Discard(Line(4))"),
        (from("198.51.100.2"), "Accept(Line(5))"),
        (from("198.51.100.3"), "550 5.7.1 Access denied [6]"),
        (from("198.51.100.4"), "550 5.0.0 in brackets [7]"),
        (from("198.51.100.12"), "Silent"),
        (from("198.51.100.99"), "550 5.0.0 net [9]"),
        (from("2001:db8::7"), "550 5.7.1 Access denied [10]"),
        (from("2001:db8:1::7"), "450 4.3.1 v6 net [11]"),
        (from("2001:db8:2::7"), "Silent"),
        (from("10.1.2.3"), "Quarantine(Line(13))"),
        (named("203.0.113.1", "bare.test"), "550 5.7.1 Access denied [26]"),
        (from("203.0.113.1"), "Silent"),
    ] {
        assert_eq!(told(&site.at_connect(&client)), expected, "{client:?}");
    }
}

#[test]
fn senders_are_looked_up_whole_then_by_user_then_by_domain() {
    let site = site();
    for (sender, expected) in [
        ("spam@sender.test", "550 5.7.1 Access denied [14]"),
        ("SPAM@Sender.Test", "550 5.7.1 Access denied [14]"),
        ("\"spam\"@sender.test", "550 5.7.1 Access denied [14]"),
        ("spam+tag@sender.test", "550 5.7.1 Access denied [14]"),
        ("bulk@any.test", "550 5.7.9 no bulk [15]"),
        ("x@sub.dom.test", "550 5.0.0 no dom [16]"),
        ("x@ok.dom.test", "Accept(Line(17))"),
        ("x@sub.skip.dom.test", "Silent"),
        ("plus+a@sender.test", "550 5.7.1 Access denied [19]"),
        ("plus@sender.test", "Silent"),
        ("disc@sender.test", "Discard(Line(20))"),
        ("x@bare.test", "550 5.7.1 Access denied [26]"),
        ("", "Silent"),
    ] {
        let client = from("203.0.113.1");
        assert_eq!(told(&site.at_mail(&visit(&client), sender)), expected, "{sender}");
    }
}

#[test]
fn recipients_are_ours_or_relayed_or_denied() {
    let site = site();
    let denied = "550 5.7.1 Relaying denied. Proper authentication required. [Nothing]";
    let disabled = |line| format!("550 5.2.1 Mailbox disabled for this recipient [{line}]");
    for (recipient, expected) in [
        ("x@gate.test", "Accept(LocalDomain)".to_owned()),
        ("x@sub.gate.test", denied.to_owned()),
        ("x@far.test", denied.to_owned()),
        ("x@sub.relay.test", "Accept(Line(23))".to_owned()),
        ("x@ok.test", denied.to_owned()),
        ("x@rej.test", disabled(25)),
        ("nobody@GATE.test", "550 5.1.1 no such user [21]".to_owned()),
        ("closed@local.test", disabled(22)),
        ("closed@far.test", denied.to_owned()),
        ("x@sub.relay-dom.test", "Accept(RelayDomain)".to_owned()),
        ("x@bare.test", disabled(26)),
        ("postmaster", "Accept(NoDomain)".to_owned()),
        ("x%far.test@gate.test", denied.to_owned()),
        ("x%relay.test@gate.test", "Accept(LocalDomain)".to_owned()),
        ("far.test!x@gate.test", denied.to_owned()),
        ("\"x@far.test\"@gate.test", denied.to_owned()),
        ("\"far.test::x\"@gate.test", denied.to_owned()),
        ("x%rej.test@gate.test", disabled(25)),
        ("x%gate.test%far.test@relay.test", denied.to_owned()),
    ] {
        let client = named("203.0.113.1", "plain.example");
        let decision = site.at_rcpt(&visit(&client), "a@b.test", recipient);
        assert_eq!(told(&decision), expected, "{recipient}");
    }
}

#[test]
fn who_may_relay_may_send_anywhere_but_not_to_refused_recipients() {
    let site = site();
    for (client, expected) in [
        (from("127.0.0.1"), "Accept(Loopback)"),
        (from("::1"), "Accept(Loopback)"),
        (from("203.0.113.77"), "Accept(RelayDomain)"),
        (from("198.51.100.2"), "Accept(Line(5))"),
        (named("203.0.113.1", "a.friend.example"), "Accept(Line(12))"),
        (named("203.0.113.1", "a.relay-dom.test"), "Accept(RelayDomain)"),
        (
            from("203.0.113.7"),
            "550 5.7.1 Relaying denied. IP name lookup failed [203.0.113.7] [Nothing]",
        ),
    ] {
        let decision = site.at_rcpt(&visit(&client), "a@b.test", "x@far.test");
        assert_eq!(told(&decision), expected, "{client:?}");
        let refused = site.at_rcpt(&visit(&client), "a@b.test", "x@rej.test");
        assert!(matches!(refused, Decision::Refuse(..)), "{client:?}");
    }
    let closed = Site { relay_loopback: false, ..site };
    let client = from("127.0.0.1");
    let decision = closed.at_rcpt(&visit(&client), "a@b.test", "x@far.test");
    assert!(matches!(decision, Decision::Refuse(..)));
}

#[test]
fn a_name_that_is_forged_or_unknown_now_relays_nothing() {
    let site = site();
    for (ptr, expected) in [
        (
            PtrState::Forged,
            "550 5.7.1 Relaying denied. IP name possibly forged [203.0.113.1] [Nothing]",
        ),
        (
            PtrState::Later,
            "450 4.4.0 Relaying temporarily denied. Cannot resolve PTR record for 203.0.113.1 [Nothing]",
        ),
        (
            PtrState::NotAsked,
            "550 5.7.1 Relaying denied. Proper authentication required. [Nothing]",
        ),
    ] {
        let client = Client::new("203.0.113.1".parse().unwrap(), Some("friend.example"), ptr);
        let decision = site.at_rcpt(&visit(&client), "a@b.test", "x@far.test");
        assert_eq!(told(&decision), expected);
    }
}

#[test]
fn certificates_relay_by_issuer_or_by_issuer_and_subject() {
    let site = site();
    let client = from("203.0.113.1");
    let relaying = |verify, issuer, subject| {
        let tls = TlsFacts { verify, bits: 256, issuer, subject, common_name: "" };
        let visit = Visit { tls, ..visit(&client) };
        site.relaying(&visit, "x@far.test", None)
    };
    for (verify, issuer, subject, line) in [
        ("OK", "/CN=Trusted", "/CN=any", Some(29)),
        ("FAIL", "/CN=Trusted", "/CN=any", None),
        ("OK", "/C=DE/CN=Root+20CA", "/C=DE/CN=client+5C+2Bx", Some(28)),
        ("OK", "/C=DE/CN=Root+20CA", "/C=DE/CN=other", None),
        ("OK", "/C=DE", "/C=DE/CN=client+5C+2Bx", None),
        ("OK", "", "", None),
    ] {
        let expected = line.map(|line| Relaying::Final(Cause::Line(line)));
        let found = relaying(verify, issuer, subject);
        match expected {
            Some(expected) => assert_eq!(found, expected),
            None => assert!(matches!(found, Relaying::Denied(_)), "{issuer} {subject}: {found:?}"),
        }
    }
}

#[test]
fn delayed_checks_come_at_rcpt_and_spare_who_has_logged_in() {
    let site = Site { delay_checks: true, ..site() };
    let client = from("192.0.2.7");
    let plain = visit(&client);
    assert_eq!(site.at_connect(&client), Decision::Silent);
    assert_eq!(site.at_mail(&plain, "spam@sender.test"), Decision::Silent);
    let tls = "454 4.7.0 authentication required [30]";
    assert_eq!(told(&site.at_rcpt(&plain, "a@b.test", "x@gate.test")), tls);
    let verified = TlsFacts { verify: "OK", bits: 256, ..TlsFacts::default() };
    let tls = Visit { tls: verified, ..plain };
    assert_eq!(told(&site.at_rcpt(&tls, "a@b.test", "x@gate.test")), "550 5.7.1 Access denied [1]");
    assert_eq!(told(&site.at_rcpt(&tls, "x@dom.test", "x@gate.test")), "550 5.0.0 no dom [16]");
    assert_eq!(
        told(&site.at_rcpt(&tls, "x@ok.dom.test", "x@gate.test")),
        "Accept(LocalDomain)",
        "OK for the sender ends the checks before the client is looked at"
    );
    let user = Visit { is_authenticated: true, ..tls };
    assert_eq!(told(&site.at_rcpt(&user, "x@dom.test", "x@far.test")), "Accept(Login)");
    let refused = told(&site.at_rcpt(&user, "x@dom.test", "x@rej.test"));
    assert!(refused.starts_with("550 5.2.1"), "{refused}");
}

#[test]
fn tls_is_demanded_of_clients_servers_and_for_recipients() {
    let site = site();
    let strong = named("203.0.113.1", "a.strong.example");
    let decision = site.at_mail(&visit(&strong), "a@b.test");
    assert_eq!(told(&decision), "503 5.7.0 encryption too weak 0 less than 512 [31]");
    let server = named("203.0.113.9", "mx.example");
    let weak = TlsFacts { verify: "NO", bits: 56, ..TlsFacts::default() };
    let decision = site.tls_server(&server, &weak, None);
    assert_eq!(told(&decision), "454 4.7.0 encryption too weak 56 less than 112 [32]");
    let decision = site.tls_recipient(&server, &weak, "Secret+x@far.test", None);
    assert_eq!(told(&decision), "503 5.7.0 not authenticated [33]");
    assert_eq!(site.tls_recipient(&server, &weak, "x@far.test", None), Decision::Silent);
}

#[test]
fn rates_have_a_default_and_zero_is_none() {
    let site = site();
    for (address, rate, open) in
        [("192.0.2.7", None, None), ("192.0.2.9", Some(3), None), ("127.0.0.1", Some(10), Some(5))]
    {
        let client = from(address);
        assert_eq!(site.rate_limit(&client, None).map(|(limit, _)| limit), rate, "{address}");
        assert_eq!(site.connection_limit(&client, None).map(|(limit, _)| limit), open, "{address}");
    }
}

#[test]
fn an_explanation_names_every_key_that_was_tried_and_the_line_that_decided() {
    let answers = explain(&site(), "192.0.2.7").unwrap();
    let connect = &answers[0];
    let keys: Vec<&str> = connect.steps.iter().map(|step| &*step.key).collect();
    assert_eq!(
        keys,
        [
            "Connect:[192.0.2.7]",
            "[192.0.2.7]",
            "Connect:[192.0.2]",
            "[192.0.2]",
            "Connect:[192.0]",
            "[192.0]",
            "Connect:[192]",
            "[192]",
            "Connect:192.0.2.7",
            "192.0.2.7",
            "Connect:192.0.2",
        ]
    );
    assert_eq!(connect.outcome, "refused: 550 5.7.1 Access denied");
    assert_eq!(connect.line, Some(1));
    assert_eq!(connect.steps.last().unwrap().found, Some((1, "REJECT".into())));
    let sender = &explain(&site(), "from:plus+a@sender.test").unwrap()[0];
    let keys: Vec<&str> = sender.steps.iter().map(|step| &*step.key).collect();
    assert_eq!(keys, ["From:plus+a@sender.test", "plus+a@sender.test", "From:plus+*@sender.test"]);
    assert_eq!(sender.line, Some(19));
    for given in ["", "1.2.3", "a b", "192.0.2.0/24"] {
        assert!(explain(&site(), given).is_err(), "{given}");
    }
}

#[test]
fn an_empty_map_says_nothing() {
    let site = Site::default();
    assert!(site.map.is_empty());
    let client = from("192.0.2.7");
    assert_eq!(site.at_connect(&client), Decision::Silent);
    assert_eq!(site.at_mail(&visit(&client), "a@b"), Decision::Silent);
    let user = Visit { is_authenticated: true, ..visit(&client) };
    assert_eq!(site.at_rcpt(&user, "a@b", "c@d"), Decision::Accept(Cause::Login));
}
