//! Against a server that says what a test wants, and notes what it hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::auth::{Answer, Attempt, RealmSource, Service, Verification, Verify};
use crate::base::{Identity, Origin, ReasonCode, Secret};

fn settings(port: u16) -> Settings {
    Settings {
        config: None,
        target: Some(Target::parse(&format!("http://127.0.0.1:{port}/login")).unwrap()),
        form: Template::parse("u=%u&p=%p&r=%r").unwrap(),
        ca_file: None,
        timeout: Duration::from_secs(60),
        max_connections: 4,
        max_waiting: 4,
    }
}

fn attempt(password: &[u8], realm: RealmSource) -> Arc<Attempt> {
    Arc::new(Attempt {
        identity: Identity::new("alice", "example.org").unwrap(),
        realm,
        password: Secret::copied_from(password).unwrap(),
        service: Service::from_wire(b"imap").unwrap(),
        origin: Origin::default(),
    })
}

/// Answers every request with `reply`, and keeps the connection behind [`FINE`] only.
struct Server {
    port: u16,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn server(reply: Vec<u8>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let (reply, tell) = (reply.clone(), tell.clone());
            tokio::spawn(async move {
                while let Some(request) = request(&mut stream).await {
                    let _ = tell.send(request);
                    let _ = stream.write_all(&reply).await;
                    if !reply.starts_with(FINE) {
                        return;
                    }
                }
            });
        }
    });
    Server { port, accepted, task, heard }
}

