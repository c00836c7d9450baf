//! The vectors of RFC 3961, 3962 and 8009.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn folds_as_rfc_3961_does() {
    assert_eq!(fold(b"kerberos").to_vec(), hex("6b65726265726f737b9b5b2b93132b93"));
}

#[test]
fn keys_of_passwords_are_those_of_the_rfcs() {
    let salt = &b"ATHENA.MIT.EDUraeburn"[..];
    let salted = [&hex("10DF9DD783E5BC8ACEA1730E74355F61")[..], salt].concat();
    let cases = [
        (Enctype::Aes128Sha1, salt, 1, "42263c6e89f4fc28b8df68ee09799f15"),
        (
            Enctype::Aes256Sha1,
            salt,
            1,
            "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
        ),
        (Enctype::Aes128Sha1, salt, 1200, "4c01cd46d632d01e6dbe230a01ed642a"),
        (
            Enctype::Aes256Sha1,
            salt,
            1200,
            "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a",
        ),
        (Enctype::Aes128Sha256, &salted, 32_768, "089BCA48B105EA6EA77CA5D2F39DC5E7"),
        (
            Enctype::Aes256Sha384,
            &salted,
            32_768,
            "45BD806DBF6A833A9CFFC1C94589A222367A79BC21C413718906E9F578A78467",
        ),
    ];
    for (enctype, salt, iterations, expected) in cases {
        let key = Key::from_password(enctype, b"password", salt, iterations);
        assert_eq!(*key.bytes, hex(expected), "{enctype:?} {iterations}");
    }
}

#[test]
fn steals_ciphertext_as_rfc_3962_does() {
    let text = b"I would like the General Gau's C";
    let cipher = Cipher::new(b"chicken teriyaki");
    let cases = [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"),
        (32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"),
    ];
    for (length, expected) in cases {
        let mut bytes = text[..length].to_vec();
        cipher.encrypt(&mut bytes);
        assert_eq!(bytes, hex(expected), "{length}");
    }
    for length in 16..100 {
        let text: Vec<u8> = (0..length).collect();
        let mut bytes = text.clone();
        cipher.encrypt(&mut bytes);
        cipher.decrypt(&mut bytes);
        assert_eq!(bytes, text, "{length}");
    }
}

#[test]
fn seals_as_rfc_8009_does() {
    let key = Key::new(19, &hex("3705D96080C17728A0E800EAB6E0D23C")).unwrap();
    let confounder = hex("7E5895EAF2672435BAD817F545A37148").try_into().unwrap();
    let sealed = key.seal(Usage::Ticket, confounder, b"");
    assert_eq!(sealed, hex("EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718"));
}

#[test]
fn what_was_sealed_opens_with_that_key_and_usage_alone() {
    for enctype in Enctype::ALL {
        let bytes = vec![7; enctype.key_bytes()];
        let key = Key::new(enctype.number(), &bytes).unwrap();
        let other = Key::new(enctype.number(), &vec![8; bytes.len()]).unwrap();
        for length in [0, 1, 15, 16, 17, 32, 200] {
            let text = vec![b'x'; length];
            let sealed = key.seal(Usage::Ticket, [3; 16], &text);
            assert_eq!(*key.open(Usage::Ticket, &sealed).unwrap(), text);
            assert!(key.open(Usage::AsReply, &sealed).is_none());
            assert!(other.open(Usage::Ticket, &sealed).is_none());
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(key.open(Usage::Ticket, &changed).is_none(), "{enctype:?} {at}");
                assert!(key.open(Usage::Ticket, &sealed[..at]).is_none(), "{enctype:?} {at}");
            }
        }
    }
}

#[test]
fn a_key_has_the_length_of_its_kind() {
    assert!(Key::new(18, &[0; 16]).is_none() && Key::new(17, &[0; 32]).is_none());
    assert!(Key::new(23, &[0; 16]).is_none(), "RC4");
    let key = |byte| Key::new(17, &[byte; 16]).unwrap();
    assert!(key(1).is_same(&key(1)) && !key(1).is_same(&key(2)));
    assert!(!key(1).is_same(&Key::new(19, &[1; 16]).unwrap()));
}
