//! What every saslauthd does, ours and the original: each case runs against
//! each [`Kind`]. Where they differ on purpose, the case says so.

use std::io::Write;
use std::net::Shutdown;

use crate::support::saslauthd::{
    Kind, PASSWORD, REALM, Subject, USER, WRONG, counted, read_reply, request,
};

const OK: &[u8] = b"\0\x02OK";

/// Makes a test of each case for a kind of subject.
macro_rules! saslauthd_cases {
    ($kind:expr => $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::cases::$name($kind);
            }
        )*
    };
    ($kind:expr) => {
        $crate::cases::saslauthd_cases! {
            $kind =>
            accepts_the_right_password
            refuses_a_wrong_password_and_an_unknown_user_alike
            reads_a_request_byte_by_byte
            reads_what_exim_writes_field_by_field
            ignores_what_follows_the_request
            answers_only_the_first_of_two_requests
            takes_a_fifth_field_that_came_along
            never_waits_for_a_fifth_field
            names_an_empty_login_and_an_empty_password
            takes_an_empty_service
            refuses_an_oversized_field_from_its_length_alone
            takes_fields_of_256_bytes
            says_nothing_to_half_a_request
            survives_peers_that_vanish
            answers_a_peer_that_closes_its_side_early
            serves_many_one_after_the_other
            treats_nul_as_it_is_documented
            treats_long_passwords_as_it_is_documented
            treats_blanks_around_a_name_as_it_is_documented
        }
    };
}
pub(crate) use saslauthd_cases;

pub(crate) fn accepts_the_right_password(kind: Kind) {
    assert_eq!(Subject::start(kind).ask_right(), OK);
}

pub(crate) fn refuses_a_wrong_password_and_an_unknown_user_alike(kind: Kind) {
    let subject = Subject::start(kind);
    assert_eq!(subject.ask(USER, WRONG, REALM), kind.refusal());
    assert_eq!(subject.ask("nobody-here", PASSWORD, REALM), kind.refusal());
}

pub(crate) fn reads_a_request_byte_by_byte(kind: Kind) {
    let subject = Subject::start(kind);
    let bytes = request(&[USER, PASSWORD, "smtp", REALM]);
    let parts: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(subject.exchange(&parts), OK);
}

pub(crate) fn reads_what_exim_writes_field_by_field(kind: Kind) {
    let subject = Subject::start(kind);
    let fields = [USER, PASSWORD, "smtp", ""].map(|field| counted(field.as_bytes()));
    let parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    assert_eq!(subject.exchange(&parts), OK);
}

pub(crate) fn ignores_what_follows_the_request(kind: Kind) {
    let subject = Subject::start(kind);
    let mut bytes = request(&[USER, PASSWORD, "smtp", REALM]);
    bytes.extend_from_slice(&[b'x'; 300]);
    assert_eq!(subject.exchange(&[&bytes]), OK);
}

pub(crate) fn answers_only_the_first_of_two_requests(kind: Kind) {
    let subject = Subject::start(kind);
    let one = request(&[USER, PASSWORD, "smtp", REALM]);
    assert_eq!(subject.exchange(&[&[one.clone(), one].concat()]), OK);
}

pub(crate) fn takes_a_fifth_field_that_came_along(kind: Kind) {
    let subject = Subject::start(kind);
    for address in ["", "192.0.2.7;1234", "2001:db8::1;12345", "junk"] {
        let mut bytes = request(&[USER, PASSWORD, "smtp", REALM]);
        bytes.extend_from_slice(&counted(address.as_bytes()));
        assert_eq!(subject.exchange(&[&bytes]), OK, "{address}");
    }
}

pub(crate) fn never_waits_for_a_fifth_field(kind: Kind) {
    let subject = Subject::start(kind);
    let mut stream = subject.connect();
    stream.write_all(&request(&[USER, PASSWORD, "smtp", REALM])).unwrap();
    // The client's side stays open: a server that waits would never answer.
    assert_eq!(read_reply(&mut stream), OK);
}

pub(crate) fn names_an_empty_login_and_an_empty_password(kind: Kind) {
    let subject = Subject::start(kind);
    assert_eq!(subject.ask("", PASSWORD, REALM), b"\0\x16NO NULL login received");
    assert_eq!(subject.ask(USER, "", REALM), b"\0\x19NO NULL password received");
}

