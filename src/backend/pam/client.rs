//! The side of authd: asks workers of `saslgate-pam`, over kept connections.
//!
//! One connection is one worker, so `pam.max_workers` bounds the connections and
//! `pam.max_waiting` those who wait for one, dealt out among the services by
//! `shares`; one deadline, `pam.timeout`, covers all of it. Whatever breaks, hangs or is not there is *unavailable*;
//! a denial only ever comes from a module (table in `outcome`). A request is
//! sent again only where the worker said that it did not read it: a module
//! must not count one wrong password twice.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

use super::helper::Helper;
use super::ipc::{self, Ask, Report, Response};
use super::outcome::{Meaning, meaning};
use super::service::AllowList;
use super::settings::{Settings, UserForm};
use super::shares::{Admission, Seat, Shares};
use crate::auth::{Accepted, Answer, Attempt, Grounds, Revision, Verification, Verify};
use crate::backend::watched_files::WatchedFiles;
use crate::base::{Identity, IdentityError, Printable, Reason, ReasonCode};

/// Which `saslgate-pam` is asked.
pub enum Reach {
    /// One that runs as a service of its own, at this socket.
    Running(PathBuf),
    /// Our own child; it ends with the [`Pam`].
    Own(Helper),
}

/// Verifies passwords through libpam, in worker processes. The backend `pam`.
pub struct Pam {
    settings: Settings,
    services: AllowList,
    reach: Reach,
    shares: Arc<Shares>,
    rests_on: WatchedFiles,
    next_id: AtomicU64,
    idle: Mutex<Vec<Idle>>,
}

/// A connection without a request; the last one in is the first one out, so
/// that what is not needed grows old.
struct Idle {
    connection: UnixStream,
    since: Instant,
}

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
enum Outage {
    #[error(
        "too many requests wait for a PAM worker already (service {0}): \
         its modules are slow, or pam.max_workers is too low"
    )]
    QueueFull(String),
    #[error(
        "no PAM worker became free in time (service {0}): \
         its modules are slow, or pam.max_workers is too low"
    )]
    NoneFree(String),
    #[error("PAM did not answer in time (service {0}): does a module wait for somebody?")]
    Timeout(String),
    #[error("cannot reach saslgate-pam: {0}: is it running?")]
    Unreachable(io::Error),
    #[error(
        "the PAM worker broke off (service {0}): \
         a module crashed, or this user may not connect; see the log of saslgate-pam"
    )]
    BrokenOff(String),
    #[error("saslgate-pam speaks another protocol: restart it after an upgrade")]
    Malformed,
    #[error("saslgate-pam is stopping")]
    Stopping,
}

impl Outage {
    fn code(&self) -> ReasonCode {
        match self {
            Self::QueueFull(_) => ReasonCode::Busy,
            // The backlog is full: others ask as well.
            Self::Unreachable(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ReasonCode::Busy
            }
            Self::NoneFree(_) | Self::Timeout(_) => ReasonCode::Timeout,
            Self::Unreachable(_) | Self::BrokenOff(_) | Self::Malformed => ReasonCode::BackendDown,
            Self::Stopping => ReasonCode::Stopping,
        }
    }
}

impl From<Outage> for Answer {
    fn from(outage: Outage) -> Self {
        Self::Unavailable(Reason::new(outage.code(), outage.to_string()))
    }
}

impl Verify for Pam {
    fn name(&self) -> &'static str {
        "pam"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        let Some(service) = self.services.select(attempt.service.as_str()) else {
            let asked = Printable::from(attempt.service.as_str());
            let detail = format!("the PAM service \"{asked}\" is not in pam.services");
            let reason = Reason::new(ReasonCode::ServiceNotAllowed, detail);
            return Verification::Ready(Answer::Rejected(reason));
        };
        let service = service.to_owned();
        Verification::Pending(Box::pin(async move { self.judge(&attempt, service).await }))
    }

    fn revision(&self) -> Revision {
        self.rests_on.revision()
    }

    // authd cannot read what is in the files: a change of one is a change for all.
    fn grounds(&self, _: &Identity) -> Option<Grounds> {
        None
    }

    // Modules may ask a server, or a file that nobody has named to us.
    fn may_change_unseen(&self) -> bool {
        true
    }
}

