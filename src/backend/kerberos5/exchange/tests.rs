//! What errors mean, and which replies prove something. Real KDCs are asked in
//! `tests/kerberos5.rs`.

use super::*;
use crate::wire::kerberos::keytab::ServiceKey;
use crate::wire::kerberos::krb5_conf::Realm;
use crate::wire::kerberos::{Name, samples};

fn principal(parts: &[&str]) -> Principal {
    Principal { name: Name::new(parts), realm: "A.TEST".into() }
}

fn key(byte: u8) -> Key {
    Key::new(18, &[byte; 32]).unwrap()
}

/// The key of a password, of the session with the KDC, of the host, of somebody else.
const PASSWORD: u8 = 1;
const SESSION: u8 = 2;
const HOST: u8 = 3;
const OTHER: u8 = 4;

fn login() -> Login {
    let service = principal(&["host", "mx.a.test"]);
    let realm = || Realm { name: "A.TEST".into(), kdcs: Vec::new() };
    Login {
        client: principal(&["alice"]),
        home: realm(),
        keys: vec![ServiceKey { principal: service.clone(), version: 2, key: key(HOST) }],
        service,
        away: realm(),
    }
}

/// What the KDC gives in the end.
fn proof<'a>(session: &'a Key, host: &'a Key) -> samples::Grant<'a> {
    samples::Grant {
        kind: 13,
        key: session,
        usage: Usage::TgsReply,
        nonce: 77,
        client: principal(&["alice"]),
        service: principal(&["host", "mx.a.test"]),
        session: [9; 32],
        ticket_key: host,
        ticket_client: principal(&["alice"]),
        ticket_session: [9; 32],
        end: 7200,
    }
}