pub(crate) fn takes_an_empty_service(kind: Kind) {
    let subject = Subject::start(kind);
    // PAM's "other" with the original, "smtp" with ours through PAM.
    assert_eq!(subject.exchange(&[&request(&[USER, PASSWORD, "", ""])]), OK);
}

pub(crate) fn refuses_an_oversized_field_from_its_length_alone(kind: Kind) {
    let subject = Subject::start(kind);
    let mut stream = subject.connect();
    stream.write_all(b"\xff\xff").unwrap();
    let mut reply = [0; 5];
    std::io::Read::read_exact(&mut stream, &mut reply).unwrap();
    assert_eq!(&reply, b"\0\x03NO ");
    // A client that writes field by field may go on, and is not killed by it.
    for _ in 0..8 {
        stream.write_all(&[b'x'; 100]).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_reply(&mut stream), b"");
}

pub(crate) fn takes_fields_of_256_bytes(kind: Kind) {
    let subject = Subject::start(kind);
    let long = "x".repeat(256);
    assert_eq!(subject.ask(&long, WRONG, ""), kind.refusal());
    assert_eq!(subject.ask(USER, &long, ""), kind.refusal());
    assert_eq!(subject.ask(USER, WRONG, &long), kind.refusal());
    assert_eq!(subject.exchange(&[&request(&[USER, WRONG, &long, ""])]), kind.refusal());
}

pub(crate) fn says_nothing_to_half_a_request(kind: Kind) {
    let subject = Subject::start(kind);
    let bytes = request(&[USER, PASSWORD, "smtp", REALM]);
    for length in [0, 1, 2, 5, 20, bytes.len() - 1] {
        let mut stream = subject.connect();
        stream.write_all(&bytes[..length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_reply(&mut stream), b"", "{length} bytes");
    }
    assert_eq!(subject.ask_right(), OK);
}

pub(crate) fn survives_peers_that_vanish(kind: Kind) {
    let subject = Subject::start(kind);
    let bytes = request(&[USER, PASSWORD, "smtp", REALM]);
    for length in 0..=bytes.len() {
        subject.connect().write_all(&bytes[..length]).unwrap();
    }
    assert_eq!(subject.ask_right(), OK);
}

pub(crate) fn answers_a_peer_that_closes_its_side_early(kind: Kind) {
    let subject = Subject::start(kind);
    let mut stream = subject.connect();
    stream.write_all(&request(&[USER, PASSWORD, "smtp", REALM])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_reply(&mut stream), OK);
}

pub(crate) fn serves_many_one_after_the_other(kind: Kind) {
    let subject = Subject::start(kind);
    for round in 0..50 {
        assert_eq!(subject.ask_right(), OK, "round {round}");
    }
}

/// The original reads fields as C strings, so `alice NUL evil` is alice. Ours refuses.
pub(crate) fn treats_nul_as_it_is_documented(kind: Kind) {
    let subject = Subject::start(kind);
    let cut = [("alice\0evil", PASSWORD.to_owned()), (USER, format!("{PASSWORD}\0junk"))];
    for (login, password) in cut {
        let reply = subject.ask(login, &password, "");
        match kind {
            Kind::Original | Kind::OriginalSasldb => assert_eq!(reply, OK),
            Kind::Store | Kind::Pam | Kind::Sasldb => assert_eq!(&reply[2..4], b"NO", "{reply:?}"),
        }
    }
}

/// The original refuses 257 bytes; ours takes what a client can send.
pub(crate) fn treats_long_passwords_as_it_is_documented(kind: Kind) {
    let subject = Subject::start(kind);
    for length in [257, 8000] {
        let reply = subject.ask(USER, &"x".repeat(length), "");
        match kind {
            Kind::Original | Kind::OriginalSasldb => assert_eq!(reply, b"\0\x03NO "),
            Kind::Store | Kind::Pam | Kind::Sasldb => {
                assert_eq!(reply, kind.refusal(), "{length} bytes");
            }
        }
    }
}

/// The original hands them to the mechanism; ours calls them no name. Both refuse.
pub(crate) fn treats_blanks_around_a_name_as_it_is_documented(kind: Kind) {
    let subject = Subject::start(kind);
    let reply = subject.ask(" alice", PASSWORD, REALM);
    assert_eq!(&reply[2..4], b"NO", "{reply:?}");
}
