//! One connection: read a request, have it judged, answer, record, close.
//!
//! [`begin`] goes as far as it can without waiting, inside the accept loop;
//! [`Session::finish`] does the rest as a task. Both go through the same steps:
//! bytes arrive ([`Session::look`]), become [`Work`], and the work is done
//! ([`Session::advance`]) or leaves a [`Rest`].

use std::future::Future;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;
use zeroize::Zeroizing;

use super::wording::{self, Dialect};
use super::{Manners, Server};
use crate::auth::{Attempt, Authentication, Outcome, Pending, Service, Source, Verdict};
use crate::base::{Identity, Origin, Reason, ReasonCode, Secret};
use crate::listen::Permit;
use crate::ops::event::auth::{self as event, Facts, Proof};
use crate::sys::local_socket;
use crate::wire::saslauthd::{Refusal, Reply, Request, RequestBuffer, accepted_with};

/// How long, and for how many bytes, a peer that was refused in the middle of
/// its request may go on sending before it is cut off. Closing at once would
/// kill a client that writes field by field (Exim) with a broken pipe before
/// it reads the reply.
const DRAIN_TIME: Duration = Duration::from_secs(5);
const DRAIN_BYTES: usize = 128 * 1024;

/// Serves `stream` (non-blocking) as far as it goes without waiting: `None`
/// when it is done, else what is left to do.
pub(super) fn begin(
    server: &Arc<Server>,
    stream: UnixStream,
    permit: Permit,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let uid = local_socket::peer(&stream).map(|peer| peer.uid);
    let session = Session {
        server: Arc::clone(server),
        manners: server.manners.load_full(),
        origin: Origin { uid, ..Origin::default() },
        started: Instant::now(),
    };
    let mut buffer = RequestBuffer::new();
    let rest = match session.take(&mut buffer, |room| (&stream).read(room)) {
        Some(work) => session.advance(&stream, work)?,
        None => Rest::Read(buffer),
    };
    // Only what waits is counted: a client that is answered at once holds nothing.
    let permit = match uid {
        Some(uid) => match server.slots.hold(permit, uid) {
            Some(permit) => permit,
            None => {
                session.crowded_out(&stream, &rest, uid);
                return None;
            }
        },
        None => permit,
    };
    Some(async move {
        session.finish(stream, rest).await;
        drop(permit);
    })
}

/// What is known of a connection.
struct Session {
    server: Arc<Server>,
    manners: Arc<Manners>,
    origin: Origin,
    started: Instant,
}

/// What is to be done with what arrived.
enum Work {
    Judge(Claim, Authentication),
    Refuse(Refused),
    /// Nothing was sent, so nothing happened (a probe, or a client that thought better).
    Ignore,
}

/// A refusal before any backend was asked.
struct Refused {
    claim: Claim,
    /// `None` closes without a reply.
    reply: Option<Reply>,
    reason: Reason,
    after: After,
}

/// What comes after a refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// The whole request has been read, or nobody is there to read a reply.
    Close,
    /// The peer may still be sending.
    Drain,
}

/// What is known of the claim, for the event.
struct Claim {
    user: Vec<u8>,
    realm: Vec<u8>,
    service: Vec<u8>,
    origin: Origin,
    /// For whom a handover token is wanted, if one is.
    token_for: Option<Identity>,
}

/// What is left to do with a connection.
enum Rest {
    Read(RequestBuffer),
    Wait(Claim, Pending<Outcome>),
    Drain,
}

