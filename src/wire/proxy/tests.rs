use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn ends(source: &str, destination: &str) -> Ends {
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn whole(bytes: &[u8]) -> Result<Header, ProxyError> {
    match parse(bytes)? {
        Step::Done(header) => Ok(header),
        Step::More(count) => panic!("{count} more than {bytes:?}"),
    }
}

const V4: [u8; 28] = [
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, // signature
    0x21, 0x11, 0, 12, // PROXY, TCP4, 12 bytes
    192, 0, 2, 7, 198, 51, 100, 1, // source, destination
    0xc3, 0x50, 0x02, 0x4b, // 50000, 587
];

fn v2_with(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = V4[..12].to_vec();
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn reads_both_versions() {
    let four = Header::Proxied(ends("192.0.2.7:50000", "198.51.100.1:587"));
    let six = Header::Proxied(ends("[2001:db8::7]:1", "[2001:db8::1]:65535"));
    assert_eq!(whole(&V4), Ok(four));
    assert_eq!(whole(b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 587\r\n"), Ok(four));
    assert_eq!(whole(b"PROXY TCP6 2001:db8::7 2001:db8::1 1 65535\r\n"), Ok(six));
    for local in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"] {
        assert_eq!(whole(local), Ok(Header::Local));
    }
    assert_eq!(whole(&v2_with(0x20, 0x00, b"")), Ok(Header::Local));
    assert_eq!(whole(&v2_with(0x20, 0x31, b"whatever")), Ok(Header::Local));
    assert_eq!(whole(&v2_with(0x21, 0x00, b"")), Ok(Header::Local));
}

#[test]
fn reads_over_tlvs() {
    let tlvs = [&V4[16..], b"\x04\x00\x03abc", &[0xe0, 1, 0], &[b'x'; 256]].concat();
    let read = whole(&v2_with(0x21, 0x11, &tlvs));
    assert_eq!(read, Ok(Header::Proxied(ends("192.0.2.7:50000", "198.51.100.1:587"))));
}

#[test]
fn refuses_what_is_no_header() {
    use ProxyError::{BadBinary, BadLine, Missing, NotTcp, TooLong};
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let cases: &[(&[u8], ProxyError)] = &[
        (b"EHLO client.test\r\n", Missing),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", Missing),
        (b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n", Missing),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", BadLine),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n", BadLine),
        (b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", BadLine),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 02\r\n", BadLine),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 +2\r\n", BadLine),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n", BadLine),
        (b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", BadLine),
        (b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", BadLine),
        (b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", BadLine),
        (b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", BadLine),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", BadLine),
        (b"PROXY UNKNOWN\r\nEHLO x\r\n", BadLine),
        (long_line.as_bytes(), TooLong),
        (&long_line.as_bytes()[..106], TooLong),
    ];
    for (bytes, expected) in cases {
        assert_eq!(whole(bytes), Err(*expected), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(whole(&v2_with(0x31, 0x11, &V4[16..])), Err(BadBinary));
    assert_eq!(whole(&v2_with(0x22, 0x11, &V4[16..])), Err(BadBinary));
    assert_eq!(whole(&v2_with(0x21, 0x11, &V4[17..])), Err(BadBinary));
    assert_eq!(whole(&v2_with(0x21, 0x21, &V4[16..])), Err(BadBinary));
    assert_eq!(whole(&v2_with(0x21, 0x12, &V4[16..])), Err(NotTcp));
    assert_eq!(whole(&v2_with(0x21, 0x31, &[0; 216])), Err(NotTcp));
    assert_eq!(whole(&v2_with(0x21, 0x11, &[0; MAX_BYTES])), Err(TooLong));
    assert_eq!(whole(&[&V4[..], b"E"].concat()), Err(BadBinary));
}

#[test]
fn writes_what_it_reads() {
    let four = ends("192.0.2.7:50000", "198.51.100.1:587");
    assert_eq!(v2(&four), V4);
    assert_eq!(v1(&four), b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 587\r\n");
    for local in [V1_UNKNOWN, V2_LOCAL] {
        assert_eq!(whole(local), Ok(Header::Local));
    }
    let mixed = ends("[2001:db8::7]:1", "198.51.100.1:2");
    assert_eq!(v1(&mixed), b"PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 1 2\r\n");
    let mapped = ends("[::ffff:192.0.2.7]:50000", "[::ffff:198.51.100.1]:587");
    assert_eq!(v2(&mapped), V4);
}

/// As a driver reads: what a step asks for, and nothing more.
fn read(stream: &[u8]) -> (Result<Header, ProxyError>, usize) {
    let mut have = FIRST_BYTES.min(stream.len());
    loop {
        match parse(&stream[..have]) {
            Ok(Step::Done(header)) => return (Ok(header), have),
            Ok(Step::More(count)) => {
                assert!(count > 0);
                if have + count > stream.len() {
                    // The stream ended inside of the header.
                    return (Err(ProxyError::Missing), have);
                }
                have += count;
            }
            Err(error) => return (Err(error), have),
        }
    }
}

fn any_end() -> impl Strategy<Value = (Ends, bool)> {
    let ports = (any::<u16>(), any::<u16>());
    (any::<[u8; 4]>(), any::<[u8; 4]>(), any::<[u8; 16]>(), any::<[u8; 16]>(), ports, any::<bool>())
        .prop_map(|(a, b, c, d, (p, q), is_four)| {
            let at = |ip: std::net::IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
            let ends = if is_four {
                Ends { source: at(a.into(), p), destination: at(b.into(), q) }
            } else {
                Ends { source: at(c.into(), p), destination: at(d.into(), q) }
            };
            (ends, is_four)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn takes_the_header_and_not_a_byte_behind_it((ends, _) in any_end(), behind in any::<[u8; 40]>()) {
        for header in [v1(&ends), v2(&ends)] {
            let stream = [&header[..], &behind].concat();
            prop_assert_eq!(read(&stream), (Ok(Header::Proxied(ends)), header.len()));
        }
    }

    #[test]
    fn survives_any_bytes(stream in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&stream);
        let _ = read(&[&V4[..12], &stream[..]].concat());
        let _ = read(&[&b"PROXY "[..], &stream[..]].concat());
    }

    #[test]
    fn never_reads_on_beyond_a_change(at in 0_usize..28, to in any::<u8>()) {
        let mut bytes = V4;
        bytes[at] = to;
        let stream = [&bytes[..], &[0; 70_000]].concat();
        let (_, taken) = read(&stream);
        prop_assert!(taken <= MAX_BYTES);
    }
}
