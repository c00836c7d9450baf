//! Client of a saslauthd socket: one connection, one request, one reply.
//!
//! Asks as libsasl2 asks: the login split at its last `@`, service `smtp`, the
//! whole request in one write. The client's address goes along as a fifth field
//! in the same write: our authd and unreleased Cyrus take it, Cyrus 2.1.28
//! drains it unread (observed), so it is safe with both.
//!
//! Unlike libsasl2 it keeps a deadline, and tells "no" from "could not ask":
//! whatever is neither `OK` nor `NO` is *unavailable*.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::auth::{Accepted, Answer, HandoverToken};
use crate::base::{Identity, IdentityError, Origin, Printable, Reason, ReasonCode, Secret};
use crate::wire::saslauthd::{ClientAddress, Credentials, MAX_REPLY_BYTES, ReplyWord, ServerReply};

/// Pause before connecting again to a socket whose backlog is full.
const RETRY: Duration = Duration::from_millis(10);

/// A saslauthd to ask. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Saslauthd {
    socket: PathBuf,
    limit: Duration,
    /// Whether a handover token is asked for with each acceptance.
    wants_token: bool,
}

impl Saslauthd {
    /// A client of the socket file at `socket` (with `/mux`), with `limit` for a whole request.
    #[must_use]
    pub fn new(socket: PathBuf, limit: Duration) -> Self {
        Self { socket, limit, wants_token: false }
    }

    /// The same, asking for a handover token with each acceptance (see
    /// [`HandoverToken`]). A saslauthd that knows nothing of them gives none.
    #[must_use]
    pub fn asking_for_tokens(self) -> Self {
        Self { wants_token: true, ..self }
    }

    /// Asks whether `password` is right for `claim`.
    pub async fn verify(
        &self,
        claim: &Claim,
        password: &Secret,
        service: &str,
        origin: Origin,
    ) -> Answer {
        let credentials = Credentials {
            login: claim.login.as_bytes(),
            password,
            service: service.as_bytes(),
            realm: claim.realm.as_bytes(),
            client: origin.client.map(|ip| ClientAddress { ip, port: origin.port.unwrap_or(0) }),
            wants_token: self.wants_token,
        };
        let Ok(request) = credentials.encode() else {
            let detail = "the login and password are longer than the saslauthd protocol can carry";
            return Answer::Rejected(Reason::new(ReasonCode::Malformed, detail));
        };
        match timeout(self.limit, self.exchange(&request)).await {
            Ok(Ok(reply)) => self.sort(&reply),
            Ok(Err(error)) => self.unavailable(&error),
            Err(_) => Answer::Unavailable(Reason::new(
                ReasonCode::Timeout,
                format!("{} did not answer within {:?}", self.socket.display(), self.limit),
            )),
        }
    }

    async fn exchange(&self, request: &[u8]) -> io::Result<ServerReply> {
        let mut stream = self.connect().await?;
        // A server that refuses early closes its reading side; its reply is there all the same.
        let _ = stream.write_all(request).await;
        // All the room at once, and wiped: a token may be in it.
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 + MAX_REPLY_BYTES));
        loop {
            if let Some(reply) = ServerReply::decode(&bytes).map_err(io::Error::other)? {
                return Ok(reply);
            }
            let room = (2 + MAX_REPLY_BYTES - bytes.len()) as u64;
            if (&mut stream).take(room).read_buf(&mut *bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                // The backlog is full (32 of the original's): it will have room, or time is up.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY).await,
                connected => return connected,
            }
        }
    }

    fn sort(&self, reply: &ServerReply) -> Answer {
        match reply.word {
            ReplyWord::Ok => {
                let token = reply.token().filter(|_| self.wants_token);
                let handover = token.and_then(HandoverToken::new);
                Answer::Accepted(Accepted { handover, ..Accepted::default() })
            }
            ReplyWord::No => {
                let words = Printable(&reply.reason).to_string();
                Answer::Rejected(Reason::new(ReasonCode::BadCredentials, words))
            }
            // libsasl2 takes it for a wrong password; a peer that speaks
            // something else has said nothing about a password.
            ReplyWord::Other => Answer::Unavailable(Reason::new(
                ReasonCode::BackendDown,
                format!("{} said neither OK nor NO: is it a saslauthd?", self.socket.display()),
            )),
        }
    }

    fn unavailable(&self, error: &io::Error) -> Answer {
        let socket = self.socket.display();
        let detail = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                format!("{socket} closed the connection without an answer: see its own log")
            }
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("nobody listens on {socket} ({error}): start the authentication daemon")
            }
            io::ErrorKind::PermissionDenied => {
                format!("no permission for {socket}: add the gate's user to the socket's group")
            }
            _ => format!("cannot ask {socket}: {error}"),
        };
        Answer::Unavailable(Reason::new(ReasonCode::BackendDown, detail))
    }
}

/// Who is claimed, as libsasl2 would put it on the wire: the realm is what the
/// client itself said, not a default of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    login: String,
    realm: String,
}

impl Claim {
    /// Splits a name at its last `@`. Also gives the identity, for the log and
    /// the session; without an `@` its realm is empty.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn new(name: &str) -> Result<(Self, Identity), IdentityError> {
        let identity = Identity::parse(name, "")?;
        // The claim goes out as it was typed: a foreign daemon may tell realms apart by case.
        let (login, realm) = name.rsplit_once('@').unwrap_or((name, ""));
        let claim = Self { login: login.to_owned(), realm: realm.to_owned() };
        Ok((claim, identity))
    }
}
