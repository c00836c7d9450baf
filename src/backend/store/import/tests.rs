//! What each source makes of its lines, with hashes that other programs made.

use super::{Candidate, LineFormat, Lines, Record, SourceError, Table, Transfers};
use crate::backend::store::State;
use crate::backend::store::record::Kind;

const REALM: &str = "example.org";
/// Of `s3cret`, by openssl.
const APR1: &str = "$apr1$saltsalt$64vPg1.FPS6FtcYJ7Ti1V.";
const SHA512: &str = "$6$saltstring$xwVXmdoFwkuFfkvrCnFqepsb1G.0z7.VoLCq69.god.O.zXvYSQsLM/oDMuI05ufmibO/tzUYEh4IPt9kZAc0.";
const ARGON2ID: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                        $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

fn lines(format: LineFormat, text: &str) -> Vec<Record> {
    Lines::new(text.as_bytes(), "x".to_owned(), format, REALM.to_owned())
        .collect::<Result<_, SourceError>>()
        .unwrap()
}

/// Name, state, and kind and verifier of the only credential; or the reason.
fn told(record: &Record) -> String {
    match &record.user {
        Err(reason) => format!("{}: {reason}", record.place),
        Ok(user) => {
            format!("{}: {} {} {}", record.place, user.identity, user.state.as_str(), how(user))
        }
    }
}

fn how(user: &Candidate) -> String {
    match (&user.plain, user.credentials.as_slice()) {
        (Some(plain), []) => format!("plain {}", String::from_utf8_lossy(plain.expose())),
        (None, [one]) => format!("{} {}", one.kind.as_str(), one.verifier),
        _ => "something else".to_owned(),
    }
}

fn all(format: LineFormat, text: &str) -> Vec<String> {
    lines(format, text).iter().map(told).collect()
}

#[test]
fn shadow_gives_hashes_and_says_who_has_none() {
    let text = format!(
        "root:*:19000:0:99999:7:::\n\
         daemon:!:19000::::::\n\
         new:!!:19000::::::\n\
         open::19000::::::\n\
         alice:{SHA512}:19000:0:99999:7:::\n\
         bob:!{SHA512}:19000:0:99999:7:::\n\
         gone:{SHA512}:19000:0:99999:7::19001:\n\
         later:{SHA512}:19000:0:99999:7::99999:\n\
         old:ab01FAX.bQRSU:19000::::::\n"
    );
    assert_eq!(
        all(LineFormat::Shadow, &text),
        [
            "1: it is locked".to_owned(),
            "2: it is locked, and there is no password".to_owned(),
            "3: it is locked, and there is no password".to_owned(),
            "4: there is no password".to_owned(),
            format!("5: alice@example.org active crypt {SHA512}"),
            format!("6: bob@example.org locked crypt {SHA512}"),
            "7: the account has expired".to_owned(),
            format!("8: later@example.org active crypt {SHA512}"),
            "9: it is a DES hash, which saslgate cannot check".to_owned(),
        ]
    );
}

#[test]
fn a_passwd_file_has_schemes_and_what_restricts_a_user_is_not_dropped() {
    let text = format!(
        "# Dovecot\n\n\
         plain:{{PLAIN}}s3cret:::::: \n\
         Carol@Other.TEST:{{SHA512-CRYPT}}{SHA512}:1000:1000::/home/c::userdb_quota=1G\n\
         argon:{{ARGON2ID}}{ARGON2ID}\n\
         bare:{SHA512}\n\
         hex:{{SHA.HEX}}fef341f85d87439e7d91a2d465b9871ef66b5e98\n\
         md5:{{PLAIN-MD5}}33e1b232a4e6fa0028a6670753749a17\n\
         net:{{PLAIN}}x::::::allow_nets=192.0.2.0/24\n\
         off:{{PLAIN}}x::::::nologin\n\
         cram:{{CRAM-MD5}}e02d374fde0dc75a17a557039a3a5338c7743304777dccd376f332bee68d2cf6\n\
         short:{{SSHA}}c2hvcnQ=\n\
         junk\n"
    );
    let found = all(LineFormat::PasswdFile, &text);
    assert_eq!(found[0], "3: plain@example.org active plain s3cret");
    assert_eq!(found[1], format!("4: Carol@other.test active crypt {SHA512}"));
    assert_eq!(found[2], format!("5: argon@example.org active argon2id {ARGON2ID}"));
    assert_eq!(found[3], format!("6: bare@example.org active crypt {SHA512}"));
    assert_eq!(found[4], "7: hex@example.org active crypt {SHA}/vNB+F2HQ559kaLUZbmHHvZrXpg=");
    assert_eq!(found[5], "8: md5@example.org active crypt {MD5}M+GyMqTm+gAopmcHU3SaFw==");
    assert_eq!(found[6], "9: it has allow_nets, which the store cannot keep");
    assert_eq!(found[7], "10: it has nologin, which the store cannot keep");
    assert_eq!(found[8], "11: its scheme {CRAM-MD5} is none that saslgate can check");
    assert_eq!(found[9], "12: it is no salted digest, though it is called {SSHA}");
    assert!(found[10].starts_with("13: there is no colon"), "{}", found[10]);
}

#[test]
fn htpasswd_has_apache_s_own_hash() {
    let text = format!("alice:{APR1}\r\nbob:{{SHA}}/vNB+F2HQ559kaLUZbmHHvZrXpg=\nmallory:s3cret\n");
    let found = all(LineFormat::Htpasswd, &text);
    assert_eq!(found[0], format!("1: alice@example.org active crypt {APR1}"));
    assert_eq!(found[1], "2: bob@example.org active crypt {SHA}/vNB+F2HQ559kaLUZbmHHvZrXpg=");
    assert_eq!(found[2], "3: it is no hash of crypt(3)");
}

