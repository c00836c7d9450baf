//! Replies made here, read back, cut and changed.

use super::super::der;
use super::super::name::NameKind;
use super::super::samples::{self, Grant};
use super::*;
use der::element;

fn pa_data(kind: i64, value: &[u8]) -> Vec<u8> {
    der::sequence(&[der::field(1, &der::integer(kind)), der::field(2, &der::octets(value))])
}

/// Kind, salt, rounds.
type Entry<'a> = (i64, Option<&'a str>, Option<&'a [u8]>);

fn info2(entries: &[Entry<'_>]) -> Vec<u8> {
    let entry = |(enctype, salt, count): &Entry<'_>| {
        let mut fields = vec![der::field(0, &der::integer(*enctype))];
        fields.extend(salt.map(|salt| der::field(1, &der::text(salt))));
        fields.extend(count.map(|count| der::field(2, &der::octets(count))));
        der::sequence(&fields)
    };
    der::sequence(&entries.iter().map(entry).collect::<Vec<_>>())
}

fn error_with(code: i64, data: &[u8]) -> Vec<u8> {
    let name = Name::new(&["krbtgt", "A.TEST"]).encode(NameKind::Instance);
    let fields = [
        der::field(0, &der::integer(5)),
        der::field(1, &der::integer(30)),
        der::field(4, &der::time(1_795_168_800)),
        der::field(5, &der::integer(999_999)),
        der::field(6, &der::integer(code)),
        der::field(7, &der::text("A.TEST")),
        der::field(8, &Name::new(&["alice"]).encode(NameKind::Principal)),
        der::field(9, &der::text("A.TEST")),
        der::field(10, &name),
        der::field(11, &der::text("NEEDED_PREAUTH")),
        der::field(12, &der::octets(data)),
    ];
    element(application(KRB_ERROR), &der::sequence(&fields))
}

fn wanted() -> Vec<u8> {
    let info = info2(&[
        (23, None, None),
        (18, Some("A.TESTalice"), Some(&[0, 0, 0x20, 0])),
        (17, Some("other"), None),
    ]);
    let data = der::sequence(&[
        pa_data(PA_ETYPE_INFO2, &info),
        pa_data(PA_ENC_TIMESTAMP, b""),
        pa_data(PA_FX_COOKIE, b"cookie"),
        pa_data(-128, b"x"),
    ]);
    error_with(error_codes::PREAUTH_REQUIRED, &data)
}

/// A TGS-REP for alice, and the keys of session and service.
fn granted() -> (Vec<u8>, Key, Key) {
    let principal = |parts: &[&str]| Principal { name: Name::new(parts), realm: "A.TEST".into() };
    let session = Key::new(18, &[1; 32]).unwrap();
    let service = Key::new(17, &[2; 16]).unwrap();
    let grant = Grant {
        kind: TGS_REP,
        key: &session,
        usage: Usage::TgsReply,
        nonce: 77,
        client: principal(&["alice"]),
        service: principal(&["host", "mx.a.test"]),
        session: [3; 32],
        ticket_key: &service,
        ticket_client: principal(&["alice"]),
        ticket_session: [3; 32],
        end: 7200,
    };
    (grant.encode(), session, service)
}

fn error_of(bytes: &[u8]) -> ErrorReply {
    match Reply::decode(bytes) {
        Ok(Reply::Error(error)) => error,
        _ => panic!("no KRB-ERROR"),
    }
}

#[test]
fn an_error_says_how_the_key_is_made() {
    let error = error_of(&wanted());
    assert_eq!((error.code, error.time), (error_codes::PREAUTH_REQUIRED, 1_795_168_800));
    assert_eq!(error.text, "NEEDED_PREAUTH");
    let info = error.preauth;
    let salt = Some("A.TESTalice".to_owned());
    let key = KeyInfo { enctype: Enctype::Aes256Sha1, salt, iterations: Some(8192) };
    assert_eq!(info.key, Some(key), "the first kind that is known");
    assert!(info.takes_timestamp && info.has_list);
    assert_eq!(info.cookie.as_deref(), Some(&b"cookie"[..]));
}

#[test]
fn data_of_another_error_is_not_looked_at() {
    let error = error_of(&error_with(error_codes::KEY_EXPIRED, b"\x30\x84 whatever"));
    assert_eq!(error.preauth, PreauthInfo::default());
    assert_eq!(error_of(&samples::error(6, 0)).code, error_codes::CLIENT_UNKNOWN);
}

#[test]
fn a_list_without_a_known_kind_is_seen_as_such() {
    let data = der::sequence(&[pa_data(PA_ETYPE_INFO2, &info2(&[(23, None, None)]))]);
    let info = error_of(&error_with(error_codes::PREAUTH_REQUIRED, &data)).preauth;
    assert!(info.has_list && info.key.is_none() && !info.takes_timestamp);
}

#[test]
fn a_reply_and_its_ticket_open_with_their_keys_alone() {
    let (bytes, session, service) = granted();
    let Ok(Reply::Granted(reply)) = Reply::decode(&bytes) else { panic!("no reply") };
    assert_eq!(reply.client.to_string(), "alice@A.TEST");
    assert_eq!(reply.ticket.service.to_string(), "host/mx.a.test@A.TEST");
    assert_eq!(reply.ticket.sealed.version, Some(2));
    assert!(reply.open(Usage::TgsReply, &service).is_none());
    assert!(reply.open(Usage::AsReply, &session).is_none());
    let part = reply.open(Usage::TgsReply, &session).unwrap().unwrap();
    assert_eq!((part.nonce, part.key_expiration), (77, Some(5000)));
    assert!(reply.ticket.open(&session).is_none());
    let ticket = reply.ticket.open(&service).unwrap().unwrap();
    assert!(ticket.key.is_same(&part.key));
    assert_eq!((ticket.client.to_string().as_str(), ticket.end), ("alice@A.TEST", 7200));
}

#[test]
fn survives_every_truncation_and_every_changed_byte() {
    for whole in [wanted(), granted().0] {
        for end in 0..whole.len() {
            assert!(Reply::decode(&whole[..end]).is_err(), "cut at {end}");
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[end] = value;
                let _ = Reply::decode(&changed);
            }
        }
        let more = [&whole[..], b"\0"].concat();
        assert!(Reply::decode(&more).is_err());
    }
}

#[test]
fn what_is_sealed_survives_it_as_well() {
    let (bytes, session, service) = granted();
    let Ok(Reply::Granted(reply)) = Reply::decode(&bytes) else { panic!("no reply") };
    let part = reply.sealed.open(Usage::TgsReply, &session).unwrap();
    let ticket = reply.ticket.sealed.open(Usage::Ticket, &service).unwrap();
    for end in 0..part.len() {
        assert!(ReplyPart::decode(&part[..end]).is_err());
        for value in [0, 1, 0x30, 0x7f, 0x80, 0x84, 0xa0, 0xff] {
            let mut changed = part.to_vec();
            changed[end] = value;
            let _ = ReplyPart::decode(&changed);
        }
    }
    for end in 0..ticket.len() {
        assert!(TicketPart::decode(&ticket[..end]).is_err());
        for value in [0, 1, 0x30, 0x7f, 0x80, 0x84, 0xa0, 0xff] {
            let mut changed = ticket.to_vec();
            changed[end] = value;
            let _ = TicketPart::decode(&changed);
        }
    }
}
