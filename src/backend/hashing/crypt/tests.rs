//! Against strings that libxcrypt 4.4.33 made.

use super::*;

fn secret(bytes: &[u8]) -> Secret {
    Secret::copied_from(bytes).unwrap()
}

fn fits(text: &str, password: &[u8]) -> bool {
    CryptHash::parse(text).unwrap().matches(&secret(password)).unwrap()
}

/// The cheap ones.
const SHORT: &[&str] = &[
    "$1$abcdefgh$7.vq19w/w3Vm.hk1FOA7Q/",
    "$5$rounds=1000$abc$T60UiAv2jIDMm6cOC4SJHDH.vGbgDLzL3WpdlfyuyM1",
    "$6$rounds=1234$ab$RPV7.bu8WS4KMeVxeh7O3vCUU7B7fmhN5tvIBxcPeI9ctC6vdruv/6.X1yk/x9Vk/Ih18Yw5jIvGxkjNHH71v1",
    "$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG",
    "$y$j75$abcd$1Hyz/hy4KUjsemS3ffS6kJhBOoXmj7lKwm4T2.JwhQ7",
];

#[test]
fn fits_the_password_and_no_other() {
    for (password, text) in FITTING {
        assert!(fits(text, password), "{text}");
        let mut other = password.to_vec();
        other.insert(0, b'x');
        other.truncate(511);
        let is_other = other != *password;
        assert!(!is_other || !fits(text, &other), "{text}");
    }
}

#[test]
fn fits_what_apache_writes() {
    // openssl passwd -apr1 -salt abcdefgh s3cret
    assert!(fits("$apr1$abcdefgh$M2T3erDstkD7SsE2QQnfH0", b"s3cret"));
    assert!(!fits("$apr1$abcdefgh$M2T3erDstkD7SsE2QQnfH0", b"s3creT"));
}

#[test]
fn bcrypt_looks_at_72_bytes_as_everywhere() {
    let (password, text) =
        FITTING.iter().find(|(p, t)| p.len() == 511 && t.starts_with("$2b$")).unwrap();
    assert!(fits(text, &password[..72]));
    assert!(!fits(text, &password[..71]));
}

#[test]
fn a_password_longer_than_crypt_takes_fits_nothing_and_costs_nothing() {
    for text in SHORT {
        assert!(!fits(text, &[b'x'; 512]));
    }
}

#[test]
fn an_empty_or_locked_field_is_no_hash() {
    assert_eq!(CryptHash::parse("").err(), Some(CryptError::Empty));
    for text in ["!", "*", "!!", "!*", "*LK*", &format!("!{}", SHORT[0])] {
        assert_eq!(CryptHash::parse(text).err(), Some(CryptError::Locked), "{text}");
    }
}

#[test]
fn an_unknown_scheme_is_named() {
    let named = [
        ("ab01FAX.bQRSU", "DES"),
        ("_J9..rasmBYk8r9AiWNc", "BSDi"),
        ("$gy$j9T$abcd$x", "gost-yescrypt"),
        ("$7$CU..../....abc$x", "scrypt"),
        ("$3$$8846f7eaee8fb117ad06bdd830b7586c", "NT"),
        ("$sha1$1$abc$x", "SHA-1"),
        ("$md5,rounds=5000$abc$$x", "SunMD5"),
        ("$2x$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG", "$2x$"),
    ];
    for (text, name) in named {
        let Some(CryptError::Scheme(scheme)) = CryptHash::parse(text).err() else {
            panic!("{text} was to be named")
        };
        assert!(scheme.contains(name), "{text}: {scheme}");
    }
    for text in ["x", "s3cret", "$", "$$", "$1$", "$9$abc$def", "$6$abc", "\u{e4}\u{e4}"] {
        assert_eq!(CryptHash::parse(text).err(), Some(CryptError::Syntax), "{text}");
    }
    assert_eq!(CryptHash::parse(&"x".repeat(10_000)).err(), Some(CryptError::Syntax));
}