impl Pam {
    /// A client of the `saslgate-pam` that `reach` names. Connects when the
    /// first request comes: the other side may start later, or again.
    #[must_use]
    pub fn connect(settings: Settings, reach: Reach) -> Arc<Self> {
        Arc::new(Self {
            services: AllowList::new(&settings.services),
            shares: Shares::new(&settings.services, settings.max_workers, settings.max_waiting),
            rests_on: WatchedFiles::new(settings.rests_on()),
            next_id: AtomicU64::new(1),
            idle: Mutex::new(Vec::new()),
            reach,
            settings,
        })
    }

    async fn judge(&self, attempt: &Attempt, service: String) -> Answer {
        let deadline = Instant::now() + self.settings.timeout;
        let asked = match self.admit(&service, deadline).await {
            Err(outage) => return outage.into(),
            Ok(_seat) => {
                let asking = self.ask(attempt, &service, deadline);
                timeout_at(deadline, asking)
                    .await
                    .unwrap_or_else(|_| Err(Outage::Timeout(service.clone())))
            }
        };
        match asked {
            Ok(Response::Report(report)) => self.interpret(attempt, &service, &report),
            Ok(Response::Refused { .. }) => {
                let detail =
                    format!("saslgate-pam does not serve {service}: its pam.services differ");
                Answer::Rejected(Reason::new(ReasonCode::ServiceNotAllowed, detail))
            }
            Ok(Response::Goodbye) => Outage::Stopping.into(),
            Err(outage) => outage.into(),
        }
    }

    /// Waits for the right to use a worker, unless too many wait already.
    async fn admit(&self, service: &str, deadline: Instant) -> Result<Seat, Outage> {
        match self.shares.admit(service) {
            Admission::Seated(seat) => Ok(seat),
            Admission::Queued(queued) => timeout_at(deadline, queued.turn())
                .await
                .ok()
                .flatten()
                .ok_or_else(|| Outage::NoneFree(service.to_owned())),
            Admission::Full => Err(Outage::QueueFull(service.to_owned())),
        }
    }

    /// Asks one worker. One that leaves says goodbye: then another is asked, a new one.
    async fn ask(
        &self,
        attempt: &Attempt,
        service: &str,
        deadline: Instant,
    ) -> Result<Response, Outage> {
        let ask = Ask {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            budget: deadline.saturating_duration_since(Instant::now()),
            service: service.to_owned(),
            user: self.settings.user.name_of(attempt),
            rhost: attempt.origin.client,
            ruser: attempt.identity.to_string(),
        };
        let frame = ipc::encode_request(&ask, &attempt.password).map_err(|_| Outage::Malformed)?;
        if let Some(connection) = self.take_idle() {
            let exchanged = exchange(connection, &frame, &ask).await?;
            if exchanged.response != Response::Goodbye {
                return Ok(self.keep(exchanged));
            }
        }
        let connection = self.open().await?;
        Ok(self.keep(exchange(connection, &frame, &ask).await?))
    }

    async fn open(&self) -> Result<UnixStream, Outage> {
        let address: &Path = match &self.reach {
            Reach::Running(path) => path,
            Reach::Own(helper) => helper.address(),
        };
        UnixStream::connect(address).await.map_err(Outage::Unreachable)
    }

