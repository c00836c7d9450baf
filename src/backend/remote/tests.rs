//! Against peers that say this and that, and against none.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::Saslauthd;
use super::saslauthd::Claim;
use crate::auth::{
    Accepted, Answer, Conversation, ExchangeContext, Mechanisms, Response, StepResult, Verdict,
};
use crate::base::{Origin, ReasonCode, Secret};

/// A saslauthd that reads one request and writes `reply`.
struct Peer {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
    seen: tokio::task::JoinHandle<Vec<u8>>,
}

const EXPECTED: &[u8] = b"\0\x05alice\0\x06s3cret\0\x04smtp\0\x06ex.org\0\x0c192.0.2.7;25";

fn peer(reply: &'static [u8]) -> Peer {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mux");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let seen = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).await.unwrap();
        for byte in reply {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        request.truncate(count);
        request
    });
    Peer { _dir: dir, path, seen }
}

fn client() -> Origin {
    Origin { client: Some("192.0.2.7".parse().unwrap()), port: Some(25), uid: None }
}

async fn ask(path: &Path) -> Answer {
    let (claim, _) = Claim::new("alice@ex.org").unwrap();
    let password = Secret::copied_from(b"s3cret").unwrap();
    let saslauthd = Saslauthd::new(path.to_owned(), Duration::from_secs(60));
    saslauthd.verify(&claim, &password, "smtp", client()).await
}

fn outage(answer: Answer) -> (ReasonCode, String) {
    match answer {
        Answer::Unavailable(reason) => (reason.code, reason.detail.into_owned()),
        answer => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn sends_what_libsasl2_sends_and_the_address() {
    let peer = peer(b"\0\x02OK");
    assert!(matches!(ask(&peer.path).await, Answer::Accepted(Accepted { user: None, .. })));
    assert_eq!(peer.seen.await.unwrap(), EXPECTED);
}

#[tokio::test]
async fn takes_no_for_a_wrong_password_and_keeps_the_reason_for_the_log() {
    let peer = peer(b"\0\x11NO PAM auth error");
    let Answer::Rejected(reason) = ask(&peer.path).await else { panic!("was to be rejected") };
    assert_eq!(reason.code, ReasonCode::BadCredentials);
    assert_eq!(reason.detail, "PAM auth error");
}

#[tokio::test]
async fn takes_whatever_is_no_answer_for_an_outage() {
    for reply in [&b""[..], b"\0", b"\0\x02O", b"\0\x01N", b"\0\0", b"\0\x02no", b"\0\x03ok!"] {
        let peer = peer(reply);
        let (code, _) = outage(ask(&peer.path).await);
        assert_eq!(code, ReasonCode::BackendDown, "{reply:?}");
    }
}

#[tokio::test]
async fn says_where_nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mux");
    let (code, detail) = outage(ask(&path).await);
    assert_eq!(code, ReasonCode::BackendDown);
    assert!(
        detail.contains(&*path.to_string_lossy())
            && detail.contains("start the authentication daemon")
    );
}

#[tokio::test]
async fn gives_up_on_a_server_that_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mux");
    let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let (claim, _) = Claim::new("alice").unwrap();
    let password = Secret::copied_from(b"s3cret").unwrap();
    let hasty = Saslauthd::new(path, Duration::from_millis(50));
    let answer = hasty.verify(&claim, &password, "smtp", Origin::default()).await;
    assert_eq!(outage(answer).0, ReasonCode::Timeout);
}

fn response(bytes: &[u8]) -> Option<Response> {
    Some(Response::new(Zeroizing::new(bytes.to_vec())))
}

fn conversation(path: &Path, mechanism: &str) -> Conversation {
    let mechanisms: Arc<dyn Mechanisms> =
        Arc::new(Saslauthd::new(path.to_owned(), Duration::from_secs(60)));
    let context = ExchangeContext { service: "smtp", origin: client() };
    let limit = Duration::from_secs(60);
    Conversation::start(&mechanisms, mechanism, &context, limit).unwrap()
}

#[tokio::test]
async fn runs_plain() {
    let peer = peer(b"\0\x02OK");
    let plain = conversation(&peer.path, "PLAIN");
    let done = plain.step(response(b"\0alice@ex.org\0s3cret")).await;
    let StepResult::Done { verdict: Verdict::Accepted(proof), .. } = done else {
        panic!("was to be accepted")
    };
    assert_eq!(
        (proof.identity().to_string().as_str(), proof.backend()),
        ("alice@ex.org", "saslauthd")
    );
    assert_eq!(peer.seen.await.unwrap(), EXPECTED);
}

#[tokio::test]
async fn runs_login() {
    let peer = peer(b"\0\x02NO");
    let mut login = conversation(&peer.path, "LOGIN");
    for answer in [None, response(b"alice@ex.org")] {
        let StepResult::Challenge(_, next) = login.step(answer).await else {
            panic!("was to be challenged")
        };
        login = next;
    }
    let StepResult::Done { claimed, verdict } = login.step(response(b"s3cret")).await else {
        panic!("was to be over")
    };
    assert!(matches!(verdict, Verdict::Rejected(_)));
    assert_eq!(claimed.unwrap().user(), "alice");
    assert_eq!(peer.seen.await.unwrap(), EXPECTED);
}

#[tokio::test]
async fn refuses_to_act_as_somebody_else_without_asking() {
    let nowhere = Path::new("/nonexistent/mux");
    let cases: [(&[u8], ReasonCode); 3] = [
        (b"root\0alice\0s3cret", ReasonCode::NotAuthorized),
        (b"junk", ReasonCode::Malformed),
        (b"\0\0s3cret", ReasonCode::EmptyLogin),
    ];
    for (message, expected) in cases {
        let done = conversation(nowhere, "PLAIN").step(response(message)).await;
        let StepResult::Done { verdict: Verdict::Rejected(reason), .. } = done else {
            panic!("was to be rejected")
        };
        assert_eq!(reason.code, expected);
    }
}

#[test]
fn offers_what_shows_the_password_and_nothing_else() {
    let saslauthd = Saslauthd::new("/nonexistent/mux".into(), Duration::from_secs(1));
    assert_eq!(saslauthd.offered(), ["PLAIN", "LOGIN"]);
    let context = ExchangeContext { service: "smtp", origin: client() };
    assert!(saslauthd.start("CRAM-MD5", &context).is_none());
}

#[tokio::test]
async fn waits_for_room_in_a_full_backlog() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mux");
    let bound = crate::sys::local_socket::bind(&path).unwrap();
    let listener = crate::sys::local_socket::listen(bound, 1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::net::UnixStream::connect(&path).await {
        waiting.push(stream);
    }
    let asking = tokio::spawn(async move { ask(&path).await });
    tokio::task::yield_now().await;
    let serving = tokio::task::spawn_blocking(move || {
        loop {
            let Ok(stream) = crate::sys::local_socket::accept(&listener) else { continue };
            stream.set_nonblocking(false).unwrap();
            let mut request = [0; 64];
            if std::io::Read::read(&mut &stream, &mut request).unwrap() > 0 {
                std::io::Write::write_all(&mut &stream, b"\0\x02OK").unwrap();
                return;
            }
        }
    });
    drop(waiting);
    assert!(matches!(asking.await.unwrap(), Answer::Accepted(_)));
    serving.await.unwrap();
}
