//! One connection to the backend MTA: opened with a permit, and used by one session at a time.
//!
//! What sendmail needs (facts a front must know): nothing is sent behind EHLO
//! or DATA before its reply, EHLO is said once (twice with STARTTLS), VERB and
//! friends are never sent, replies outside 200 to 599 are a protocol error,
//! TCP_NODELAY is on. RSET makes a used connection clean again. MAIL, RCPT and
//! DATA may be queued and go out in one write (RFC 2920); their replies are
//! read one by one.
//!
//! Errors are about the backend and are always 4xx for the client.

mod introduce;

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use self::introduce::Told;
use super::introduction::Introduction;
use super::session::Permit;
use super::settings::{BackendSettings, BackendTls, PoolSettings, Timeouts};
use super::stream::Stream;
use crate::base::Secret;
use crate::tls::{ClientStream, ClientTls, Negotiated, negotiated_client};
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::reply::{Reply, ReplyParser};

/// How to reach the backend; shared by all sessions and the probe.
pub struct Route {
    /// Where and how.
    pub settings: BackendSettings,
    /// Trust for STARTTLS; present if the settings ask for it.
    pub tls: Option<ClientTls>,
    /// What we call ourselves in EHLO.
    pub hostname: String,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Name and password of the gate itself, where it has an account there.
    pub account: Option<(String, Secret)>,
}

/// What went wrong with the backend. Every one is temporary for the client.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// No connection.
    #[error("cannot connect to the backend {address}: {source}")]
    Connect {
        /// As configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It hung.
    #[error("the backend did not {what} within {limit:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// It closed or reset the connection.
    #[error("the backend closed the connection while we waited for {what}")]
    Lost {
        /// What was waited for.
        what: &'static str,
    },
    /// It answered that it goes away (421), or does not serve us (554 greeting, EHLO refused).
    #[error("the backend answered \"{0}\"")]
    Refused(String, Reply),
    /// It does not speak SMTP as it should.
    #[error("the backend broke the protocol: {0}")]
    Protocol(String),
    /// STARTTLS is required towards it and does not work.
    #[error("no verified TLS to the backend: {0}")]
    Tls(String),
    /// It cannot be told who the client is, or does not believe it.
    #[error("the backend cannot be told whose mail it is: {0}")]
    Identity(String),
}

impl RelayError {
    /// What the client hears: 451, with the backend's own words where it had any; 421
    /// where only a new session can help.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Refused(_, reply) if reply.code == 421 => reply.with_code(451),
            Self::Refused(..) | Self::Connect { .. } | Self::Tls(_) => {
                Reply::new(451, "4.4.1", "The mail server behind this gate is not available")
            }
            Self::Identity(_) => {
                let text =
                    "Your login cannot be passed on to the mail server: connect and try again";
                Reply::new(421, "4.7.0", text)
            }
            Self::Timeout { .. } => {
                Reply::new(451, "4.4.2", "The mail server behind this gate does not answer")
            }
            Self::Lost { .. } => {
                Reply::new(451, "4.4.2", "The mail server behind this gate was lost")
            }
            Self::Protocol(_) => {
                Reply::new(451, "4.3.0", "The mail server behind this gate is not usable")
            }
        }
    }
}

/// An open connection to the backend, past EHLO.
pub struct Relay {
    pub(super) stream: Stream<ClientStream<TcpStream>>,
    input: Vec<u8>,
    /// Queued and not yet sent.
    output: Vec<u8>,
    /// Commands sent whose replies have not been read.
    awaited: usize,
    parser: ReplyParser,
    route: Arc<Route>,
    capabilities: Capabilities,
    tls: Option<Negotiated>,
    /// MAIL was sent and no message completed since: RSET comes first.
    is_dirty: bool,
    /// [`clean`](Self::clean) has just looked whether it speaks unasked.
    is_heard: bool,
    used: Instant,
    opened: Instant,
    /// Messages it has carried.
    messages: u32,
    /// What the backend was told of the client.
    told: Told,
}

/// Room for most replies in one read.
const REPLY_BYTES: usize = 512;
/// A connection that was idle longer than this is checked with RSET before it is
/// used: a backend that vanished without a word shows in no other way.
const FRESH: Duration = Duration::from_secs(2);