    fn take_idle(&self) -> Option<UnixStream> {
        let mut idle = self.idle();
        while let Some(Idle { connection, .. }) = idle.pop() {
            if is_quiet(&connection) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection whose worker stays, and drops the ones that grew old.
    fn keep(&self, exchanged: Exchanged) -> Response {
        let now = Instant::now();
        let mut idle = self.idle();
        let limit = self.settings.idle_timeout;
        let old = idle.iter().take_while(|entry| now.duration_since(entry.since) > limit).count();
        idle.drain(..old);
        idle.extend(exchanged.connection.map(|connection| Idle { connection, since: now }));
        exchanged.response
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // A list of connections is whole whatever happened to who held it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interpret(&self, attempt: &Attempt, service: &str, report: &Report) -> Answer {
        match meaning(report.stage, report.code) {
            Meaning::Accepted => self.accept(attempt, &report.user),
            Meaning::Unknown => Answer::Unknown,
            Meaning::Rejected(code) => Answer::Rejected(Reason::new(code, detail(service, report))),
            Meaning::Unavailable => {
                Answer::Unavailable(Reason::new(ReasonCode::BackendDown, detail(service, report)))
            }
        }
    }

    /// Accepts who was claimed, or whom a module made of it.
    fn accept(&self, attempt: &Attempt, name: &str) -> Answer {
        if name == self.settings.user.name_of(attempt) {
            return Answer::Accepted(Accepted::default());
        }
        match self.identity_of(name, attempt.identity.realm()) {
            Ok(user) => Answer::Accepted(Accepted { user: Some(user), ..Accepted::default() }),
            Err(error) => {
                let name = Printable::from(name);
                let detail = format!("a PAM module renamed the user to \"{name}\": {error}");
                Answer::Unavailable(Reason::new(ReasonCode::BackendDown, detail))
            }
        }
    }

    fn identity_of(&self, name: &str, realm: &str) -> Result<Identity, IdentityError> {
        match self.settings.user {
            UserForm::Local => Identity::new(name, realm),
            UserForm::Full | UserForm::Claimed => Identity::parse(name, realm),
        }
    }
}

/// True if the other side has neither left nor said anything: a worker speaks
/// unasked only to say goodbye. Asks the kernel, not the reactor, which may not
/// have heard of it yet.
fn is_quiet(connection: &UnixStream) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(connection.as_raw_fd(), &mut [0; 1], flags) == Err(Errno::EAGAIN)
}

/// What came of one request.
struct Exchanged {
    response: Response,
    /// The connection, if its worker stays.
    connection: Option<UnixStream>,
}

/// Sends a request and reads what comes back.
async fn exchange(
    mut connection: UnixStream,
    frame: &[u8],
    ask: &Ask,
) -> Result<Exchanged, Outage> {
    // A worker that has just left refuses the bytes, and its goodbye is still there to be read.
    let written = connection.write_all(frame).await;
    let (response, is_quiet) = read_response(&mut connection, &ask.service).await?;
    let (id, stays) = match &response {
        Response::Goodbye => return Ok(Exchanged { response, connection: None }),
        Response::Refused { id } => (*id, is_quiet),
        Response::Report(report) => (report.id, is_quiet && !report.is_last),
    };
    if id != ask.id || written.is_err() {
        // Another's answer, or an answer to what was not sent: never to be believed.
        return Err(Outage::Malformed);
    }
    Ok(Exchanged { response, connection: stays.then_some(connection) })
}

/// Reads one response; tells whether nothing follows it. A goodbye may.
async fn read_response(
    connection: &mut UnixStream,
    service: &str,
) -> Result<(Response, bool), Outage> {
    let mut bytes = Vec::with_capacity(512);
    loop {
        let body = ipc::body_len(&bytes, ipc::MAX_RESPONSE).map_err(|_| Outage::Malformed)?;
        if let Some((frame, rest)) = body.and_then(|len| bytes.split_at_checked(ipc::HEADER + len))
        {
            let response = ipc::decode_response(&frame[ipc::HEADER..]);
            return Ok((response.map_err(|_| Outage::Malformed)?, rest.is_empty()));
        }
        let read = connection.read_buf(&mut bytes).await;
        if !read.is_ok_and(|count| count > 0) {
            return Err(Outage::BrokenOff(service.to_owned()));
        }
    }
}

/// The line for the log: stage, libpam's text, service, and what modules said.
fn detail(service: &str, report: &Report) -> String {
    let Report { stage, text, messages, .. } = report;
    let mut line = format!(
        "PAM {} error: {} (service {service})",
        stage.name(),
        Printable::from(text.as_str())
    );
    for message in messages {
        line.push_str("; module: ");
        line.push_str(&Printable::from(message.as_str()).to_string());
    }
    line
}
