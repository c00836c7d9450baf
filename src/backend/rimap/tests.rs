//! Against a server that says what a test wants, and notes what it hears.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::auth::{Answer, Attempt, RealmSource, Service, Verification, Verify};
use crate::backend::pam::UserForm;
use crate::base::{Identity, Origin, ReasonCode, Secret};

fn settings(port: u16) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        security: Security::None,
        is_clear_allowed: false,
        ca_file: None,
        server_name: None,
        user: UserForm::Local,
        timeout: Duration::from_secs(60),
        max_connections: 4,
        max_waiting: 4,
    }
}

fn attempt(password: &[u8]) -> Arc<Attempt> {
    Arc::new(Attempt {
        identity: Identity::new("alice", "example.org").unwrap(),
        realm: RealmSource::Claim,
        password: Secret::copied_from(password).unwrap(),
        service: Service::from_wire(b"imap").unwrap(),
        origin: Origin::default(),
    })
}

/// Says the first text at once, and each of the others when a line has come.
/// Gives what it heard when the client has left.
async fn server(script: &'static [&'static str]) -> (u16, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        for (number, text) in script.iter().enumerate() {
            while heard.windows(2).filter(|pair| *pair == b"\r\n").count() < number {
                if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                    return heard;
                }
            }
            // In pieces: no answer depends on how it is cut.
            for piece in text.as_bytes().chunks(7) {
                let _ = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        }
        let _ = stream.shutdown().await;
        while stream.read_buf(&mut heard).await.unwrap_or(0) > 0 {}
        heard
    });
    (port, heard)
}

async fn ask_with(settings: Settings, password: &[u8]) -> Answer {
    match Rimap::open(settings).unwrap().verify(attempt(password)) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

async fn ask(script: &'static [&'static str], password: &[u8]) -> (Answer, String) {
    let (port, heard) = server(script).await;
    let answer = ask_with(settings(port), password).await;
    (answer, String::from_utf8_lossy(&heard.await.unwrap()).into_owned())
}

fn outage(answer: &Answer) -> &str {
    match answer {
        Answer::Unavailable(reason) => &reason.detail,
        answer => panic!("{answer:?} is no outage"),
    }
}

const HELLO: &str = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n";

#[tokio::test]
async fn logs_in_and_out() {
    let script = &[HELLO, "* CAPABILITY X\r\n* 3 EXISTS\r\n* OK noise\r\nl OK in\r\n"];
    let (answer, heard) = ask(script, b"s3c\"ret").await;
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    assert_eq!(heard, "l LOGIN \"alice\" \"s3c\\\"ret\"\r\no LOGOUT\r\n");
}

#[tokio::test]
async fn asks_for_capabilities_where_the_greeting_has_none() {
    let script = &["* OK hello\r\n", "* CAPABILITY IMAP4rev1\r\nc OK\r\n", "l NO sorry\r\n"];
    let (answer, heard) = ask(script, b"s3cret").await;
    assert!(
        matches!(answer, Answer::Rejected(reason) if reason.code == ReasonCode::BadCredentials)
    );
    assert!(heard.starts_with("c CAPABILITY\r\nl LOGIN "), "{heard}");
}

#[tokio::test]
async fn waits_for_the_servers_word_before_a_literal() {
    let script = &[HELLO, "+ go on\r\n", "l OK in\r\n"];
    let (answer, heard) = ask(script, b"p\xc3\xa4ss").await;
    assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    assert_eq!(heard, "l LOGIN \"alice\" {5}\r\np\u{e4}ss\r\no LOGOUT\r\n");
    let refusal = &[HELLO, "l NO [LIMIT] no literals\r\n"];
    let (answer, heard) = ask(refusal, b"p\xc3\xa4ss").await;
    outage(&answer);
    assert!(!heard.contains("p\u{e4}ss"), "{heard}");
    let (answer, _) = ask(&[HELLO, "l OK without a password\r\n"], b"p\xc3\xa4ss").await;
    outage(&answer);
}

/// The original lets such a password begin an IMAP command of its own.
#[tokio::test]
async fn a_password_with_a_line_break_is_refused_unasked() {
    let answer = ask_with(settings(1), b"p\"w\r\nsaslauthd NOOP").await;
    assert!(
        matches!(answer, Answer::Rejected(reason) if reason.code == ReasonCode::BadCredentials)
    );
}