impl Session {
    /// Takes what has arrived, with a `read` that does not wait; `None` while bytes are missing.
    fn take(
        &self,
        buffer: &mut RequestBuffer,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Option<Work> {
        loop {
            match read(buffer.spare()) {
                Ok(0) => return Some(self.cut_short(buffer, "the peer closed")),
                Ok(count) => buffer.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Some(self.cut_short(buffer, "the connection broke")),
            }
            if let Some(work) = self.look(buffer) {
                return Some(work);
            }
        }
    }

    /// What the buffer holds; `None` while bytes are missing.
    fn look(&self, buffer: &RequestBuffer) -> Option<Work> {
        match buffer.decode() {
            Ok(None) => None,
            Ok(Some(request)) => Some(self.judge(request)),
            Err(refusal) => Some(Work::Refuse(self.malformed(buffer, refusal))),
        }
    }

    /// Hands a whole request to the authenticator, if it can be somebody's.
    fn judge(&self, request: Request<'_>) -> Work {
        let origin = Origin {
            client: request.client.map(|client| client.ip),
            port: request.client.map(|client| client.port),
            ..self.origin
        };
        if !self.manners.guests.include(self.origin.uid) {
            return self.unwelcome(&request, origin);
        }
        let claim = |user: &[u8], realm: &[u8]| Claim {
            user: user.to_vec(),
            realm: realm.to_vec(),
            service: request.service.to_vec(),
            origin,
            token_for: None,
        };
        let (identity, realm) =
            match self.server.authenticator.identify(request.login, request.realm) {
                Ok(identified) => identified,
                Err(error) => {
                    let (reply, code) = wording::nobody(error);
                    let reason = Reason::new(code, error.to_string());
                    let claim = claim(request.login, request.realm);
                    return Work::refuse(claim, reply, reason, After::Close);
                }
            };
        let mut claim = claim(identity.user().as_bytes(), identity.realm().as_bytes());
        claim.token_for = request.wants_token.then(|| identity.clone());
        let Some(service) = Service::from_wire(request.service) else {
            let reason = Reason::new(ReasonCode::Malformed, "the service is too long or no UTF-8");
            return Work::refuse(claim, wording::BAD_SERVICE, reason, After::Close);
        };
        let attempt = Attempt { identity, realm, password: request.password, service, origin };
        Work::Judge(claim, self.server.authenticator.authenticate(attempt, self.server.name()))
    }

    /// The process may not ask here, whatever it asks.
    fn unwelcome(&self, request: &Request<'_>, origin: Origin) -> Work {
        let key = match self.server.name() {
            None => "authd.allowed_users".to_owned(),
            Some(name) => format!("allowed_users of the listener {name}"),
        };
        let uid = origin.uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
        let detail = format!("the peer's uid is {uid}, which is not among {key}");
        let claim = Claim {
            user: request.login.to_vec(),
            realm: request.realm.to_vec(),
            service: request.service.to_vec(),
            origin,
            token_for: None,
        };
        let reason = Reason::new(ReasonCode::PeerNotAllowed, detail);
        Work::refuse(claim, Reply::No, reason, After::Close)
    }

    fn malformed(&self, buffer: &RequestBuffer, refusal: Refusal) -> Refused {
        let (reply, code) = wording::refusal(refusal);
        // A length is refused before its body has come; the others behind a whole request.
        let after = match refusal {
            Refusal::TooLong { .. } => After::Drain,
            _ => After::Close,
        };
        let reason = Reason::new(code, refusal.to_string());
        Refused { claim: self.known(buffer), reply: Some(reply), reason, after }
    }

    /// The request ended before it was whole: no reply, as the original.
    fn cut_short(&self, buffer: &RequestBuffer, how: &str) -> Work {
        if buffer.is_empty() {
            return Work::Ignore;
        }
        self.silence(buffer, format!("{how} before the request was complete"))
    }

    fn silence(&self, buffer: &RequestBuffer, detail: String) -> Work {
        let reason = Reason::new(ReasonCode::Malformed, detail);
        let claim = self.known(buffer);
        Work::Refuse(Refused { claim, reply: None, reason, after: After::Close })
    }

    fn known(&self, buffer: &RequestBuffer) -> Claim {
        let known = buffer.known();
        Claim {
            user: known.login.to_vec(),
            realm: known.realm.to_vec(),
            service: known.service.to_vec(),
            origin: self.origin,
            token_for: None,
        }
    }

    /// Does what can be done without waiting; `None` when the connection can be closed.
    fn advance(&self, stream: &impl AsFd, work: Work) -> Option<Rest> {
        match work {
            Work::Ignore => None,
            Work::Judge(claim, Authentication::Ready(outcome)) => {
                self.conclude(stream, &claim, &outcome);
                None
            }
            Work::Judge(claim, Authentication::Pending(outcome)) => {
                Some(Rest::Wait(claim, outcome))
            }
            Work::Refuse(refused) => {
                answer(stream, refused.reply);
                let facts = refused.claim.facts("", self.started.elapsed());
                event::rejected(&facts, wording::told(refused.reply), &refused.reason);
                (refused.after == After::Drain).then_some(Rest::Drain)
            }
        }
    }

    /// Answers, and records the outcome: the one event of this request.
    fn conclude(&self, stream: &impl AsFd, claim: &Claim, outcome: &Outcome) {
        let has_pam = outcome.chain.as_ref().is_some_and(|chain| chain.asks("pam"));
        let dialect = if has_pam { Dialect::Pam } else { Dialect::Bare };
        let reply = wording::reply(&outcome.verdict, dialect, self.manners.unavailable);
        match self.token(claim, outcome) {
            Some(token) => send(stream, &accepted_with(&token)),
            None => answer(stream, reply),
        }
        let facts = claim.facts(outcome.by, outcome.elapsed);
        let told = wording::told(reply);
        match &outcome.verdict {
            Verdict::Accepted(_) => event::accepted(&facts, proof(outcome.source)),
            Verdict::Rejected(reason) => event::rejected(&facts, told, reason),
            Verdict::Unavailable(reason) => event::unavailable(&facts, told, reason),
        }
    }

    /// The handover token that comes with an acceptance, where one was asked for by a gate.
    fn token(&self, claim: &Claim, outcome: &Outcome) -> Option<Secret> {
        let identity = claim.token_for.as_ref()?;
        // A token that begot tokens would never end.
        let is_fresh = outcome.by != Outcome::HANDOVER;
        let is_accepted = matches!(outcome.verdict, Verdict::Accepted(_));
        (is_accepted && is_fresh)
            .then(|| self.server.authenticator.issue(identity, claim.origin))
            .flatten()
    }

    /// One user of this host must not keep all the others waiting.
    fn crowded_out(&self, stream: &impl AsFd, rest: &Rest, uid: u32) {
        let claim = match rest {
            Rest::Read(buffer) => &self.known(buffer),
            Rest::Wait(claim, _) => claim,
            // It was refused, answered and recorded; just its last bytes are not read out.
            Rest::Drain => return,
        };
        let detail = format!(
            "uid {uid} has as many connections as one may have (authd.max_connections_per_uid)"
        );
        let verdict = Verdict::Unavailable(Reason::new(ReasonCode::Busy, detail));
        let elapsed = self.started.elapsed();
        let outcome = Outcome { verdict, by: "", elapsed, source: Source::Asked, chain: None };
        self.conclude(stream, claim, &outcome);
    }

    /// Does the rest, waiting where it has to.
    async fn finish(self, stream: UnixStream, rest: Rest) {
        if let Rest::Wait(claim, outcome) = rest {
            self.conclude(&stream, &claim, &outcome.await);
            return;
        }
        let stream = match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!("a saslauthd connection was dropped: cannot watch it: {error}");
                return;
            }
        };
        let rest = match rest {
            Rest::Read(buffer) => {
                let work = self.read_on(&stream, buffer).await;
                self.advance(&stream, work)
            }
            rest => Some(rest),
        };
        match rest {
            Some(Rest::Wait(claim, outcome)) => {
                self.conclude(&stream, &claim, &outcome.await);
            }
            Some(Rest::Drain) => drain(&stream).await,
            Some(Rest::Read(_)) | None => {}
        }
    }

    /// Waits for the rest of the request, within the request timeout.
    async fn read_on(&self, stream: &tokio::net::UnixStream, mut buffer: RequestBuffer) -> Work {
        let timeout = self.manners.request_timeout;
        let deadline = tokio::time::Instant::from_std(self.started + timeout);
        loop {
            match tokio::time::timeout_at(deadline, stream.readable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.cut_short(&buffer, "the connection broke"),
                Err(_) => {
                    let seconds = timeout.as_secs_f32();
                    let detail = format!("no complete request came within {seconds} s");
                    return self.silence(&buffer, detail);
                }
            }
            if let Some(work) = self.take(&mut buffer, |room| stream.try_read(room)) {
                return work;
            }
        }
    }
}

