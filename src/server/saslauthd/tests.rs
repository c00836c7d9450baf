//! The server with backends that are told what to say, over real sockets.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;

use super::*;
use crate::auth::{Accepted, Answer, Attempt, TagKey, Verification, Verify};
use crate::base::{Reason, ReasonCode, Secret};
use crate::listen::UnixSocketOptions;
use crate::wire::saslauthd::Credentials;

/// Knows alice with `s3cret`, is down for `outage`, takes its time for `slow...`.
struct Fake {
    name: &'static str,
    asked: AtomicUsize,
}

impl Verify for Fake {
    fn name(&self) -> &'static str {
        self.name
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let user = attempt.identity.user();
        let answer = if user == "outage" {
            Answer::Unavailable(Reason::new(ReasonCode::BackendDown, "it is off"))
        } else if attempt.password.expose() == b"s3cret" {
            Answer::Accepted(Accepted::default())
        } else {
            Answer::Rejected(ReasonCode::BadCredentials.into())
        };
        if user.starts_with("slow") {
            return Verification::Pending(Box::pin(async {
                tokio::task::yield_now().await;
                answer
            }));
        }
        Verification::Ready(answer)
    }
}

struct Service {
    _dir: tempfile::TempDir,
    path: PathBuf,
    fake: Arc<Fake>,
    server: Arc<Server>,
    stop: CancellationToken,
    tasks: TaskTracker,
    serving: JoinHandle<io::Result<()>>,
}

fn settings(path: &Path) -> Settings {
    Settings {
        socket: path.to_owned(),
        socket_mode: 0o600,
        socket_owner: None,
        directory_mode: 0o700,
        allowed_users: Vec::new(),
        listeners: Vec::new(),
        max_connections: 64,
        max_connections_per_uid: 64,
        request_timeout: Duration::from_secs(60),
        unavailable: UnavailableReply::Close,
    }
}

impl Service {
    fn start(backend: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let fake = Arc::new(Fake { name: backend, asked: AtomicUsize::new(0) });
        let judging = crate::auth::Settings::for_tests(&[backend]);
        let backends = [Arc::clone(&fake) as Arc<dyn Verify>];
        let authenticator = Authenticator::new(&backends, &judging, TagKey::for_tests()).unwrap();
        let server = Server::new(&settings(&path), None, Guests::Everybody, authenticator);
        let options = UnixSocketOptions { mode: 0o600, owner: None, directory_mode: 0o700 };
        let socket = UnixSocket::bind(&path, &options).unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let serving = tokio::spawn(Arc::clone(&server).serve(socket, stop.clone(), tasks.clone()));
        Self { _dir: dir, path, fake, server, stop, tasks, serving }
    }

    /// Sends `parts`, one write each, and reads until the server closes.
    async fn exchange(&self, parts: Vec<Vec<u8>>) -> Vec<u8> {
        let path = self.path.clone();
        let talk = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            for part in parts {
                stream.write_all(&part).unwrap();
                std::thread::yield_now();
            }
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            reply
        };
        tokio::task::spawn_blocking(talk).await.unwrap()
    }

    async fn ask(&self, login: &str, password: &str) -> Vec<u8> {
        self.exchange(vec![request(login, password)]).await
    }

    fn asked(&self) -> usize {
        self.fake.asked.load(Ordering::Relaxed)
    }
}

fn request(login: &str, password: &str) -> Vec<u8> {
    let password = Secret::copied_from(password.as_bytes()).unwrap();
    let credentials = Credentials {
        login: login.as_bytes(),
        password: &password,
        service: b"smtp",
        realm: b"",
        client: None,
        wants_token: false,
    };
    credentials.encode().unwrap().to_vec()
}

const OK: &[u8] = b"\0\x02OK";
const AUTH_ERROR: &[u8] = b"\0\x11NO PAM auth error";

#[tokio::test]
async fn answers_at_once_and_later() {
    let service = Service::start("pam");
    assert_eq!(service.ask("alice", "s3cret").await, OK);
    assert_eq!(service.ask("alice", "wrong").await, AUTH_ERROR);
    assert_eq!(service.ask("slow", "s3cret").await, OK);
    assert_eq!(service.ask("slow", "wrong").await, AUTH_ERROR);
    assert_eq!(service.asked(), 4);
}

#[tokio::test]
async fn gives_no_reason_without_pam() {
    let service = Service::start("store");
    assert_eq!(service.ask("alice", "wrong").await, b"\0\x02NO");
}

#[tokio::test]
async fn closes_on_an_outage_or_says_no_as_reconfigured() {
    let service = Service::start("pam");
    assert_eq!(service.ask("outage", "x").await, b"");
    let changed = Settings { unavailable: UnavailableReply::No, ..settings(&service.path) };
    service.server.reconfigure(&changed, Guests::Everybody);
    assert_eq!(service.ask("outage", "x").await, b"\0\x02NO");
}

#[tokio::test]
async fn asks_nobody_for_a_peer_that_is_not_allowed() {
    let service = Service::start("store");
    let us = nix::unistd::geteuid().as_raw();
    let only = |uids: &[u32]| Guests::Only(uids.to_vec());
    service.server.reconfigure(&settings(&service.path), only(&[us + 1]));
    assert_eq!(service.ask("alice", "s3cret").await, b"\0\x02NO");
    assert_eq!(service.asked(), 0);
    service.server.reconfigure(&settings(&service.path), only(&[us + 1, us]));
    assert_eq!(service.ask("alice", "s3cret").await, OK);
}