#[tokio::test]
async fn a_no_that_is_no_denial_is_an_outage() {
    for (line, code) in [
        ("l NO [AUTHENTICATIONFAILED] x\r\n", Some(ReasonCode::BadCredentials)),
        ("l NO [AUTHORIZATIONFAILED] x\r\n", Some(ReasonCode::AccessDenied)),
        ("l NO [EXPIRED] x\r\n", Some(ReasonCode::PasswordExpired)),
        ("l NO [ALERT] x\r\n", Some(ReasonCode::BadCredentials)),
        ("l NO [UNAVAILABLE] x\r\n", None),
        ("l NO [inuse] x\r\n", None),
        ("l NO [SERVERBUG] x\r\n", None),
        ("l NO [PRIVACYREQUIRED] x\r\n", None),
    ] {
        let script: &'static [&'static str] = Box::leak(Box::new([HELLO, line]));
        match ask(script, b"s3cret").await.0 {
            Answer::Rejected(reason) => assert_eq!(Some(reason.code), code, "{line}"),
            Answer::Unavailable(_) => assert_eq!(code, None, "{line}"),
            answer => panic!("{line}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn whatever_is_no_answer_is_an_outage_that_says_so() {
    for (script, word) in [
        (&["* BYE too many\r\n"][..], "too many"),
        (&["* PREAUTH hello\r\n"], "PREAUTH"),
        (&["* OK [CAPABILITY LOGINDISABLED] hi\r\n"], "LOGINDISABLED"),
        (&["220 mx ESMTP\r\n"], "is it an IMAP server"),
        (&["* OK bare line feed\n"], "is it an IMAP server"),
        (&[""], "closed"),
        (&[HELLO, ""], "closed"),
        (&[HELLO, "l OK"], "closed"),
        (&[HELLO, "l BAD what\r\n"], "what"),
        (&[HELLO, "* BYE going\r\nl OK\r\n"], "going"),
        (&[HELLO, "x OK\r\n"], "is it an IMAP server"),
        (&[HELLO, "+ go on\r\n"], "is it an IMAP server"),
        (&[HELLO, "* X {99999999}\r\n"], "is it an IMAP server"),
    ] {
        let (answer, _) = ask(script, b"s3cret").await;
        assert!(outage(&answer).contains(word), "{script:?}: {answer:?}");
    }
    let endless: &'static str = "* OK noise\r\n".repeat(1100).leak();
    let (answer, _) = ask(Box::leak(Box::new([HELLO, endless])), b"s3cret").await;
    assert!(outage(&answer).contains("more than"), "{answer:?}");
    let long: &'static str = format!("* OK {}\r\n", "x".repeat(20_000)).leak();
    let (answer, _) = ask(Box::leak(Box::new([long])), b"s3cret").await;
    assert!(outage(&answer).contains("more than"), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_repeats_the_password_is_not_quoted() {
    let (answer, _) = ask(&[HELLO, "l BAD LOGIN alice s3cret\r\n"], b"s3cret").await;
    let detail = outage(&answer);
    assert!(!detail.contains("s3cret") && detail.contains("repeats the password"), "{detail}");
}

#[tokio::test]
async fn a_silent_or_missing_server_is_an_outage_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hasty = Settings { timeout: Duration::from_millis(100), ..settings(port) };
    assert!(outage(&ask_with(hasty, b"x").await).contains("no answer within"));
    drop(listener);
    let answer = ask_with(settings(port), b"x").await;
    assert!(outage(&answer).contains(&format!("127.0.0.1:{port}")), "{answer:?}");
}

#[tokio::test]
async fn more_than_may_wait_are_refused_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let few = Settings { max_connections: 1, max_waiting: 1, ..settings(port) };
    let rimap = Rimap::open(few).unwrap();
    let mut asked: Vec<_> = (0..2)
        .map(|_| match Arc::clone(&rimap).verify(attempt(b"x")) {
            Verification::Pending(answer) => tokio::spawn(answer),
            Verification::Ready(answer) => panic!("{answer:?}"),
        })
        .collect();
    let _first = listener.accept().await.unwrap();
    // The second one waits by now, or will before the third one is asked.
    tokio::task::yield_now().await;
    let Verification::Pending(third) = Arc::clone(&rimap).verify(attempt(b"x")) else {
        panic!("was to be pending")
    };
    let third = third.await;
    assert!(matches!(&third, Answer::Unavailable(reason) if reason.code == ReasonCode::Busy));
    for task in asked.drain(..) {
        task.abort();
    }
}

#[tokio::test]
async fn bytes_behind_starttls_are_refused() {
    crate::tls::ClientTls::load(None, "127.0.0.1").unwrap();
    let (port, _heard) = server(&[HELLO, "s OK go\r\nl OK in\r\n"]).await;
    let starttls = Settings { security: Security::Starttls, ..settings(port) };
    let answer = ask_with(starttls, b"s3cret").await;
    outage(&answer);
    let (port, heard) = server(&[HELLO, "s NO not here\r\n"]).await;
    let starttls = Settings { security: Security::Starttls, ..settings(port) };
    assert!(outage(&ask_with(starttls, b"s3cret").await).contains("not here"));
    assert_eq!(heard.await.unwrap(), b"s STARTTLS\r\n", "no password in clear");
}

#[test]
fn without_a_server_it_does_not_start() {
    let nobody = Settings { host: String::new(), ..settings(1) };
    assert!(Rimap::open(nobody).err().unwrap().to_string().contains("rimap.server"));
}
