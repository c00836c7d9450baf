//! A client of a saslauthd socket: a password goes out, OK or NO comes back.
//!
//! Sends what libsasl2 would send: the name split at its last `@`, all in one
//! write. The client's address goes along as a fifth field in that same write:
//! our authd logs it and hands it to PAM, and saslauthd 2.1.28 drains it unread
//! (it never waits for it, since it does not know it).
//!
//! `NO` is a wrong password; everything that is neither `OK` nor `NO` (nobody
//! listens, closed without a reply, too late, something else) is an outage.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time;

use crate::auth::{Answer, Exchange, ExchangeContext, Mechanisms, Pending, Response, Step};
use crate::base::{Identity, Origin, Reason, ReasonCode, Secret};
use crate::sasl::{Machine, Mechanism, Next};
use crate::wire::saslauthd::{ClientAddress, Credentials, ReplyWord, ServerReply};

/// Pause before connecting again to a socket whose backlog is full.
const RETRY: Duration = Duration::from_millis(10);

/// A saslauthd socket to ask.
#[derive(Clone)]
pub struct Saslauthd {
    path: Arc<Path>,
    timeout: Duration,
}

impl Saslauthd {
    /// Asks the saslauthd that listens on `path`; an answer takes `timeout` at most.
    #[must_use]
    pub fn new(path: impl AsRef<Path>, timeout: Duration) -> Self {
        Self { path: path.as_ref().into(), timeout }
    }

    /// Asks whether `password` is that of `identity`. Never answers
    /// [`Answer::Unknown`]: the protocol does not tell it from a wrong password.
    pub async fn verify(
        &self,
        identity: &Identity,
        password: &Secret,
        service: &str,
        origin: &Origin,
    ) -> Answer {
        let credentials = Credentials {
            login: identity.user().as_bytes(),
            password,
            service: service.as_bytes(),
            realm: identity.realm().as_bytes(),
            client: origin.client.map(|ip| ClientAddress { ip, port: origin.port.unwrap_or(0) }),
        };
        let request = match credentials.encode() {
            Ok(request) => request,
            Err(error) => {
                return Answer::Rejected(Reason::new(ReasonCode::Malformed, error.to_string()));
            }
        };
        match time::timeout(self.timeout, self.exchange(&request)).await {
            Ok(Ok(reply)) => self.read(&reply),
            Ok(Err(error)) => self.outage(ReasonCode::BackendDown, &explain(&error)),
            Err(_) => {
                let waited = format!("did not answer within {} s", self.timeout.as_secs_f32());
                self.outage(ReasonCode::Timeout, &waited)
            }
        }
    }

    async fn exchange(&self, request: &[u8]) -> io::Result<ServerReply> {
        let mut stream = self.connect().await?;
        stream.write_all(request).await?;
        let mut received = Vec::with_capacity(64);
        loop {
            let reply = ServerReply::decode(&received)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
            // Bounded: a reply is complete at 1,025 bytes whatever its length says.
            if stream.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => time::sleep(RETRY).await,
                connected => return connected,
            }
        }
    }

    fn read(&self, reply: &ServerReply) -> Answer {
        let text = String::from_utf8_lossy(&reply.reason);
        match reply.word {
            ReplyWord::Ok => Answer::Accepted { user: None },
            ReplyWord::No if text.is_empty() => Answer::Rejected(ReasonCode::BadCredentials.into()),
            ReplyWord::No => {
                let detail = format!("saslauthd answered: NO {text}");
                Answer::Rejected(Reason::new(ReasonCode::BadCredentials, detail))
            }
            ReplyWord::Other => self
                .outage(ReasonCode::BackendDown, "answered neither OK nor NO: is it a saslauthd?"),
        }
    }

    fn outage(&self, code: ReasonCode, what: &str) -> Answer {
        Answer::Unavailable(Reason::new(
            code,
            format!("saslauthd on {} {what}", self.path.display()),
        ))
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("is not running ({error}): start saslgate authd, or name the right socket")
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "may not be asked by this user ({error}): see the modes of socket and directory"
            )
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "closed without an answer: it could not ask its own backend, see its log".to_owned()
        }
        _ => format!("failed: {error}"),
    }
}