/// Whether that ends in a login at the second 7000; or what is said instead.
fn outcome(change: impl FnOnce(&mut samples::Grant<'_>)) -> Result<(), String> {
    let (login, session, host) = (login(), key(SESSION), key(HOST));
    let mut sample = proof(&session, &host);
    change(&mut sample);
    let granting = grant(&proof(&session, &host).encode(), key(SESSION));
    let service = login.service.clone();
    let said = |answer: Answer| match answer {
        Answer::Unavailable(reason) => reason.to_string(),
        other => panic!("neither yes nor an outage: {other:?}"),
    };
    let got = judge_ticket(&login, &service, &granting, 77, &sample.encode()).map_err(said)?;
    check_ticket(&login, &got, 7000).map_err(|reason| reason.to_string())
}

fn grant(bytes: &[u8], session: Key) -> Grant {
    let Ok(Reply::Granted(reply)) = Reply::decode(bytes) else { panic!("no reply") };
    Grant { ticket: reply.ticket, session, expiration: None }
}

#[test]
fn a_ticket_that_our_key_opens_proves_the_kdc_and_nothing_else_does() {
    let other = || key(OTHER);
    let mallory = || principal(&["mallory"]);
    assert_eq!(outcome(|_| ()), Ok(()));
    let says = |outcome: Result<(), String>, what: &str| {
        let said = outcome.unwrap_err();
        assert!(said.contains(what), "{what}: {said}");
    };
    let wrong = other();
    // Somebody without the key of the host.
    says(changed_ticket_key(&wrong), "did not prove itself");
    // A real ticket of somebody else, or of another session, passed on.
    says(outcome(|it| it.ticket_client = mallory()), "not from this login");
    says(outcome(|it| it.ticket_session = [8; 32]), "not from this login");
    says(outcome(|it| it.client = mallory()), "for somebody else");
    says(
        outcome(|it| it.service = principal(&["imap", "mx.a.test"])),
        "gave one of imap/mx.a.test",
    );
    // One from before.
    says(outcome(|it| it.nonce = 76), "gave one of");
    says(outcome(|it| it.end = 6000), "has ended");
    assert_eq!(outcome(|it| it.end = 6800), Ok(()), "clocks differ a little");
    says(outcome(|it| it.usage = Usage::AsReply), "sealed with another key");
}

fn changed_ticket_key(other: &Key) -> Result<(), String> {
    let (login, session) = (login(), key(SESSION));
    let sample = proof(&session, other).encode();
    let got = grant(&sample, Key::new(18, &[9; 32]).unwrap());
    check_ticket(&login, &got, 7000).map_err(|reason| reason.to_string())
}

#[test]
fn a_granting_ticket_is_believed_if_the_password_opens_it() {
    let (login, password, granting) = (login(), key(PASSWORD), key(OTHER));
    let sealed = |change: &dyn Fn(&mut samples::Grant<'_>)| {
        let mut sample = proof(&password, &granting);
        sample.kind = 11;
        sample.usage = Usage::AsReply;
        sample.service = Principal::granting("A.TEST");
        change(&mut sample);
        let Ok(Reply::Granted(reply)) = Reply::decode(&sample.encode()) else { panic!("none") };
        *reply
    };
    let open = |reply, key: &Key, proof| unseal(&login, reply, key, 77, proof).map(|_| ());
    assert!(open(sealed(&|_| ()), &password, Proof::Given).is_ok());
    let wrong = key(OTHER);
    let refused = open(sealed(&|_| ()), &wrong, Proof::NotAsked);
    assert!(matches!(refused, Err(Answer::Rejected(_))), "a wrong password");
    // The KDC had the password before it sealed that: this is somebody else.
    let odd = open(sealed(&|_| ()), &wrong, Proof::Given);
    assert!(matches!(odd, Err(Answer::Unavailable(_))));
    let changes: [&dyn Fn(&mut samples::Grant<'_>); 3] =
        [&|it| it.nonce = 76, &|it| it.client = principal(&["mallory"]), &|it| {
            it.service = principal(&["host", "mx.a.test"]);
        }];
    for change in changes {
        let odd = open(sealed(change), &password, Proof::Given);
        assert!(matches!(odd, Err(Answer::Unavailable(_))));
    }
}

fn opening(code: i64) -> Answer {
    match judge_opening(&login(), &samples::error(code, 1_795_168_800)) {
        Err(answer) => answer,
        Ok(_) => panic!("{code} is no permission"),
    }
}

#[test]
fn errors_about_the_client_are_refusals() {
    assert!(matches!(opening(6), Answer::Unknown));
    assert!(matches!(opening(68), Answer::Unknown));
    let cases = [
        (24, ReasonCode::BadCredentials),
        (31, ReasonCode::BadCredentials),
        (18, ReasonCode::AccountLocked),
        (23, ReasonCode::PasswordExpired),
        (1, ReasonCode::AccountExpired),
        (21, ReasonCode::AccessDenied),
        (12, ReasonCode::AccessDenied),
    ];
    for (code, expected) in cases {
        match opening(code) {
            Answer::Rejected(reason) => assert_eq!(reason.code, expected, "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn every_other_error_is_an_outage() {
    for code in (-5..200).filter(|code| ![6, 68, 24, 31, 18, 23, 1, 21, 12].contains(code)) {
        assert!(matches!(opening(code), Answer::Unavailable(_)), "{code}");
    }
    match opening(37) {
        Answer::Unavailable(reason) => {
            let detail = &reason.detail;
            assert!(detail.contains("2026-11-20T10:00:00Z") && detail.contains("NTP"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rounds_are_neither_few_nor_endless() {
    let client = login().client;
    let recipe = |iterations| {
        Recipe::new(KeyInfo { enctype: Enctype::Aes256Sha1, salt: None, iterations }, &client)
    };
    for good in [None, Some(4096), Some(1_000_000)] {
        assert_eq!(recipe(good).unwrap().salt, "A.TESTalice");
    }
    for bad in [Some(1), Some(4095), Some(1_000_001), Some(u32::MAX)] {
        assert!(recipe(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_no_message_is_an_outage() {
    for bytes in [&b""[..], b"\x7e", b"HTTP/1.1 200 OK"] {
        assert!(matches!(judge_opening(&login(), bytes), Err(Answer::Unavailable(_))));
        assert!(matches!(judge_proof(&login(), bytes), Err(Answer::Unavailable(_))));
    }
}