impl Relay {
    /// Connects, greets, encrypts if the settings say so, and introduces `client`.
    ///
    /// # Errors
    /// [`RelayError`]; nothing was sent that could be a message.
    pub async fn open(
        route: Arc<Route>,
        _permit: Permit,
        client: Introduction,
    ) -> Result<Self, RelayError> {
        client.check(route.identity())?;
        Self::dial(route, Some(&client)).await
    }

    /// Asks the backend what it can do, and leaves.
    ///
    /// # Errors
    /// [`RelayError`].
    pub async fn probe(route: Arc<Route>) -> Result<Capabilities, RelayError> {
        let relay = Self::dial(route, None).await?;
        let capabilities = relay.capabilities.clone();
        relay.quit().await;
        Ok(capabilities)
    }

    async fn dial(route: Arc<Route>, client: Option<&Introduction>) -> Result<Self, RelayError> {
        let limit = route.timeouts.connect;
        let late = RelayError::Timeout { what: "accept a connection and greet", limit };
        timeout(limit, Self::connect_and_greet(route, client)).await.unwrap_or(Err(late))
    }

    async fn connect_and_greet(
        route: Arc<Route>,
        client: Option<&Introduction>,
    ) -> Result<Self, RelayError> {
        let address = &route.settings.address;
        let stream = TcpStream::connect(address.as_str())
            .await
            .map_err(|source| RelayError::Connect { address: address.clone(), source })?;
        // sendmail answers in small segments: without it each costs a delayed ACK.
        stream
            .set_nodelay(true)
            .map_err(|source| RelayError::Connect { address: address.clone(), source })?;
        let mut relay = Self {
            stream: Stream::Plain(stream),
            input: Vec::with_capacity(REPLY_BYTES),
            output: Vec::new(),
            awaited: 0,
            parser: ReplyParser::new(),
            route,
            capabilities: Capabilities::default(),
            tls: None,
            is_dirty: false,
            is_heard: false,
            used: Instant::now(),
            opened: Instant::now(),
            messages: 0,
            told: Told::Nobody,
        };
        relay.send_header(client).await?;
        let greeting = relay.read_reply("greet").await?;
        if greeting.code != 220 {
            return Err(refused(greeting));
        }
        let route = Arc::clone(&relay.route);
        relay.hello(&route.hostname).await?;
        if route.settings.tls == BackendTls::Starttls {
            relay = relay.encrypt().await?;
        }
        relay.introduce(client).await?;
        Ok(relay)
    }

    async fn hello(&mut self, name: &str) -> Result<(), RelayError> {
        let line = format!("EHLO {name}\r\n");
        let reply = self.exchange(line.as_bytes(), "answer EHLO").await?;
        if reply.code != 250 {
            return Err(refused(reply));
        }
        self.capabilities = Capabilities::parse(&reply);
        Ok(())
    }

    /// STARTTLS: what the backend said in clear is forgotten (RFC 3207 §4.2).
    async fn encrypt(mut self) -> Result<Self, RelayError> {
        let missing = |text: &str| RelayError::Tls(text.to_owned());
        let Some(tls) = self.route.tls.clone() else {
            return Err(missing("no trust anchors are loaded"));
        };
        if !self.capabilities.starttls {
            return Err(missing("STARTTLS is not offered"));
        }
        let reply = self.exchange(b"STARTTLS\r\n", "answer STARTTLS").await?;
        if reply.code != 220 {
            return Err(refused(reply));
        }
        if !self.input.is_empty() {
            return Err(missing("plaintext was injected behind the STARTTLS reply"));
        }
        let Stream::Plain(plain) = self.stream else {
            return Err(missing("TLS is active already"));
        };
        let limit = self.route.timeouts.handshake;
        let late = RelayError::Timeout { what: "complete the TLS handshake", limit };
        let stream = timeout(limit, tls.connect(plain))
            .await
            .map_err(|_| late)?
            .map_err(|error| missing(&error.to_string()))?;
        self.tls = Some(negotiated_client(&stream));
        self.stream = Stream::Tls(Box::new(stream));
        let route = Arc::clone(&self.route);
        self.hello(&route.hostname).await?;
        Ok(self)
    }

    /// What TLS agreed on with the backend, where it is on.
    #[must_use]
    pub fn tls(&self) -> Option<&Negotiated> {
        self.tls.as_ref()
    }