#[tokio::test]
async fn reads_a_request_in_any_pieces() {
    let service = Service::start("pam");
    let whole = request("alice", "s3cret");
    let bytes = whole.iter().map(|byte| vec![*byte]).collect();
    assert_eq!(service.exchange(bytes).await, OK);
    for at in 1..whole.len() {
        let (head, tail) = whole.split_at(at);
        assert_eq!(service.exchange(vec![head.to_vec(), tail.to_vec()]).await, OK);
    }
}

#[tokio::test]
async fn refuses_what_can_be_nobody_without_asking() {
    let service = Service::start("pam");
    assert_eq!(service.ask("", "x").await, b"\0\x16NO NULL login received");
    assert_eq!(service.ask("@ex.org", "x").await, b"\0\x16NO NULL login received");
    assert_eq!(service.ask("alice", "").await, b"\0\x19NO NULL password received");
    assert_eq!(service.ask("al\nice", "x").await, b"\0\x1dNO invalid character received");
    assert_eq!(service.ask(" alice", "x").await, b"\0\x19NO invalid login received");
    assert_eq!(service.exchange(vec![vec![0xff; 3000]]).await, b"\0\x03NO ");
    assert_eq!(service.asked(), 0);
}

#[tokio::test]
async fn lets_a_refused_peer_finish_writing_field_by_field() {
    let service = Service::start("pam");
    let mut stream = UnixStream::connect(&service.path).unwrap();
    let reply = tokio::task::spawn_blocking(move || {
        stream.write_all(b"\x04\x01").unwrap();
        let mut reply = [0; 5];
        stream.read_exact(&mut reply).unwrap();
        for _ in 0..16 {
            stream.write_all(&[b'x'; 512]).unwrap();
        }
        reply
    });
    assert_eq!(&reply.await.unwrap(), b"\0\x03NO ");
}

#[tokio::test]
async fn says_nothing_to_half_a_request() {
    let service = Service::start("pam");
    let whole = request("alice", "s3cret");
    for length in [0, 1, 7, whole.len() - 1] {
        let (path, part) = (service.path.clone(), whole[..length].to_vec());
        let talk = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(&part).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            reply
        };
        assert_eq!(tokio::task::spawn_blocking(talk).await.unwrap(), b"");
    }
    assert_eq!(service.asked(), 0);
}

#[tokio::test]
async fn cuts_off_a_peer_that_never_finishes() {
    let service = Service::start("pam");
    let hasty = Settings { request_timeout: Duration::from_millis(50), ..settings(&service.path) };
    service.server.reconfigure(&hasty, Guests::Everybody);
    assert_eq!(service.exchange(vec![b"\0\x05al".to_vec()]).await, b"");
    assert_eq!(service.exchange(vec![]).await, b"");
}

#[tokio::test]
async fn finishes_what_it_began_when_it_is_stopped() {
    let service = Service::start("pam");
    let mut stream = UnixStream::connect(&service.path).unwrap();
    let whole = request("slow", "s3cret");
    stream.write_all(&whole[..9]).unwrap();
    while service.server.slots.free() > 62 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    service.stop.cancel();
    service.serving.await.unwrap().unwrap();
    stream.write_all(&whole[9..]).unwrap();
    service.tasks.close();
    service.tasks.wait().await;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, OK);
}

/// Logs what happens while the server answers `parts`, as the journal would get it.
fn logged(parts: Vec<Vec<u8>>) -> String {
    use crate::ops::log::{Level, capture};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    capture::journal(Level::Debug, || {
        runtime.block_on(async {
            let service = Service::start("pam");
            let hasty =
                Settings { request_timeout: Duration::from_millis(50), ..settings(&service.path) };
            service.server.reconfigure(&hasty, Guests::Everybody);
            service.exchange(parts).await;
            service.stop.cancel();
            service.tasks.close();
            service.tasks.wait().await;
        });
    })
}

#[test]
fn records_each_request_once_and_never_its_password() {
    let whole = |login| vec![request(login, "s3cret")];
    let cases = [
        (whole("alice"), "auth success: [user=alice] [service=smtp] [realm=host.test] [mech=pam]"),
        (whole("slow"), "auth success: [user=slow]"),
        (vec![request("alice", "hunter2")], "[code=bad-credentials]"),
        (whole("outage"), "<4>auth unavailable: [user=outage]"),
        (whole(""), "[reason=NULL login received] [remote=] [verdict=rejected] [code=empty-login]"),
        (whole("al\nice"), "[user=al\\x0aice]"),
        (vec![request("alice", "s3cret")[..20].to_vec()], "no complete request came within 0.05 s"),
        (vec![b"\0\x05alice\xff\xff".to_vec()], "the password is announced with 65535 bytes"),
    ];
    for (parts, expected) in cases {
        let lines = logged(parts);
        assert_eq!(lines.matches("[verdict=").count(), 1, "{lines}");
        assert!(lines.contains(expected), "{expected} is not in {lines}");
        assert!(!lines.contains("s3cret") && !lines.contains("hunter2"), "{lines}");
    }
}

#[test]
fn records_nothing_where_nothing_was_asked() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lines = crate::ops::log::capture::journal(crate::ops::log::Level::Debug, || {
        runtime.block_on(async {
            let service = Service::start("pam");
            drop(UnixStream::connect(&service.path).unwrap());
            service.ask("alice", "s3cret").await;
        });
    });
    assert_eq!(lines.matches("[verdict=").count(), 1, "{lines}");
}