impl Work {
    fn refuse(claim: Claim, reply: Reply, reason: Reason, after: After) -> Self {
        Self::Refuse(Refused { claim, reply: Some(reply), reason, after })
    }
}

impl Claim {
    fn facts<'a>(&'a self, mech: &'a str, elapsed: Duration) -> Facts<'a> {
        Facts {
            user: &self.user,
            realm: &self.realm,
            service: &self.service,
            origin: self.origin,
            mech,
            elapsed,
        }
    }
}

fn proof(source: Source) -> Proof {
    match source {
        Source::Asked => Proof::Fresh,
        Source::Remembered => Proof::Cached,
    }
}

/// Writes `reply` at once. It is the first write on the socket and a few
/// bytes, so it fits the socket's buffer, or the peer is gone.
fn answer(stream: &impl AsFd, reply: Option<Reply>) {
    if let Some(reply) = reply {
        send(stream, &reply.encode());
    }
}

fn send(stream: &impl AsFd, bytes: &[u8]) {
    if let Err(error) = SockRef::from(stream).send(bytes) {
        tracing::debug!("a saslauthd client did not wait for its reply: {error}");
    }
}

/// Lets a refused peer finish its writing, within bounds, so that it reads the reply.
async fn drain(stream: &tokio::net::UnixStream) {
    if SockRef::from(stream).shutdown(Shutdown::Write).is_err() {
        return;
    }
    let deadline = tokio::time::Instant::now() + DRAIN_TIME;
    let mut scratch = Zeroizing::new([0; 4096]);
    let mut drained = 0;
    while drained < DRAIN_BYTES {
        let Ok(Ok(())) = tokio::time::timeout_at(deadline, stream.readable()).await else { return };
        match stream.try_read(&mut *scratch) {
            Ok(0) => return,
            Ok(count) => drained += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