    /// What the backend announced on this connection.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Makes sure no transaction is open and the connection is alive.
    ///
    /// # Errors
    /// [`RelayError`]: the connection is of no use any more.
    pub async fn clean(&mut self) -> Result<(), RelayError> {
        if self.glance().await == Glance::Left {
            return Err(RelayError::Lost { what: "the next command" });
        }
        if !self.is_dirty && self.input.is_empty() && self.used.elapsed() < FRESH {
            self.is_heard = true;
            return Ok(());
        }
        // RSET waits for nothing but the backend itself, unlike MAIL and RCPT.
        let limit = self.route.timeouts.reply.min(self.route.timeouts.connect);
        let reply = self.command(b"RSET\r\n", limit).await?;
        if !reply.is_positive() {
            return Err(refused(reply));
        }
        self.is_dirty = false;
        Ok(())
    }

    /// True if the next session may use it: nothing is outstanding, the backend
    /// takes it for nobody's, and it is neither too old nor used too often.
    pub(super) fn may_be_kept(&self, settings: &PoolSettings) -> bool {
        !self.is_bound()
            && self.output.is_empty()
            && self.awaited == 0
            && self.input.is_empty()
            && self.messages < settings.messages
            && self.opened.elapsed() < settings.age
    }

    /// Puts a command line behind what is to be sent; [`answer`](Self::answer) sends it.
    pub fn queue(&mut self, line: &[u8]) {
        self.is_dirty = true;
        self.output.extend_from_slice(line);
    }