#[test]
fn reasons_never_repeat_what_stands_in_the_password_field() {
    for format in [LineFormat::Shadow, LineFormat::PasswdFile, LineFormat::Htpasswd] {
        for field in ["hunter2", "{NONE}hunter2", "{SSHA}hunter2", "$6$hunter2", "$9$hunter2$x"] {
            let record = &lines(format, &format!("alice:{field}\n"))[0];
            let reason = record.user.as_ref().err().unwrap();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}

#[test]
fn lines_without_end_and_names_that_hide_something_are_left_out() {
    let long = format!("alice:{}\nbob:{SHA512}\n", "x".repeat(200_000));
    let found = all(LineFormat::Htpasswd, &long);
    assert_eq!(found[0], "1: the line is longer than 65536 bytes");
    assert_eq!(found[1], format!("2: bob@example.org active crypt {SHA512}"));
    let records = lines(LineFormat::Htpasswd, &format!("a\u{7}b:{SHA512}\n:{SHA512}\n"));
    assert!(records.iter().all(|record| record.user.is_err()));
    let latin: Vec<_> =
        Lines::new(&b"\xe4:x\n"[..], "x".into(), LineFormat::Htpasswd, REALM.into()).collect();
    assert!(latin[0].as_ref().unwrap().user.is_err());
}

#[test]
fn a_table_names_its_columns_in_any_order() {
    let text = format!(
        "Hash,state,user,realm,password\n\
         {SHA512},locked,alice,,\n\
         ,,bob,Other.test,\"pass,word\"\n\
         ,,carol,,\n\
         {SHA512},,dave,,both\n\
         {SHA512},asleep,erin,,\n"
    );
    let table = Table::new(text.as_bytes(), "x".to_owned(), REALM.to_owned()).unwrap();
    let records: Vec<Record> = table.collect::<Result<_, _>>().unwrap();
    let found: Vec<String> = records.iter().map(told).collect();
    assert_eq!(
        found,
        [
            format!("2: alice@example.org locked crypt {SHA512}"),
            "3: bob@other.test active plain pass,word".to_owned(),
            "4: there is no password".to_owned(),
            "5: there are both a password and a hash".to_owned(),
            "6: its state is neither active nor locked".to_owned(),
        ]
    );
}

#[test]
fn a_table_without_a_header_is_refused_and_not_repeated() {
    for text in ["alice,hunter2\n", "user\n", "user,user,hash\n", "password\n", ""] {
        let error = Table::new(text.as_bytes(), "x.csv".to_owned(), REALM.to_owned()).err();
        let text = error.unwrap().to_string();
        assert!(text.contains("the first line names the columns"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

fn transfers(text: &str) -> Vec<String> {
    let records = Transfers::new(text.as_bytes(), "x".to_owned());
    records.map(|record| told(&record.unwrap())).collect()
}

#[test]
fn a_line_of_an_export_is_checked_like_any_other() {
    let line = |credentials: &str| {
        format!(
            "{{\"user\":\"alice\",\"realm\":\"r.test\",\"state\":\"active\",\"credentials\":[{credentials}]}}\n"
        )
    };
    let good = format!("{{\"kind\":\"argon2id\",\"verifier\":\"{ARGON2ID}\"}}");
    assert_eq!(transfers(&line(&good)), [format!("1: alice@r.test active argon2id {ARGON2ID}")]);
    for (credentials, reason) in [
        ("{\"kind\":\"argon2id\"}", "its hashes were left out: export with --with-hashes"),
        ("{\"kind\":\"otp\",\"verifier\":\"x\"}", "a kind that is not known here"),
        ("{\"kind\":\"argon2id\",\"verifier\":\"x\"}", "it is no PHC string"),
        ("{\"kind\":\"scram-sha-256\",\"verifier\":\"x\"}", "no verifier of SCRAM"),
        ("{\"kind\":\"app-password\",\"label\":\"x\",\"verifier\":\"x\"}", "no digest"),
    ] {
        let found = &transfers(&line(credentials))[0];
        assert!(found.contains(reason), "{found}");
    }
    let mut cut = line(&good);
    for end in 1..cut.len() - 1 {
        assert!(transfers(&cut[..end])[0].starts_with("1: it is no line of an export"));
    }
    cut.truncate(20);
    assert!(transfers(&format!("{cut}\n{}", line(&good)))[1].starts_with("2: alice@r.test"));
}

#[test]
fn no_changed_byte_of_an_export_makes_the_reader_stumble() {
    let line = format!(
        "{{\"user\":\"a\",\"realm\":\"r\",\"state\":\"locked\",\"credentials\":[{{\"kind\":\"argon2id\",\
         \"verifier\":\"{ARGON2ID}\"}}]}}"
    );
    for at in 0..line.len() {
        for other in [b'"', b'{', b'0', b'\n', 0xff] {
            let mut bytes = line.clone().into_bytes();
            bytes[at] = other;
            let records = Transfers::new(&bytes[..], "x".to_owned());
            assert!(records.count() <= 2);
        }
    }
    let user = Transfers::new(line.as_bytes(), "x".to_owned()).next().unwrap().unwrap().user;
    let user = user.ok().unwrap();
    assert_eq!((user.state, user.credentials[0].kind), (State::Locked, Kind::Argon2id));
}