impl Mechanisms for Saslauthd {
    fn name(&self) -> &'static str {
        "saslauthd"
    }

    fn offered(&self) -> Vec<String> {
        // The protocol carries a password, so mechanisms that show one.
        [Mechanism::Plain, Mechanism::Login].map(|mechanism| mechanism.name().to_owned()).to_vec()
    }

    fn start(&self, mechanism: &str, context: &ExchangeContext) -> Option<Box<dyn Exchange>> {
        let machine = Mechanism::from_name(mechanism)?.start();
        Some(Box::new(Running { saslauthd: self.clone(), machine, context: context.clone() }))
    }
}

/// A PLAIN or LOGIN exchange, run here; its password is what saslauthd gets.
struct Running {
    saslauthd: Saslauthd,
    machine: Machine,
    context: ExchangeContext,
}

impl Exchange for Running {
    fn step(mut self: Box<Self>, response: Option<Response>) -> Pending<(Box<dyn Exchange>, Step)> {
        Box::pin(async move {
            let next = self.machine.step(response.as_ref().map(Response::expose));
            drop(response);
            let step = match next {
                Next::Challenge(text) => Step::Challenge(text),
                Next::Failed(error) => refuse(None, error.code(), error.to_string()),
                Next::Credentials { authzid, authcid, password } => {
                    self.judge(&authzid, &authcid, &password).await
                }
            };
            (self as Box<dyn Exchange>, step)
        })
    }
}

impl Running {
    async fn judge(&self, authzid: &str, authcid: &str, password: &Secret) -> Step {
        // Without a default realm: a name without one is sent without one, and
        // saslauthd fills in its own.
        let identity = match Identity::parse(authcid, "") {
            Ok(identity) => identity,
            Err(error) => return refuse(None, ReasonCode::Malformed, error.to_string()),
        };
        if !authzid.is_empty() && authzid != authcid {
            let detail = format!("asked to act as {authzid}");
            return refuse(Some(identity), ReasonCode::NotAuthorized, detail);
        }
        let ExchangeContext { service, origin, .. } = &self.context;
        let answer = self.saslauthd.verify(&identity, password, service, origin).await;
        Step::Done { identity: Some(identity), answer }
    }
}

fn refuse(identity: Option<Identity>, code: ReasonCode, detail: String) -> Step {
    Step::Done { identity, answer: Answer::Rejected(Reason::new(code, detail)) }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::auth::{Conversation, StepResult, Verdict};

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
        let identity = Identity::parse("alice@ex.org", "").unwrap();
        let password = Secret::copied_from(b"s3cret").unwrap();
        let saslauthd = Saslauthd::new(path, Duration::from_secs(60));
        saslauthd.verify(&identity, &password, "smtp", &client()).await
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
        assert!(matches!(ask(&peer.path).await, Answer::Accepted { user: None }));
        assert_eq!(peer.seen.await.unwrap(), EXPECTED);
    }

    #[tokio::test]
    async fn takes_no_for_a_wrong_password_and_keeps_the_reason_for_the_log() {
        let peer = peer(b"\0\x11NO PAM auth error");
        let Answer::Rejected(reason) = ask(&peer.path).await else { panic!("was to be rejected") };
        assert_eq!(reason.code, ReasonCode::BadCredentials);
        assert_eq!(reason.detail, "saslauthd answered: NO PAM auth error");
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
        assert!(detail.contains(&*path.to_string_lossy()) && detail.contains("is not running"));
    }

    #[tokio::test]
    async fn gives_up_on_a_server_that_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let identity = Identity::new("alice", "").unwrap();
        let password = Secret::copied_from(b"s3cret").unwrap();
        let hasty = Saslauthd::new(&path, Duration::from_millis(50));
        let answer = hasty.verify(&identity, &password, "smtp", &Origin::default()).await;
        assert_eq!(outage(answer).0, ReasonCode::Timeout);
    }

    fn response(bytes: &[u8]) -> Option<Response> {
        Some(Response::new(Zeroizing::new(bytes.to_vec())))
    }

    fn conversation(path: &Path, mechanism: &str) -> Conversation {
        let mechanisms: Arc<dyn Mechanisms> =
            Arc::new(Saslauthd::new(path, Duration::from_secs(60)));
        let context = ExchangeContext { service: "smtp", origin: client(), is_encrypted: true };
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
        let saslauthd = Saslauthd::new("/nonexistent/mux", Duration::from_secs(1));
        assert_eq!(saslauthd.offered(), ["PLAIN", "LOGIN"]);
        let context = ExchangeContext { service: "smtp", origin: client(), is_encrypted: true };
        assert!(saslauthd.start("CRAM-MD5", &context).is_none());
    }
}