/// One request with its body; `None` at the end.
async fn request(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?;
            if body.len() >= length.parse().ok()? {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn ask_of(backend: &Arc<HttpForm>, password: &[u8]) -> Answer {
    match Arc::clone(backend).verify(attempt(password, RealmSource::Claim)) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

async fn ask(reply: &[u8]) -> Answer {
    let server = server(reply.to_vec()).await;
    ask_of(&HttpForm::open(settings(server.port)).unwrap(), b"s3cret").await
}

fn outage(answer: &Answer) -> &str {
    match answer {
        Answer::Unavailable(reason) => &reason.detail,
        answer => panic!("{answer:?} is no outage"),
    }
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn sends_the_form_and_keeps_the_connection() {
    let mut server = server(FINE.to_vec()).await;
    let backend = HttpForm::open(settings(server.port)).unwrap();
    for _ in 0..3 {
        assert!(matches!(ask_of(&backend, b"a&b=\xff").await, Answer::Accepted(_)));
        let heard = server.heard.recv().await.unwrap();
        assert!(heard.starts_with("POST /login HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains("content-type: application/x-www-form-urlencoded\r\n"), "{heard}");
        assert!(heard.ends_with("\r\n\r\nu=alice&p=a%26b%3D%FF&r=example.org"), "{heard}");
    }
    assert_eq!(server.accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_realm_that_nobody_named_is_empty() {
    let mut server = server(FINE.to_vec()).await;
    let backend = HttpForm::open(settings(server.port)).unwrap();
    let Verification::Pending(answer) = backend.verify(attempt(b"x", RealmSource::Default)) else {
        panic!("was to be pending")
    };
    assert!(matches!(answer.await, Answer::Accepted(_)));
    assert!(server.heard.recv().await.unwrap().ends_with("u=alice&p=x&r="));
}

#[tokio::test]
async fn each_status_has_its_meaning() {
    for (status, is_right) in [("200 OK", true), ("204 No Content", true)] {
        let answer =
            ask(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        assert_eq!(matches!(answer, Answer::Accepted(_)), is_right, "{status}: {answer:?}");
    }
    for status in ["401 Unauthorized", "403 Go away"] {
        let answer =
            ask(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        let Answer::Rejected(reason) = answer else { panic!("{status}: {answer:?}") };
        assert_eq!(reason.code, ReasonCode::BadCredentials);
        assert!(reason.detail.contains(status), "{reason}");
    }
    for status in
        ["201 Created", "202 Accepted", "206 Part", "400 Bad", "404 None", "500 Oh", "503 x"]
    {
        let answer =
            ask(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        assert!(outage(&answer).contains(&status[..3]), "{answer:?}");
    }
    let answer = ask(b"HTTP/1.1 302 Found\r\nLocation: /in\r\ncontent-length: 0\r\n\r\n").await;
    assert!(outage(&answer).contains("\"/in\""), "{answer:?}");
}

/// Such a reply ends the original, three of them all of its workers (cyrus-sasl #821).
#[tokio::test]
async fn a_malformed_reply_is_an_outage() {
    let endless = [&b"HTTP/1.1 200 OK\r\n"[..], &b"a: b\r\n".repeat(10_000)].concat();
    let long = [&b"HTTP/1.1 200 OK\r\na: "[..], &[b'x'; 100_000], b"\r\n\r\n"].concat();
    let replies: [&[u8]; 9] = [
        b"",
        b"\r\n",
        b"200 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 \xff\r\n\r\n",
        &endless,
        &long,
    ];
    for reply in replies {
        let answer = ask(reply).await;
        assert!(outage(&answer).contains("127.0.0.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn no_truncation_and_no_mutation_of_a_refusal_is_a_yes() {
    let reply = b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n";
    for end in 0..reply.len() {
        let answer = ask(&reply[..end]).await;
        assert!(!matches!(answer, Answer::Accepted(_)), "{end}");
    }
    for at in 0..reply.len() {
        let mut changed = reply.to_vec();
        changed[at] ^= 0x15;
        let answer = ask(&changed).await;
        assert!(!matches!(answer, Answer::Accepted(_)), "{at}");
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read() {
    let server = server([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[b'x'; 300_000]].concat()).await;
    let backend = HttpForm::open(settings(server.port)).unwrap();
    for connections in 1..3 {
        assert!(matches!(ask_of(&backend, b"s3cret").await, Answer::Accepted(_)));
        assert_eq!(server.accepted.load(Ordering::Relaxed), connections, "it is not kept");
    }
}

/// The original cuts such a form at 1,000 bytes and sends memory behind it.
#[tokio::test]
async fn a_long_password_is_sent_whole() {
    let mut server = server(FINE.to_vec()).await;
    let backend = HttpForm::open(settings(server.port)).unwrap();
    assert!(matches!(ask_of(&backend, &[0xff; 8000]).await, Answer::Accepted(_)));
    let heard = server.heard.recv().await.unwrap();
    assert!(heard.ends_with(&format!("u=alice&p={}&r=example.org", "%FF".repeat(8000))));
}

#[tokio::test]
async fn a_closed_connection_is_replaced_and_a_lost_request_is_not_repeated() {
    let mut server = server(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nclose".to_vec()).await;
    let backend = HttpForm::open(settings(server.port)).unwrap();
    for _ in 0..3 {
        assert!(matches!(ask_of(&backend, b"s3cret").await, Answer::Accepted(_)));
    }
    drop(backend);
    server.heard.close();
    let mut requests = 0;
    while server.heard.recv().await.is_some() {
        requests += 1;
    }
    assert_eq!(requests, 3);
    assert!(matches!(ask(b"").await, Answer::Unavailable(_)), "it may have been counted");
}

#[tokio::test]
async fn a_silent_or_missing_server_is_an_outage_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hasty = Settings { timeout: Duration::from_millis(100), ..settings(port) };
    let answer = ask_of(&HttpForm::open(hasty).unwrap(), b"x").await;
    assert!(outage(&answer).contains("no answer within"));
    drop(listener);
    let answer = ask_of(&HttpForm::open(settings(port)).unwrap(), b"x").await;
    assert!(outage(&answer).contains("cannot connect"), "{answer:?}");
}

#[test]
fn without_a_target_it_does_not_start() {
    let nobody = Settings { target: None, ..settings(1) };
    assert!(HttpForm::open(nobody).err().unwrap().to_string().contains("httpform.url"));
}
