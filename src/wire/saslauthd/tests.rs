//! Literal bytes, every truncation, every mutation, every split.

use proptest::prelude::*;

use super::*;
use crate::base::Secret;

/// What testsaslauthd of 2.1.28 sends for `-u alice -p s3cret -s labtest -r example.com`.
const FOUR: &[u8] = b"\0\x05alice\0\x06s3cret\0\x07labtest\0\x0bexample.com";
/// The same from unreleased libsasl2, with the client's address.
const FIVE: &[u8] = b"\0\x05alice\0\x06s3cret\0\x07labtest\0\x0bexample.com\0\x0e192.0.2.7;1234";

fn buffer(bytes: &[u8]) -> RequestBuffer {
    let mut buffer = RequestBuffer::new();
    push(&mut buffer, bytes);
    buffer
}

fn push(buffer: &mut RequestBuffer, bytes: &[u8]) {
    let spare = buffer.spare();
    let count = bytes.len().min(spare.len());
    spare[..count].copy_from_slice(&bytes[..count]);
    buffer.advance(count);
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plain {
    login: Vec<u8>,
    password: Vec<u8>,
    service: Vec<u8>,
    realm: Vec<u8>,
    client: Option<ClientAddress>,
}

fn plain(request: &Request<'_>) -> Plain {
    Plain {
        login: request.login.to_vec(),
        password: request.password.expose().to_vec(),
        service: request.service.to_vec(),
        realm: request.realm.to_vec(),
        client: request.client,
    }
}

fn decode(bytes: &[u8]) -> Result<Option<Plain>, Refusal> {
    buffer(bytes).decode().map(|request| request.as_ref().map(plain))
}

fn alice() -> Plain {
    Plain {
        login: b"alice".to_vec(),
        password: b"s3cret".to_vec(),
        service: b"labtest".to_vec(),
        realm: b"example.com".to_vec(),
        client: None,
    }
}

fn client(text: &str) -> Option<ClientAddress> {
    ClientAddress::from_wire(text.as_bytes())
}

fn request(fields: [&[u8]; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&u16::try_from(field.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[test]
fn reads_what_the_original_client_sends() {
    assert_eq!(decode(FOUR), Ok(Some(alice())));
}

#[test]
fn takes_the_fifth_field_when_it_is_there() {
    let with = |client| Ok(Some(Plain { client, ..alice() }));
    assert_eq!(decode(FIVE), with(client("192.0.2.7;1234")));
    // Unreleased libsasl2 without a remote address sends an empty fifth field.
    assert_eq!(decode(&[FOUR, b"\0\0"].concat()), with(None));
    assert_eq!(decode(&[FOUR, b"\0\x11"].concat()), with(None));
    let v6 = [FOUR, b"\0\x112001:db8::1;12345"].concat();
    assert_eq!(decode(&v6), with(client("2001:db8::1;12345")));
    assert!(client("fe80::1%eth0;25").is_some());
    for junk in ["", ";", "192.0.2.7", "192.0.2.7;", "192.0.2.7;70000", "host;25", "1;2;3"] {
        assert_eq!(client(junk), None, "{junk}");
    }
}

#[test]
fn tolerates_bytes_behind_the_request() {
    for junk in [&b"\0"[..], b"\0\x05alice\0\x06s3cret", b"\xff\xff", b"\0\x04junk"] {
        assert_eq!(decode(&[FOUR, junk].concat()), Ok(Some(alice())));
    }
}

#[test]
fn refuses_a_length_before_the_body_has_come() {
    let refused = |bytes: &[u8]| decode(bytes).unwrap_err();
    assert_eq!(refused(b"\xff\xff"), Refusal::TooLong { field: Field::Login, bytes: 65535 });
    assert_eq!(refused(b"\x04\x01"), Refusal::TooLong { field: Field::Login, bytes: 1025 });
    let password = Refusal::TooLong { field: Field::Password, bytes: 8163 };
    assert_eq!(refused(b"\0\x01a\x1f\xe3"), password);
    // All together: one byte of login and 8,162 of password are one too many.
    let sum = Refusal::TooLong { field: Field::Password, bytes: 8162 };
    assert_eq!(refused(b"\0\x01a\x1f\xe2"), sum);
    let service = Refusal::TooLong { field: Field::Service, bytes: 257 };
    assert_eq!(refused(b"\0\x01a\0\x01b\x01\x01"), service);
    let realm = Refusal::TooLong { field: Field::Realm, bytes: 257 };
    assert_eq!(refused(b"\0\x01a\0\x01b\0\0\x01\x01"), realm);
}

#[test]
fn takes_every_field_that_the_original_takes() {
    let full = [b'x'; 256];
    let read = decode(&request([&full, &full, &full, &full])).unwrap().unwrap();
    assert_eq!((read.login.len(), read.password.len()), (256, 256));
    assert_eq!((read.service.len(), read.realm.len()), (256, 256));
}

#[test]
fn takes_the_longest_request_a_libsasl2_client_can_send() {
    let password = vec![b'x'; MAX_REQUEST_BYTES - 1024];
    let bytes = request([&[b'u'; 1024], &password, b"", b""]);
    assert_eq!(decode(&bytes).unwrap().unwrap().password, password);
}

#[test]
fn names_what_is_empty_in_the_order_of_the_wire() {
    assert_eq!(decode(&request([b"", b"", b"", b""])), Err(Refusal::EmptyLogin));
    assert_eq!(decode(&request([b"alice", b"", b"", b""])), Err(Refusal::EmptyPassword));
    assert!(decode(&request([b"alice", b"x", b"", b""])).unwrap().is_some());
}

#[test]
fn refuses_bytes_that_hide_something() {
    let control = |field| Err(Refusal::ControlCharacter(field));
    assert_eq!(decode(&request([b"alice\0evil", b"x", b"", b""])), control(Field::Login));
    assert_eq!(decode(&request([b"alice\nx", b"x", b"", b""])), control(Field::Login));
    assert_eq!(decode(&request([b"a\xc2\x85", b"x", b"", b""])), control(Field::Login));
    assert_eq!(decode(&request([b"a\xff\x7f", b"x", b"", b""])), control(Field::Login));
    assert_eq!(decode(&request([b"a", b"s\0x", b"", b""])), control(Field::Password));
    assert_eq!(decode(&request([b"a", b"x", b"sm\rtp", b""])), control(Field::Service));
    assert_eq!(decode(&request([b"a", b"x", b"", b"\x1b[m"])), control(Field::Realm));
    assert!(decode(&request([b"a", b"tab\tand\nline", b"", b""])).unwrap().is_some());
}

#[test]
fn waits_for_every_missing_byte() {
    for end in 0..FOUR.len() {
        assert_eq!(decode(&FOUR[..end]), Ok(None), "{end} bytes");
    }
}

#[test]
fn knows_the_fields_that_have_come() {
    assert_eq!(buffer(&FOUR[..6]).known(), Known::default());
    assert_eq!(buffer(&FOUR[..7]).known(), Known { login: b"alice", ..Known::default() });
    let all = Known { login: b"alice", service: b"labtest", realm: b"example.com" };
    assert_eq!(buffer(FIVE).known(), all);
    let oversize = buffer(b"\0\x05alice\xff\xff");
    assert_eq!(oversize.known().login, b"alice");
}

#[test]
fn gives_the_same_request_however_it_is_split() {
    for first in 0..=FIVE.len() {
        let mut split = buffer(&FIVE[..first]);
        if let Some(early) = split.decode().unwrap() {
            // All four fields are there: a fifth that is not there is never waited for.
            let is_whole = first == FIVE.len();
            assert_eq!(plain(&early), Plain { client: plain(&early).client, ..alice() });
            assert_eq!(early.client.is_some(), is_whole);
        }
        push(&mut split, &FIVE[first..]);
        let whole = split.decode().unwrap().unwrap();
        assert_eq!(plain(&whole), Plain { client: client("192.0.2.7;1234"), ..alice() });
    }
}

#[test]
fn survives_every_mutation_of_one_byte() {
    for place in 0..FIVE.len() {
        for value in 0..=255 {
            let mut bytes = FIVE.to_vec();
            bytes[place] = value;
            let mutated = buffer(&bytes);
            let _ = mutated.known();
            if let Ok(Some(request)) = mutated.decode() {
                assert!(!request.login.is_empty() && !request.password.is_empty());
                assert!(!request.login.iter().any(u8::is_ascii_control));
            }
        }
    }
}

#[test]
fn keeps_no_byte_beyond_its_room() {
    let mut buffer = buffer(&[b'x'; 3 * 8192]);
    assert!(buffer.spare().is_empty());
    buffer.advance(1);
    assert!(buffer.decode().is_err());
}

#[test]
fn writes_what_the_original_client_writes() {
    let password = Secret::copied_from(b"s3cret").unwrap();
    let mut credentials = Credentials {
        login: b"alice",
        password: &password,
        service: b"labtest",
        realm: b"example.com",
        client: None,
        wants_token: false,
    };
    assert_eq!(credentials.encode().unwrap().as_slice(), FOUR);
    credentials.client = client("192.0.2.7;1234");
    assert_eq!(credentials.encode().unwrap().as_slice(), FIVE);
    credentials.wants_token = true;
    let wish = [FOUR, b"\0\x17192.0.2.7;1234;handover"].concat();
    assert_eq!(credentials.encode().unwrap().as_slice(), wish);
    let long = Secret::new(vec![b'x'; MAX_REQUEST_BYTES]).unwrap();
    credentials.password = &long;
    assert!(credentials.encode().is_err());
}

#[test]
fn writes_replies_that_every_client_reads() {
    assert_eq!(Reply::Ok.encode(), b"\0\x02OK");
    assert_eq!(Reply::No.encode(), b"\0\x02NO");
    assert_eq!(Reply::NoBecause("").encode(), b"\0\x03NO ");
    assert_eq!(Reply::NoBecause("PAM auth error").encode(), b"\0\x11NO PAM auth error");
}

#[test]
fn reads_replies_as_libsasl2_does() {
    let read = |bytes: &[u8]| {
        ServerReply::decode(bytes).unwrap().map(|reply| (reply.word, reply.reason.to_vec()))
    };
    assert_eq!(read(b"\0\x02OK"), Some((ReplyWord::Ok, b"".to_vec())));
    assert_eq!(read(b"\0\x04OKAY"), Some((ReplyWord::Ok, b"AY".to_vec())));
    assert_eq!(read(b"\0\x11NO PAM auth error"), Some((ReplyWord::No, b"PAM auth error".to_vec())));
    assert_eq!(read(b"\0\x02ok"), Some((ReplyWord::Other, b"".to_vec())));
    assert_eq!(read(b"\0\x02OKtrailing"), Some((ReplyWord::Ok, b"".to_vec())));
    assert_eq!(ServerReply::decode(b"\0\x01O"), Err(ReplyError::TooShort));
    assert_eq!(ServerReply::decode(b"\0\0"), Err(ReplyError::TooShort));
    let long = [b"\xff\xffOK".as_slice(), &[b'x'; 1021]].concat();
    assert_eq!(read(&long).unwrap().0, ReplyWord::Ok);
    assert_eq!(read(&long[..long.len() - 1]), None);
}

#[test]
fn a_token_is_asked_for_behind_the_address_and_comes_behind_ok() {
    let wants = |fifth: &str| {
        let length = u16::try_from(fifth.len()).unwrap().to_be_bytes();
        let received = buffer(&[FOUR, &length, fifth.as_bytes()].concat());
        let request = received.decode().unwrap().unwrap();
        (request.client, request.wants_token)
    };
    assert_eq!(wants("192.0.2.7;1234;handover"), (client("192.0.2.7;1234"), true));
    assert_eq!(wants("2001:db8::1;25;handover"), (client("2001:db8::1;25"), true));
    assert_eq!(wants("192.0.2.7;1234"), (client("192.0.2.7;1234"), false));
    assert_eq!(wants(";handover"), (None, true));
    assert_eq!(wants("192.0.2.7;1234;handoverr"), (None, false));

    let token = Secret::copied_from(b"saslgate-handover-x").unwrap();
    let bytes = accepted_with(&token);
    assert_eq!(bytes.as_slice(), b"\0\x1fOK handover=saslgate-handover-x");
    let read = |bytes: &[u8]| ServerReply::decode(bytes).unwrap().unwrap().token();
    assert!(read(&bytes).unwrap().matches(&token));
    for none in [&b"\0\x02OK"[..], b"\0\x0aNO handove", b"\0\x0fNO handover=abc", b"\0\x07OK hand"]
    {
        assert!(read(none).is_none(), "{none:?}");
    }
}

#[test]
fn waits_for_every_missing_byte_of_a_reply() {
    let bytes = Reply::NoBecause("PAM auth error").encode();
    for end in 0..bytes.len() {
        assert_eq!(ServerReply::decode(&bytes[..end]), Ok(None), "{end} bytes");
    }
    for place in 0..bytes.len() {
        for value in 0..=255 {
            let mut mutated = bytes.clone();
            mutated[place] = value;
            let _ = ServerReply::decode(&mutated);
        }
    }
}

fn field(limit: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0xa0_u8..=0xff], 1..=limit)
}

proptest! {
    #[test]
    fn reads_back_whatever_it_wrote(
        login in field(1024), password in field(4096), service in field(256), realm in field(256),
        ip in any::<std::net::IpAddr>(), port in any::<u16>(), split in any::<prop::sample::Index>(),
    ) {
        let secret = Secret::copied_from(&password).unwrap();
        let sent = Credentials {
            login: &login, password: &secret, service: &service, realm: &realm,
            client: Some(ClientAddress { ip, port }), wants_token: port % 2 == 0,
        };
        let bytes = sent.encode().unwrap();
        let at = split.index(bytes.len());
        let mut received = buffer(&bytes[..at]);
        push(&mut received, &bytes[at..]);
        let read = plain(&received.decode().unwrap().unwrap());
        let client = Some(ClientAddress { ip, port });
        prop_assert_eq!(read, Plain { login, password, service, realm, client });
    }

    #[test]
    fn survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let received = buffer(&bytes);
        let _ = received.decode();
        let _ = received.known();
        let _ = ServerReply::decode(&bytes);
    }
}
