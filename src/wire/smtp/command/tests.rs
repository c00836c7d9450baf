//! Command lines that are taken and those that are not, and what the client is told.

use super::*;
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::path::{Direction, PathError};

fn parse(line: &str) -> Result<Command, CommandError> {
    Command::parse(line.as_bytes())
}

fn mail(line: &str) -> Mail {
    match parse(line) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt(line: &str) -> Rcpt {
    match parse(line) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

/// A backend that can do everything.
fn able() -> Capabilities {
    Capabilities {
        pipelining: true,
        size: Some(0),
        eight_bit_mime: true,
        dsn: true,
        enhanced_status_codes: true,
        smtputf8: true,
        ..Capabilities::default()
    }
}

fn mail_line(mail: &Mail, capabilities: &Capabilities) -> String {
    let mut out = Vec::new();
    mail.write(capabilities, &mut out);
    String::from_utf8(out).unwrap()
}

fn rcpt_line(rcpt: &Rcpt, capabilities: &Capabilities) -> String {
    let mut out = Vec::new();
    rcpt.write(capabilities, &mut out);
    String::from_utf8(out).unwrap()
}

fn reply(line: &str) -> String {
    parse(line).unwrap_err().reply().first_line()
}

#[test]
fn verbs_are_known_in_any_case() {
    let name = ClientName::new(b"mx.example.org").unwrap();
    assert_eq!(parse("EHLO mx.example.org"), Ok(Command::Ehlo(name.clone())));
    assert_eq!(parse("helo mx.example.org "), Ok(Command::Helo(name)));
    for (line, command) in [
        ("StartTLS", Command::StartTls),
        ("DATA", Command::Data),
        ("data ", Command::Data),
        ("RSET", Command::Rset),
        ("QUIT", Command::Quit),
        ("NOOP", Command::Noop),
        ("NOOP whatever <it> is", Command::Noop),
        ("HELP me", Command::Help),
        ("VRFY root", Command::Vrfy),
        ("EXPN staff", Command::Expn),
        ("ETRN example.org", Command::Etrn),
        ("BDAT 86 LAST", Command::Bdat),
        ("BURL imap://x LAST", Command::Burl),
    ] {
        assert_eq!(parse(line), Ok(command), "{line}");
    }
}

#[test]
fn http_is_recognised() {
    for line in ["GET / HTTP/1.1", "POST /x HTTP/1.0", "CONNECT mx:25 HTTP/1.1", "PRI * HTTP/2.0"] {
        assert_eq!(parse(line), Ok(Command::Http), "{line}");
    }
}

#[test]
fn other_verbs_are_kept_short_and_printable() {
    let unknown = |line: &[u8]| match Command::parse(line) {
        Ok(Command::Unknown(verb)) => verb,
        other => panic!("{other:?}"),
    };
    for verb in
        ["VERB", "XCLIENT", "XFORWARD", "X-CONNECT", "PROXY", "TURN", "ONEX", "MAILFROM:<a@b>"]
    {
        assert_eq!(unknown(verb.as_bytes()), verb);
    }
    assert_eq!(unknown(b"XCLIENT ADDR=192.0.2.1 LOGIN=root"), "XCLIENT");
    assert_eq!(unknown(b"\xff\xfe\x80"), "???");
    assert_eq!(unknown(&[b'x'; 2000]).len(), MAX_UNKNOWN_VERB_BYTES);
}

#[test]
fn client_names_are_those_that_sendmail_takes() {
    let name = |text: &str| ClientName::new(text.as_bytes()).map(|name| name.to_string());
    for good in ["localhost", "[1.2.3.4]", "[IPv6:2001:db8::1]", "-", "x_y", "a#b"] {
        assert_eq!(name(good).as_deref(), Some(good));
    }
    for bad in ["", "a@b", "user+x", "a b", "h\u{f6}st", "a\"b", "a<b", "a\tb"] {
        assert_eq!(name(bad), None, "{bad}");
    }
    assert!(ClientName::new(&[b'a'; 255]).is_some());
    assert!(ClientName::new(&[b'a'; 256]).is_none());
    assert_eq!(reply("EHLO"), "501 5.5.2 EHLO requires a domain or address literal");
    assert_eq!(reply("HELO a b"), "501 5.5.2 Invalid domain name");
}

#[test]
fn auth_keeps_the_initial_response_as_sent() {
    let auth = |mechanism: &str, initial: Option<&str>| {
        let initial = initial.map(|text| Encoded::copied_from(text.as_bytes()));
        Ok(Command::Auth { mechanism: mechanism.to_owned(), initial })
    };
    assert_eq!(parse("AUTH plain AGEAYg=="), auth("PLAIN", Some("AGEAYg==")));
    assert_eq!(parse("auth Login"), auth("LOGIN", None));
    assert_eq!(parse("AUTH PLAIN ="), auth("PLAIN", Some("=")));
    assert_eq!(parse("AUTH scram-sha-256  x "), auth("SCRAM-SHA-256", Some("x")));
    for bad in ["AUTH", "AUTH PLAIN a b", "AUTH PL/AIN", "AUTH ABCDEFGHIJKLMNOPQRSTU"] {
        assert_eq!(reply(bad), "501 5.5.2 Syntax: AUTH mechanism [initial-response]", "{bad}");
    }
}

#[test]
fn no_secret_is_shown_when_a_command_is_printed() {
    let shown = format!("{:?}", parse("AUTH PLAIN AGFsaWNlAHMzY3JldA=="));
    assert!(!shown.contains("AGFsaW"), "{shown}");
}

#[test]
fn mail_reads_every_parameter() {
    let all =
        mail("mail from:<a@b.c> size=1000 BODY=8bitmime RET=hdrs ENVID=QQ+2B1 SMTPUTF8 AUTH=a+40b");
    assert_eq!(all.sender.address(), "a@b.c");
    assert_eq!(
        all.parameters,
        [
            Parameter::Size(1000),
            Parameter::Body(Body::EightBitMime),
            Parameter::Ret(Ret::Hdrs),
            Parameter::Envid("QQ+2B1".to_owned()),
            Parameter::SmtpUtf8,
            Parameter::Auth("a+40b".to_owned()),
        ]
    );
    assert_eq!((all.size(), all.is_smtputf8()), (Some(1000), true));
    assert_eq!(mail("MAIL FROM:<>").parameters, []);
    assert_eq!(mail("MAIL FROM:<> AUTH=<>").parameters, [Parameter::Auth("<>".to_owned())]);
    assert_eq!(mail("MAIL FROM:<a@b> SIZE=99999999999999999999").size(), Some(u64::MAX));
}

#[test]
fn rcpt_reads_every_parameter() {
    let all = rcpt("RCPT TO:<a@b.c> NOTIFY=delay,success ORCPT=rfc822;Bob+20X@x");
    assert_eq!(all.recipient.address(), "a@b.c");
    assert_eq!(
        all.parameters,
        [
            RcptParameter::Notify(Notify::On { success: true, failure: false, delay: true }),
            RcptParameter::Orcpt("rfc822;Bob+20X@x".to_owned()),
        ]
    );
    assert_eq!(
        rcpt("RCPT TO:<postmaster> notify=never").parameters,
        [RcptParameter::Notify(Notify::Never)]
    );
    let utf8 = rcpt("RCPT TO:<a@b> ORCPT=utf-8;j\u{f6}rg\\x{40}x");
    assert!(utf8.needs_smtputf8());
}

#[test]
fn many_clients_put_a_blank_behind_the_colon() {
    let tolerated = mail("MAIL FROM: <a@b>  SIZE=1\t BODY=7BIT ");
    assert_eq!(mail_line(&tolerated, &able()), "MAIL FROM:<a@b> SIZE=1 BODY=7BIT\r\n");
    let tolerated = rcpt("RCPT  TO: <@r:a@b>");
    assert_eq!(rcpt_line(&tolerated, &able()), "RCPT TO:<a@b>\r\n");
}

#[test]
fn the_backend_gets_only_what_it_knows_and_never_auth() {
    let all = mail("MAIL FROM:<a@b> AUTH=root SIZE=5 BODY=8BITMIME RET=FULL ENVID=x SMTPUTF8");
    assert_eq!(
        mail_line(&all, &able()),
        "MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME RET=FULL ENVID=x SMTPUTF8\r\n"
    );
    let only = |change: fn(&mut Capabilities)| {
        let mut capabilities = Capabilities::default();
        change(&mut capabilities);
        mail_line(&all, &capabilities)
    };
    assert_eq!(only(|_| {}), "MAIL FROM:<a@b>\r\n");
    assert_eq!(only(|c| c.size = Some(9)), "MAIL FROM:<a@b> SIZE=5\r\n");
    assert_eq!(only(|c| c.eight_bit_mime = true), "MAIL FROM:<a@b> BODY=8BITMIME\r\n");
    assert_eq!(only(|c| c.dsn = true), "MAIL FROM:<a@b> RET=FULL ENVID=x\r\n");
    assert_eq!(only(|c| c.smtputf8 = true), "MAIL FROM:<a@b> SMTPUTF8\r\n");

    let all = rcpt("RCPT TO:<a@b> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a@b");
    assert_eq!(rcpt_line(&all, &able()), "RCPT TO:<a@b> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a@b\r\n");
    assert_eq!(rcpt_line(&all, &Capabilities::default()), "RCPT TO:<a@b>\r\n");
    let utf8 = rcpt("RCPT TO:<a@b> ORCPT=utf-8;\u{f6}");
    let no_utf8 = Capabilities { smtputf8: false, ..able() };
    assert_eq!(rcpt_line(&utf8, &no_utf8), "RCPT TO:<a@b>\r\n");
}

#[test]
fn a_parameter_that_was_not_offered_is_refused() {
    let offered = Capabilities { dsn: false, ..able() };
    let refused = |line: &str| mail(line).check(&offered).unwrap_err().reply().first_line();
    assert_eq!(refused("MAIL FROM:<a@b> SIZE=1 RET=FULL"), "555 5.5.4 RET parameter unrecognized");
    assert_eq!(mail("MAIL FROM:<a@b> SIZE=1 AUTH=x").check(&offered), Ok(()));
    assert_eq!(
        rcpt("RCPT TO:<a@b> NOTIFY=NEVER").check(&offered),
        Err(CommandError::UnknownParameter("NOTIFY".to_owned()))
    );
    assert_eq!(rcpt("RCPT TO:<a@b> NOTIFY=NEVER").check(&able()), Ok(()));
}

#[test]
fn an_address_outside_ascii_must_be_declared() {
    assert_eq!(
        reply("MAIL FROM:<j\u{f6}rg@b>"),
        "553 5.6.7 Address outside ASCII needs SMTPUTF8 in MAIL"
    );
    let declared = mail("MAIL FROM:<j\u{f6}rg@b> SMTPUTF8");
    assert_eq!(mail_line(&declared, &able()), "MAIL FROM:<j\u{f6}rg@b> SMTPUTF8\r\n");
    assert!(rcpt("RCPT TO:<j\u{f6}rg@b>").needs_smtputf8());
    assert!(!rcpt("RCPT TO:<jorg@b>").needs_smtputf8());
}

#[test]
fn bad_parameters_are_named() {
    for (parameters, expected) in [
        ("SIZE=abc", "501 5.5.4 SIZE must be a number of bytes"),
        ("SIZE", "501 5.5.4 SIZE must be a number of bytes"),
        ("SIZE=", "501 5.5.4 SIZE must be a number of bytes"),
        ("SIZE=+5", "501 5.5.4 SIZE must be a number of bytes"),
        ("SIZE=-5", "501 5.5.4 SIZE must be a number of bytes"),
        ("SIZE=999999999999999999999", "501 5.5.4 SIZE must be a number of bytes"),
        ("BODY=BINARYMIME", "501 5.5.4 BODY must be 7BIT or 8BITMIME"),
        ("RET=ALL", "501 5.5.4 RET must be FULL or HDRS"),
        ("ENVID=", "501 5.5.4 ENVID must be xtext of at most 100 characters"),
        ("ENVID=a+0D+0Ab", "501 5.5.4 ENVID must be xtext of at most 100 characters"),
        ("ENVID=a+zz", "501 5.5.4 ENVID must be xtext of at most 100 characters"),
        ("AUTH=al+zz", "501 5.5.4 AUTH must be an address as xtext, or <>"),
        ("AUTH=a=b", "501 5.5.4 AUTH must be an address as xtext, or <>"),
        ("SMTPUTF8=yes", "501 5.5.4 SMTPUTF8 must be without a value"),
        ("AUTH=a AUTH=b", "501 5.5.4 Duplicate AUTH parameter"),
        ("SIZE=1 size=2", "501 5.5.4 Duplicate SIZE parameter"),
        ("FOO", "555 5.5.4 FOO parameter unrecognized"),
        ("foo=bar", "555 5.5.4 FOO parameter unrecognized"),
        ("MT-PRIORITY=3", "555 5.5.4 MT-PRIORITY parameter unrecognized"),
        ("NOTIFY=NEVER", "555 5.5.4 NOTIFY parameter unrecognized"),
        ("=x", "501 5.5.2 Syntax: MAIL FROM:<address> [parameters]"),
        ("<b@c>", "501 5.5.2 Syntax: MAIL FROM:<address> [parameters]"),
    ] {
        assert_eq!(reply(&format!("MAIL FROM:<a@b> {parameters}")), expected, "{parameters}");
    }
    assert_eq!(
        reply(&format!("MAIL FROM:<> ENVID={}", "x".repeat(101))).get(..9),
        Some("501 5.5.4")
    );
    for bad in [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=DELAY,DELAY",
        "NOTIFY=DELAY,",
        "NOTIFY=SOON",
        "ORCPT=a@b",
        "ORCPT=rfc822;",
        "ORCPT=;a@b",
        "ORCPT=rfc822;a+00b",
        "ORCPT=rfc822;j\u{f6}rg",
        "ORCPT=utf-8;a\u{85}b",
        "ORCPT=r f;x",
    ] {
        let reply = reply(&format!("RCPT TO:<a@b> {bad}"));
        assert_eq!(reply.get(..9), Some("501 5.5.4"), "{bad}: {reply}");
    }
    assert_eq!(reply("RCPT TO:<a@b> SIZE=1"), "555 5.5.4 SIZE parameter unrecognized");
}

/// What sendmail 8.17.1 takes and a gate must not.
#[test]
fn malicious_lines_are_refused() {
    let sender = |error| CommandError::BadPath { direction: Direction::Reverse, error };
    let recipient = |error| CommandError::BadPath { direction: Direction::Forward, error };
    let mail = CommandError::Syntax { usage: "MAIL FROM:<address> [parameters]" };
    let rcpt = CommandError::Syntax { usage: "RCPT TO:<address> [parameters]" };
    for (line, error) in [
        ("MAIL FROM:a@b", sender(PathError::NoBracket)),
        ("MAIL FROM:", sender(PathError::NoBracket)),
        ("MAIL FROM", mail.clone()),
        ("MAIL", mail.clone()),
        ("MAIL a@b", mail.clone()),
        ("MAIL TO:<a@b>", mail.clone()),
        ("MAIL FROM :<a@b>", mail.clone()),
        ("MAIL FROM:<a@b>SIZE=1", mail.clone()),
        ("MAIL FROM:<a@b>,<c@d>", mail),
        ("MAIL FROM:<a@b", sender(PathError::Unterminated)),
        ("MAIL FROM:<a@b,c@d>", sender(PathError::Unterminated)),
        ("RCPT TO:<bob@gate.test>,<x@gate.test>", rcpt),
        ("RCPT TO:bob@gate.test", recipient(PathError::NoBracket)),
        ("RCPT TO:<bob>", recipient(PathError::NoDomain)),
        ("RCPT TO:<>", recipient(PathError::Empty)),
        ("RCPT TO:<bob@gate.test", recipient(PathError::Unterminated)),
        ("RCPT TO:<bob%x@y@gate.test>", recipient(PathError::Unterminated)),
        ("STARTTLS now", CommandError::Syntax { usage: "STARTTLS" }),
        ("DATA now", CommandError::Syntax { usage: "DATA" }),
        ("RSET x", CommandError::Syntax { usage: "RSET" }),
        ("QUIT x", CommandError::Syntax { usage: "QUIT" }),
        ("", CommandError::Empty),
        ("  ", CommandError::Empty),
        (" NOOP", CommandError::Empty),
    ] {
        assert_eq!(parse(line), Err(error), "{line}");
    }
    assert_eq!(Command::parse(b"RCPT TO:<j\xf6rg@gate.test>"), Err(recipient(PathError::NotUtf8)));
    let usage = "RCPT TO:<address> [parameters]";
    assert_eq!(
        Command::parse(b"RCPT TO:<a@b> ORCPT=rfc822;\xff"),
        Err(CommandError::Syntax { usage })
    );
}

#[test]
fn no_control_character_gets_through_in_any_command() {
    for line in [
        &b"NOOP\0x"[..],
        b"NOOP\rx",
        b"RCPT TO:<a@b>\rX",
        b"RCPT TO:<\"a\x1bb\"@c>",
        b"MAIL FROM:<a@b.c\rX>",
        b"EHLO a\x7f",
        b"\x16\x03\x01\x02\x00\x01",
    ] {
        assert_eq!(Command::parse(line), Err(CommandError::ControlCharacter), "{line:?}");
    }
    assert_eq!(reply("\u{1}"), "500 5.5.2 Control characters are not allowed in a command");
}

#[test]
fn truncations_and_mutations_never_give_what_does_not_read_back() {
    let samples: [&[u8]; 5] = [
        b"MAIL FROM:<\"a b\"@c.d> SIZE=10 BODY=8BITMIME RET=FULL ENVID=a+2Bb SMTPUTF8 AUTH=<>",
        b"RCPT TO:<@x:a@[IPv6:::1]> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b",
        "MAIL FROM:<j\u{f6}rg@b.c> SMTPUTF8".as_bytes(),
        b"AUTH PLAIN AGEAYg==",
        b"EHLO [192.0.2.1]",
    ];
    for sample in samples {
        for end in 0..sample.len() {
            reads_back(&sample[..end]);
        }
        for at in 0..sample.len() {
            for byte in 0..=255 {
                let mut line = sample.to_vec();
                line[at] = byte;
                reads_back(&line);
            }
        }
    }
}

/// What we write for the backend is one line, and reads as what was asked for.
fn reads_back(line: &[u8]) {
    let mut out = Vec::new();
    let expected = match Command::parse(line) {
        Ok(Command::Mail(mut mail)) => {
            mail.write(&able(), &mut out);
            mail.parameters.retain(|parameter| !matches!(parameter, Parameter::Auth(_)));
            Command::Mail(mail)
        }
        Ok(Command::Rcpt(rcpt)) => {
            rcpt.write(&able(), &mut out);
            Command::Rcpt(rcpt)
        }
        _ => return,
    };
    let written = out.strip_suffix(b"\r\n").unwrap();
    assert_eq!(Command::parse(written), Ok(expected), "{line:?}");
}