    /// As [`queue`](Self::queue), MAIL: tells there whose it is, where that is the way.
    pub(super) fn queue_mail(&mut self, line: &[u8], client: &Introduction) {
        let bare = line.strip_suffix(b"\r\n").filter(|_| self.tells_each_time());
        let Some(bare) = bare else { return self.queue(line) };
        self.is_dirty = true;
        self.output.extend_from_slice(bare);
        self.output.extend_from_slice(client.auth_parameter().as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Sends what is queued, and reads the reply to the first command that has
    /// none. A 421 is an error: the backend is leaving.
    ///
    /// # Errors
    /// [`RelayError`]: the connection is of no use any more.
    pub async fn answer(&mut self, limit: Duration) -> Result<Reply, RelayError> {
        let late = RelayError::Timeout { what: "answer", limit };
        let reply = timeout(limit, self.send_and_read()).await.unwrap_or(Err(late))?;
        self.used = Instant::now();
        if reply.code == 421 { Err(refused(reply)) } else { Ok(reply) }
    }

    async fn send_and_read(&mut self) -> Result<Reply, RelayError> {
        if !self.output.is_empty() {
            if self.awaited == 0 && !std::mem::take(&mut self.is_heard) {
                self.hear_first("answer").await?;
            }
            self.awaited += memchr::memchr_iter(b'\n', &self.output).count();
            // A backend that closed may have said why: its last words outrank the broken pipe.
            let _ = write_all(&mut self.stream, &self.output).await;
            self.output.clear();
        }
        self.awaited = self.awaited.saturating_sub(1);
        self.read_reply("answer").await
    }

    /// Sends one command line and reads its reply. A 421 is an error: the backend is leaving.
    ///
    /// # Errors
    /// [`RelayError`]: the connection is of no use any more.
    pub async fn command(&mut self, line: &[u8], limit: Duration) -> Result<Reply, RelayError> {
        self.is_dirty = true;
        let late = RelayError::Timeout { what: "answer", limit };
        let reply = timeout(limit, self.exchange(line, "answer")).await.unwrap_or(Err(late))?;
        self.used = Instant::now();
        if reply.code == 421 { Err(refused(reply)) } else { Ok(reply) }
    }

    /// Reads the reply to the content.
    ///
    /// # Errors
    /// [`RelayError`]: whether the message was taken is unknown.
    pub async fn content_reply(&mut self, limit: Duration) -> Result<Reply, RelayError> {
        let late = RelayError::Timeout { what: "answer the message", limit };
        let wait = self.read_reply("the reply to the message");
        let reply = timeout(limit, wait).await.unwrap_or(Err(late))?;
        self.is_dirty = false;
        self.used = Instant::now();
        self.messages += 1;
        if reply.code == 421 { Err(refused(reply)) } else { Ok(reply) }
    }

    /// Writes content, and stops as soon as the backend speaks (sendmail may
    /// answer 421 in the middle and close) or goes. `None`: all is written.
    pub async fn write_content(&mut self, mut content: &[u8]) -> Option<Result<Reply, RelayError>> {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        while !content.is_empty() && self.input.is_empty() {
            tokio::select! {
                biased;
                read = reader.read_buf(&mut self.input) => {
                    if !matches!(read, Ok(count) if count > 0) {
                        return Some(Err(RelayError::Lost { what: "content" }));
                    }
                }
                written = writer.write(content) => match written {
                    Ok(count) if count > 0 => content = &content[count..],
                    // The reply that explains it may still be in the receive buffer.
                    _ => break,
                },
            }
        }
        if content.is_empty() {
            // What TLS still holds must go; flushing comes first, since a reply
            // that comes when all is gone is not an early one.
            tokio::select! {
                biased;
                flushed = writer.flush() => if flushed.is_ok() {
                    return None;
                },
                _ = reader.read_buf(&mut self.input) => {}
            }
        }
        Some(self.read_reply("content").await)
    }

    /// Says QUIT and closes, without waiting long.
    pub async fn quit(mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        let _ = timeout(PATIENCE, self.exchange(b"QUIT\r\n", "answer QUIT")).await;
        let _ = timeout(PATIENCE, self.stream.shutdown()).await;
    }

    async fn exchange(&mut self, line: &[u8], what: &'static str) -> Result<Reply, RelayError> {
        self.hear_first(what).await?;
        // A backend that closed may have said why: its last words outrank the broken pipe.
        let _ = write_all(&mut self.stream, line).await;
        self.read_reply(what).await
    }

    /// Input nobody asked for would be taken for the reply to the next command.
    async fn hear_first(&mut self, what: &'static str) -> Result<(), RelayError> {
        self.glance().await;
        if self.input.is_empty() {
            return Ok(());
        }
        let early = self.read_reply(what).await?;
        Err(if early.code == 421 {
            refused(early)
        } else {
            RelayError::Protocol("it spoke out of turn".to_owned())
        })
    }

    /// What the backend says without being asked, or that it left; `None` if it is quiet.
    pub(super) async fn unasked(&mut self) -> Option<Result<Reply, RelayError>> {
        match self.glance().await {
            Glance::Left => Some(Err(RelayError::Lost { what: "content" })),
            Glance::Present if self.input.is_empty() => None,
            Glance::Present => Some(self.read_reply("content").await),
        }
    }

    /// Takes in what has arrived. The kernel is asked as well as the reactor,
    /// which may not have heard of it yet.
    async fn glance(&mut self) -> Glance {
        let until = Instant::now() + UNHEARD;
        loop {
            let is_unheard = self.has_arrived() && Instant::now() < until;
            tokio::select! {
                biased;
                read = self.stream.read_buf(&mut self.input) => return match read {
                    Ok(count) if count > 0 => Glance::Present,
                    _ => Glance::Left,
                },
                // Taken in by now, it may have been nothing for us: TLS sends records without text.
                () = tokio::time::sleep(STEP), if is_unheard => {}
                () = std::future::ready(()), if !is_unheard => return Glance::Present,
            }
        }
    }

    /// True if bytes, the end or an error wait in the socket.
    fn has_arrived(&self) -> bool {
        let socket = match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        let peeked = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn read_reply(&mut self, what: &'static str) -> Result<Reply, RelayError> {
        loop {
            if let Some(reply) = self.parser.feed(&mut self.input) {
                return reply.map_err(|error| RelayError::Protocol(error.to_string()));
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(count) if count > 0 => {}
                _ => return Err(RelayError::Lost { what }),
            }
        }
    }
}

/// How long the reactor has to tell us of what the kernel has already.
const UNHEARD: Duration = Duration::from_millis(50);
const STEP: Duration = Duration::from_millis(1);

/// What a look at the connection shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Glance {
    /// The backend is there, as far as can be seen.
    Present,
    /// It has closed or reset the connection.
    Left,
}

async fn write_all(stream: &mut Stream<ClientStream<TcpStream>>, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

fn refused(reply: Reply) -> RelayError {
    RelayError::Refused(reply.first_line(), reply)
}
