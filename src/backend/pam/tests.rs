//! The client against a worker that the test plays, byte by byte.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ipc::{self, Ask, Report, Response};
use super::outcome::Stage;
use super::{Pam, Reach, Settings, UserForm};
use crate::auth::{Accepted, Answer, Attempt, RealmSource, Service, Verification, Verify};
use crate::base::{Identity, Origin, ReasonCode, Secret};

/// What the played worker does with one connection or request.
enum Act {
    /// Takes the next connection.
    Accept,
    /// Reads a request and answers success, with this `is_last`.
    Serve { is_last: bool },
    /// Reads a request and answers with these bytes.
    Answer(Vec<u8>),
    /// Reads a request.
    Read,
    /// Reads a request and closes.
    ReadAndHangUp,
    /// Says goodbye without reading and closes.
    Goodbye,
    /// Says goodbye once a request has come, without reading it, and closes.
    GoodbyeToRequest,
    /// Closes.
    HangUp,
}

fn settings(dir: &Path) -> Settings {
    Settings {
        socket: Some(dir.join("pam")),
        services: vec!["smtp".to_owned()],
        user: UserForm::Local,
        timeout: Duration::from_secs(30),
        max_workers: 1,
        max_waiting: 0,
        idle_timeout: Duration::from_secs(60),
        requests_per_worker: 100,
        service_dir: None,
        watched_files: Vec::new(),
    }
}

/// A client, and a thread that does `acts`. Each act is reported when done.
struct Play {
    dir: tempfile::TempDir,
    pam: Arc<Pam>,
    worker: JoinHandle<Vec<(Ask, Secret)>>,
    done: Receiver<()>,
}

impl Play {
    fn new(acts: Vec<Act>) -> Self {
        Self::with(acts, |_| {})
    }

    fn with(acts: Vec<Act>, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        change(&mut settings);
        let socket = settings.socket.clone().unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let (tell, done) = channel();
        let worker = std::thread::spawn(move || {
            let mut connection = None;
            let mut seen = Vec::new();
            for act in acts {
                perform(act, &listener, &mut connection, &mut seen);
                // A test that does not wait for acts has dropped the other end.
                let _ = tell.send(());
            }
            seen
        });
        Self { pam: Pam::connect(settings, Reach::Running(socket)), dir, worker, done }
    }

    async fn login(&self) -> Answer {
        login(&self.pam, "s3cret").await
    }

    /// Waits until the next `count` acts are done.
    fn wait_for(&self, count: usize) {
        (0..count).for_each(|_| self.done.recv_timeout(Duration::from_secs(60)).unwrap());
    }

    /// The requests that were read, when all acts are done.
    fn seen(self) -> Vec<(Ask, Secret)> {
        let seen = self.worker.join().unwrap();
        drop(self.dir);
        seen
    }
}

fn perform(
    act: Act,
    listener: &UnixListener,
    connection: &mut Option<UnixStream>,
    seen: &mut Vec<(Ask, Secret)>,
) {
    if matches!(act, Act::Accept) {
        *connection = Some(listener.accept().unwrap().0);
        return;
    }
    let mut stream = connection.take().expect("an accepted connection");
    let goodbye = ipc::encode_response(&Response::Goodbye).unwrap();
    match act {
        Act::Accept | Act::HangUp => {}
        Act::Serve { is_last } => {
            seen.push(read_request(&mut stream));
            let id = seen.last().unwrap().0.id;
            stream.write_all(&success(id, is_last)).unwrap();
            if !is_last {
                *connection = Some(stream);
            }
        }
        Act::Answer(bytes) => {
            seen.push(read_request(&mut stream));
            stream.write_all(&bytes).unwrap();
            *connection = Some(stream);
        }
        Act::Read => {
            seen.push(read_request(&mut stream));
            *connection = Some(stream);
        }
        Act::ReadAndHangUp => seen.push(read_request(&mut stream)),
        Act::Goodbye => stream.write_all(&goodbye).unwrap(),
        Act::GoodbyeToRequest => {
            wait_readable(&stream);
            stream.write_all(&goodbye).unwrap();
        }
    }
}

fn wait_readable(stream: &UnixStream) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::from(60_000u16)), Ok(1));
}

