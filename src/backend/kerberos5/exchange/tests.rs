//! What errors mean. That a right password is accepted, and a KDC that is none is
//! not believed, is tried with real KDCs in `tests/kerberos5.rs`.

use super::*;
use crate::wire::kerberos::krb5_conf::Realm;
use crate::wire::kerberos::{Name, encode_error};

fn login() -> Login {
    let principal = |parts: &[&str]| Principal { name: Name::new(parts), realm: "A.TEST".into() };
    Login {
        client: principal(&["alice"]),
        home: Realm { name: "A.TEST".into(), kdcs: Vec::new() },
        service: principal(&["host", "mx.a.test"]),
        away: Realm { name: "A.TEST".into(), kdcs: Vec::new() },
        keys: Vec::new(),
    }
}

fn opening(code: i64) -> Answer {
    match judge_opening(&login(), &encode_error(code, 1_795_168_800)) {
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