#[test]
fn costs_beyond_the_caps_are_refused() {
    let with = |from: &str, to: &str, text: &str| CryptHash::parse(&text.replace(from, to)).err();
    let is_cost = |error: Option<CryptError>| matches!(error, Some(CryptError::Cost(_)));
    assert_eq!(with("=1000", "=5000000", SHORT[1]), None);
    assert!(is_cost(with("=1000", "=5000001", SHORT[1])));
    assert!(is_cost(with("=1234", "=999999999", SHORT[2])));
    assert_eq!(with("$04$", "$16$", SHORT[3]), None);
    assert!(is_cost(with("$04$", "$17$", SHORT[3])));
    assert!(is_cost(with("$j75$", "$jGT$", SHORT[4])));
    for odd in ["=01000", "=+1000", "=", "=1000000000", "=1x"] {
        assert_eq!(with("=1000", odd, SHORT[1]), Some(CryptError::Syntax), "{odd}");
    }
    for odd in ["$03$", "$4$", "$+4$", "$004$", "$ 4$"] {
        assert_eq!(with("$04$", odd, SHORT[3]), Some(CryptError::Syntax), "{odd}");
    }
}

#[test]
fn no_truncation_is_a_hash_and_no_changed_byte_lets_the_password_pass() {
    for text in SHORT {
        for end in 0..text.len() {
            assert!(CryptHash::parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
        for at in 0..text.len() {
            for new in [b'/', b'$', b'9', b'z', b'\n', b'\x80'] {
                let mut bytes = text.as_bytes().to_vec();
                if std::mem::replace(&mut bytes[at], new) == new {
                    continue;
                }
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                // $2a$, $2b$ and $2y$ are one scheme, other costs take too long to try, and
                // the last character of the salt has bits that stand for nothing.
                if changed.starts_with("$2") && (at < 6 || at == 28) {
                    continue;
                }
                let Ok(hash) = CryptHash::parse(&changed) else { continue };
                assert!(!hash.matches(&secret(b"s3cret")).unwrap(), "{changed}");
            }
        }
    }
}

#[test]
fn no_password_fits_a_decoy() {
    for text in SHORT {
        let decoy = CryptHash::parse(text).unwrap().decoy().unwrap();
        assert!(!decoy.matches(&secret(b"s3cret")).unwrap(), "{text}");
    }
    assert!(!CryptHash::dummy().unwrap().matches(&secret(b"s3cret")).unwrap());
}

/// Made with crypt(3), by `perl -e 'print crypt(PASSWORD, SETTING)'`.
const FITTING: &[(&[u8], &str)] = &[
    (b"s3cret", "$1$abcdefgh$7.vq19w/w3Vm.hk1FOA7Q/"),
    (b"p\xc3\xa4ss w\xff rd", "$1$abcdefgh$EZC7HofgmNULYTixjRlEx."),
    (b"s3cret", "$1$ab$uCzd2IA9Rb.P73vs8WgwD1"),
    (b"p\xc3\xa4ss w\xff rd", "$1$ab$o.h0xsAUNlFUx9LJQMUtN."),
    (b"s3cret", "$1$$9Tf6VJZsz3W4bG2XPMu3T."),
    (b"p\xc3\xa4ss w\xff rd", "$1$$6Dj/wCECYhvQT2zhlnu550"),
    (b"s3cret", "$5$saltstring$9QqUIsp6bPD8uX5rHa8zB21q7JTr9i41vD3jA8fwv68"),
    (b"p\xc3\xa4ss w\xff rd", "$5$saltstring$oQTenojGQ4LsTCGRr2cfV2Bl8jtfRKM1DGXJ/q.tykC"),
    (b"s3cret", "$5$rounds=1000$abc$T60UiAv2jIDMm6cOC4SJHDH.vGbgDLzL3WpdlfyuyM1"),
    (b"p\xc3\xa4ss w\xff rd", "$5$rounds=1000$abc$O8L1JRGBI6YWS2SkWfH0K.b83Ok3kw8nlv2p7xaQgd6"),
    (b"s3cret", "$5$$hkYmSOuCcBF9ZgVNLavZEtJa91liblYCom0avzJUo20"),
    (b"p\xc3\xa4ss w\xff rd", "$5$$pjG8tu00icsqgx7/HNsrcxB9qMScClW8PmQITA6Q8s4"),
    (
        b"s3cret",
        "$6$saltstring123456$UvuLT8ASKtKrwrcTnyFOIpLXyXDEe0DA3dK5IBcZg52b2rWMLEryJrCEAUyK5srdL4r5dSZ5dOHB9cq0Z/3Zw.",
    ),
    (
        b"p\xc3\xa4ss w\xff rd",
        "$6$saltstring123456$3E1zkK8t3Wk8i5ZOYhOrNdlRKh23sfNS9BU7lSBDMSaMNRLWlA5y4fdevQlPPFUGdS3XRPfZfMuzscwyRnSz10",
    ),
    (
        b"s3cret",
        "$6$rounds=1234$ab$RPV7.bu8WS4KMeVxeh7O3vCUU7B7fmhN5tvIBxcPeI9ctC6vdruv/6.X1yk/x9Vk/Ih18Yw5jIvGxkjNHH71v1",
    ),
    (
        b"p\xc3\xa4ss w\xff rd",
        "$6$rounds=1234$ab$YawFlV/CxGGms.xPRAubOGwiKwVNlCzq62MwqazsAne/t4.S8dcTs2RxO2ZmsGh6945RrJ.ifVg5lgBP0c7pX.",
    ),
    (
        b"s3cret",
        "$6$$tdRSV0u8HVKHADqvn3Z95vF2CzwplPfuNgOhemYdeG1phADUkVW7MJzbV88QAnaNHuaqk3pUqYdpc77bO9edN/",
    ),
    (
        b"p\xc3\xa4ss w\xff rd",
        "$6$$cjF.7HefevUrH1qVzko49O8I8cdbvBC5rakUmOC6f.otKJawh7y1/j1K4SJAq0YgOZpYOuF5F4BzrMhwejd820",
    ),
    (b"s3cret", "$2a$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"),
    (b"p\xc3\xa4ss w\xff rd", "$2a$04$abcdefghijklmnopqrstuuWbLVS7Tg5pnvIfF4RtJa1W/itEGz/E."),
    (b"s3cret", "$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK"),
    (b"p\xc3\xa4ss w\xff rd", "$2b$05$abcdefghijklmnopqrstuu.w6BZ7iPbC7MNxJ3zIALC/eW0.cXy4i"),
    (b"s3cret", "$2y$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"),
    (b"p\xc3\xa4ss w\xff rd", "$2y$04$abcdefghijklmnopqrstuuWbLVS7Tg5pnvIfF4RtJa1W/itEGz/E."),
    (b"s3cret", "$y$j75$abcd$1Hyz/hy4KUjsemS3ffS6kJhBOoXmj7lKwm4T2.JwhQ7"),
    (b"p\xc3\xa4ss w\xff rd", "$y$j75$abcd$w0RGzkPhFyY8HOmyknAQQ03Nj93eAzCGSQonduxvRsA"),
    (b"s3cret", "$y$j75$$W4XiUPoVjfAgBx1GMW52qSGclwA.JEbZB/WjA1.MJB4"),
    (b"p\xc3\xa4ss w\xff rd", "$y$j75$$vlaf2owwijwwIEs2jcU7RC7bUkYuncj4cZeVDI.8cGA"),
    (b"s3cret", "$y$j75$FaL6tPlvYo0nFGbhhHY.l1$lVIXtzcX8nYNgxJfNATkD2rfYTz03hOz9XhSpuAWfi6"),
    (
        b"p\xc3\xa4ss w\xff rd",
        "$y$j75$FaL6tPlvYo0nFGbhhHY.l1$hNtauZVRebj84Y5OIWAdHTGwu/.QrgqO45HfcAbg2H7",
    ),
    (b"s3cret", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$8c0O2L8gFA3jUVvwMFdXpZKM78kTwpdGJswaLb6IRr/"),
    (b"s3cret", "$y$jC5$LdJMENpBABJJ3hIHjB1Bi.$HmVsY1TG.Cpah7lLzYNFE0xmW48wzSaxPDS3X4Zeuz9"),
    (&[b'x'; 511], "$1$ab$mjsFk9LmfULxjpkDdKGTj/"),
    (&[b'x'; 511], "$5$rounds=1000$abc$pZrXY9WAlNS1xsMeUl/rnluo.H.nJG0NjysKIR7Gbc2"),
    (
        &[b'x'; 511],
        "$6$rounds=1234$ab$lNzpBWFyCeIG1Z8NXJXeWIOmuIrDvmNzRRSF9qScnELAptnRj4rTsfXw1zr6/YFDWUNtVzDnym.dQQgtbXy7s.",
    ),
    (&[b'x'; 511], "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i"),
    (&[b'x'; 511], "$y$j75$abcd$o4EsIdrLr8smsbxiWay9ZzLA0yEdmCdDaY.9CPXdcq1"),
    (b"", "$1$ab$rn6aQS/o7141mj179E/zA."),
    (b"", "$2b$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq"),
    (b"", "$y$j75$abcd$eCNABnCYh9Yg4ibb.2WZzfD1Qm8EmjGIsb4F81qkaL2"),
];