fn read_request(stream: &mut UnixStream) -> (Ask, Secret) {
    let mut head = [0; ipc::HEADER];
    stream.read_exact(&mut head).unwrap();
    let len = ipc::body_len(&head, ipc::MAX_REQUEST).unwrap().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    ipc::decode_request(&body).unwrap()
}

fn report(id: u64, is_last: bool) -> Response {
    Response::Report(Report {
        id,
        stage: Stage::Account,
        code: 0,
        is_last,
        user: "alice".to_owned(),
        text: "Success".to_owned(),
        messages: Vec::new(),
    })
}

fn success(id: u64, is_last: bool) -> Vec<u8> {
    ipc::encode_response(&report(id, is_last)).unwrap()
}

async fn login(pam: &Arc<Pam>, password: &str) -> Answer {
    let attempt = Arc::new(Attempt {
        realm: RealmSource::Claim,
        identity: Identity::new("alice", "example.org").unwrap(),
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(b"smtp").unwrap(),
        origin: Origin { client: Some("192.0.2.7".parse().unwrap()), port: None, uid: None },
    });
    match Arc::clone(pam).verify(attempt) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

#[track_caller]
fn assert_accepted(answer: &Answer) {
    assert!(matches!(answer, Answer::Accepted(Accepted { user: None, .. })), "{answer:?}");
}

#[track_caller]
fn assert_unavailable(answer: &Answer, code: ReasonCode) {
    let Answer::Unavailable(reason) = answer else { panic!("{answer:?} is no outage") };
    assert_eq!(reason.code, code, "{reason}");
}

#[tokio::test]
async fn asks_what_it_was_asked_over_one_connection() {
    let serve = || Act::Serve { is_last: false };
    let play = Play::new(vec![Act::Accept, serve(), serve(), serve()]);
    for _ in 0..3 {
        assert_accepted(&play.login().await);
    }
    let seen = play.seen();
    let (ask, password) = &seen[0];
    assert_eq!((ask.service.as_str(), ask.user.as_str()), ("smtp", "alice"));
    assert_eq!(ask.ruser, "alice@example.org");
    assert_eq!(ask.rhost, Some("192.0.2.7".parse().unwrap()));
    assert!(ask.budget <= Duration::from_secs(30) && ask.budget > Duration::from_secs(1));
    assert_eq!(password.expose(), b"s3cret");
    assert_ne!(seen[1].0.id, seen[2].0.id);
}

#[tokio::test]
async fn the_full_name_goes_to_pam_if_the_setting_says_so() {
    let acts = vec![Act::Accept, Act::Serve { is_last: false }];
    let play = Play::with(acts, |settings| settings.user = UserForm::Full);
    // The played worker says `alice`: a module has renamed `alice@example.org`.
    let answer = play.login().await;
    let Answer::Accepted(Accepted { user: Some(user), .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(user.to_string(), "alice@example.org");
    assert_eq!(play.seen()[0].0.user, "alice@example.org");
}

#[tokio::test]
async fn a_last_answer_ends_the_connection() {
    let last = || Act::Serve { is_last: true };
    let play = Play::new(vec![Act::Accept, last(), Act::Accept, last()]);
    assert_accepted(&play.login().await);
    assert_accepted(&play.login().await);
    assert_eq!(play.seen().len(), 2);
}

#[tokio::test]
async fn a_worker_that_left_is_noticed_before_it_is_asked() {
    for leave in [Act::HangUp, Act::Goodbye] {
        let play = Play::new(vec![
            Act::Accept,
            Act::Serve { is_last: false },
            leave,
            Act::Accept,
            Act::Serve { is_last: false },
        ]);
        assert_accepted(&play.login().await);
        play.wait_for(3);
        assert_accepted(&play.login().await);
        assert_eq!(play.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_worker_that_leaves_as_it_is_asked_is_replaced_by_another() {
    let play = Play::new(vec![
        Act::Accept,
        Act::Serve { is_last: false },
        Act::GoodbyeToRequest,
        Act::Accept,
        Act::Serve { is_last: false },
    ]);
    assert_accepted(&play.login().await);
    assert_accepted(&play.login().await);
    assert_eq!(play.seen().len(), 2);
}

#[tokio::test]
async fn two_goodbyes_are_an_outage() {
    let play = Play::new(vec![Act::Accept, Act::GoodbyeToRequest]);
    assert_unavailable(&play.login().await, ReasonCode::Stopping);
}

#[tokio::test]
async fn a_request_that_was_read_is_never_sent_twice() {
    let play = Play::new(vec![Act::Accept, Act::Serve { is_last: false }, Act::ReadAndHangUp]);
    assert_accepted(&play.login().await);
    assert_unavailable(&play.login().await, ReasonCode::BackendDown);
    assert_eq!(play.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_to_another_request_is_not_believed() {
    let play = Play::new(vec![Act::Accept, Act::Answer(success(4711, false))]);
    assert_unavailable(&play.login().await, ReasonCode::BackendDown);
}

#[tokio::test]
async fn a_second_answer_behind_the_first_is_never_read() {
    let twice = [success(1, false), success(2, false)].concat();
    let play = Play::new(vec![
        Act::Accept,
        Act::Answer(twice),
        Act::Accept,
        Act::Serve { is_last: false },
    ]);
    assert_accepted(&play.login().await);
    assert_accepted(&play.login().await);
    assert_eq!(play.seen().len(), 2, "the second login asked somebody");
}

#[tokio::test]
async fn junk_and_cut_answers_are_outages() {
    let good = success(1, false);
    for bytes in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"\xff\xff\xff\xff", &good[..good.len() - 1]] {
        let play = Play::new(vec![Act::Accept, Act::Answer(bytes.to_vec()), Act::HangUp]);
        assert_unavailable(&play.login().await, ReasonCode::BackendDown);
    }
}

#[tokio::test]
async fn every_split_of_an_answer_is_the_same_answer() {
    let bytes = success(1, false);
    for end in 0..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let socket = settings.socket.clone().unwrap();
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let pam = Pam::connect(settings, Reach::Running(socket));
        let asked = tokio::spawn(async move { login(&pam, "s3cret").await });
        let (mut stream, _) = listener.accept().await.unwrap();
        use tokio::io::AsyncWriteExt;
        stream.write_all(&bytes[..end]).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(&bytes[end..]).await.unwrap();
        assert_accepted(&asked.await.unwrap());
    }
}

#[tokio::test]
async fn nobody_listening_is_an_outage_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pam = Pam::connect(settings(dir.path()), Reach::Running(dir.path().join("nothing")));
    assert_unavailable(&login(&pam, "s3cret").await, ReasonCode::BackendDown);
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_full_queue_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { timeout: Duration::from_millis(300), ..settings(dir.path()) };
    let socket = settings.socket.clone().unwrap();
    let _silent = UnixListener::bind(&socket).unwrap();
    let pam = Pam::connect(settings, Reach::Running(socket));
    let first = tokio::spawn({
        let pam = Arc::clone(&pam);
        async move { login(&pam, "s3cret").await }
    });
    tokio::task::yield_now().await;
    assert_unavailable(&login(&pam, "s3cret").await, ReasonCode::Busy);
    assert_unavailable(&first.await.unwrap(), ReasonCode::Timeout);
}

#[tokio::test]
async fn who_waits_too_long_for_a_worker_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        Settings { timeout: Duration::from_millis(300), max_waiting: 1, ..settings(dir.path()) };
    let socket = settings.socket.clone().unwrap();
    let _silent = UnixListener::bind(&socket).unwrap();
    let pam = Pam::connect(settings, Reach::Running(socket));
    let ask = || {
        let pam = Arc::clone(&pam);
        tokio::spawn(async move { login(&pam, "s3cret").await })
    };
    let (first, second) = (ask(), ask());
    assert_unavailable(&first.await.unwrap(), ReasonCode::Timeout);
    assert_unavailable(&second.await.unwrap(), ReasonCode::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_leaves_no_answer_behind() {
    let play = Play::new(vec![Act::Accept, Act::Read, Act::Accept, Act::Serve { is_last: false }]);
    let pam = Arc::clone(&play.pam);
    let given_up = tokio::spawn(async move { login(&pam, "s3cret").await });
    play.wait_for(2);
    given_up.abort();
    assert!(given_up.await.is_err());
    assert_accepted(&play.login().await);
    assert_eq!(play.seen().len(), 2);
}
