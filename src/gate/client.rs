//! The client's side of a session: a connection, what was read ahead, what is yet to be written.
//!
//! Replies are collected and written in one go when nothing more is to be done
//! from what the client already sent (RFC 2920 §3.2). What is read is wiped as
//! it is taken: AUTH lines pass through here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use zeroize::Zeroize;

use super::roster::Traffic;
use super::settings::Settings;
use super::stream::Stream;
use crate::ops::metrics::gate::GATE;
use crate::tls::{HandshakeError, Negotiated, ServerStream, ServerTls};
use crate::wire::proxy::Ends;
use crate::wire::smtp::input::{Front, Input};
use crate::wire::smtp::line::{Line, LineSplitter, MAX_AUTH_LINE_BYTES};
use crate::wire::smtp::reply::Reply;

/// One client's connection.
pub(super) struct Client {
    stream: Stream<ServerStream<TcpStream>>,
    /// The far end.
    pub(super) peer: SocketAddr,
    /// Our end.
    pub(super) local: SocketAddr,
    /// What TLS agreed on, once it is on.
    pub(super) tls: Option<Negotiated>,
    /// What it has sent and been sent.
    pub(super) traffic: Arc<Traffic>,
    /// Read and not yet consumed.
    input: Input,
    output: Vec<u8>,
    /// When the first of the replies in `output` was queued.
    held_since: Option<Instant>,
    /// How long a client may take to read what we write.
    write_limit: Duration,
    /// A write failed half-way: what is written now would be read as something else.
    is_cut: bool,
    splitter: LineSplitter,
}

/// Why no line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLine {
    /// The client closed or reset the connection.
    Gone,
    /// Nothing for too long.
    Late,
    /// A TLS record where a command was due: the client takes this for a port
    /// that starts with TLS, or sends an alert about our greeting.
    Encrypted,
}

/// Replies held back before they are written in any case.
const MAX_HELD_BYTES: usize = 16 * 1024;
/// For how long.
const MAX_HOLD: Duration = Duration::from_millis(500);
/// What a session keeps of a buffer while it waits: enough for most commands.
const IDLE_BYTES: usize = 512;
/// Room for one read while commands are exchanged.
const COMMAND_READ_BYTES: usize = 2048;

impl Client {
    /// A connection between `ends`, with the bounds of `settings`.
    pub(super) fn new(stream: TcpStream, ends: Ends, settings: &Settings) -> Self {
        Self {
            stream: Stream::Plain(stream),
            peer: ends.source,
            local: ends.destination,
            tls: None,
            traffic: Arc::default(),
            input: Input::new(),
            output: Vec::new(),
            held_since: None,
            write_limit: settings.timeouts.command,
            is_cut: false,
            splitter: LineSplitter::new(settings.limits.line_bytes.max(MAX_AUTH_LINE_BYTES)),
        }
    }

    /// The server side of a handshake. Nothing read in clear survives it: the
    /// new connection starts with empty buffers (RFC 3207 §4.2).
    pub(super) async fn encrypt(self, tls: &ServerTls) -> Result<Self, HandshakeError> {
        let Stream::Plain(plain) = self.stream else {
            return Err(HandshakeError::Protocol("TLS is active already".to_owned()));
        };
        let (stream, negotiated) = tls.accept(plain).await?;
        Ok(Self {
            tls: Some(negotiated),
            stream: Stream::Tls(Box::new(stream)),
            input: Input::new(),
            output: Vec::new(),
            held_since: None,
            is_cut: false,
            ..self
        })
    }

    /// True if something was read that nobody took yet.
    pub(super) fn has_buffered_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Queues a reply.
    pub(super) async fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        reply.write(&mut self.output);
        GATE.replied(reply.code);
        self.held_since.get_or_insert_with(Instant::now);
        if self.output.len() > MAX_HELD_BYTES {
            return self.flush().await;
        }
        Ok(())
    }

    /// Writes what is queued. Fails for good: a client that does not read, or is gone, is lost.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.is_cut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.output.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        // Whoever drops this half-way leaves half a reply behind.
        self.is_cut = true;
        let written = timeout(self.write_limit, write).await;
        self.traffic.wrote(self.output.len());
        self.output.clear();
        self.held_since = None;
        self.is_cut = !matches!(written, Ok(Ok(())));
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Waits for `work` of somebody else. Replies that were held back long enough
    /// go out meanwhile: a client must not wait for a slow backend to hear of
    /// what a fast one did.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let Some(since) = self.held_since else { return work.await };
        let left = MAX_HOLD.saturating_sub(since.elapsed());
        if let Ok(done) = timeout(left, &mut work).await {
            return done;
        }
        // A client that is gone shows at the next read.
        let (_, done) = tokio::join!(self.flush(), work);
        done
    }

    /// A line that is already here.
    pub(super) fn buffered_line(&mut self) -> Option<Line> {
        self.splitter.next(&mut self.input)
    }

    /// The line that [`buffered_line`](Self::buffered_line) would take next,
    /// without its CRLF; `None` if none is complete.
    pub(super) fn peek_line(&self) -> Option<&[u8]> {
        let end = memchr::memchr(b'\n', &self.input)?;
        self.input[..end].strip_suffix(b"\r")
    }

    /// The next line; flushes before it waits.
    pub(super) async fn line(&mut self, limit: Duration) -> Result<Line, NoLine> {
        if let Some(line) = self.buffered_line() {
            return Ok(line);
        }
        timeout(limit, self.wait_for_line()).await.unwrap_or(Err(NoLine::Late))
    }

    async fn wait_for_line(&mut self) -> Result<Line, NoLine> {
        self.flush().await.map_err(|_| NoLine::Gone)?;
        self.slim();
        let mut arrived = [0; COMMAND_READ_BYTES];
        loop {
            match self.stream.read(&mut arrived).await {
                Ok(count) if count > 0 => {
                    self.traffic.read(count);
                    self.input.extend_from_slice(&arrived[..count]);
                    // A read that is given up has put nothing here.
                    arrived[..count].zeroize();
                }
                _ => return Err(NoLine::Gone),
            }
            if self.is_at_tls_record() {
                return Err(NoLine::Encrypted);
            }
            if let Some(line) = self.buffered_line() {
                return Ok(line);
            }
        }
    }

    /// An alert or a handshake of SSL 3.0 or later (RFC 8446 §5.1). No line of SMTP
    /// begins so, and waiting for the end of one could take until the time limit.
    fn is_at_tls_record(&self) -> bool {
        matches!(self.stream, Stream::Plain(_))
            && matches!(self.input.get(..2), Some([0x15 | 0x16, 0x03]))
    }

    /// Hands over everything that was read ahead: the beginning of the content.
    pub(super) fn take_buffered(&mut self) -> Vec<u8> {
        let count = self.input.len();
        self.input.take(count)
    }

    /// Puts back what stands behind the content: the next commands (RFC 2920 §3.1).
    pub(super) fn put_back(&mut self, rest: &[u8]) {
        self.input.extend_from_slice(rest);
    }

    /// Reads content into the room that `block` has left.
    pub(super) async fn read_content(&mut self, block: &mut Vec<u8>) -> Result<(), NoLine> {
        match self.stream.read_buf(block).await {
            Ok(count) if count > 0 => {
                self.traffic.read(count);
                Ok(())
            }
            _ => Err(NoLine::Gone),
        }
    }

    /// Gives large buffers back: a session is idle most of its life.
    pub(super) fn slim(&mut self) {
        if self.input.is_empty() && self.input.capacity() > IDLE_BYTES {
            self.input = Input::new();
        }
        self.output.shrink_to(IDLE_BYTES);
    }

    /// Writes what is queued and closes in order. Reads on for a moment, so that the
    /// last reply is not lost to a reset caused by input we never read.
    pub(super) async fn close(mut self) {
        const LINGER: Duration = Duration::from_secs(2);
        let farewell = async {
            self.flush().await?;
            self.stream.shutdown().await
        };
        if !matches!(timeout(LINGER, farewell).await, Ok(Ok(()))) {
            return;
        }
        let drain = async {
            let mut sink = [0; 4096];
            let mut left = 64;
            while left > 0 && matches!(self.stream.read(&mut sink).await, Ok(count) if count > 0) {
                left -= 1;
            }
        };
        let _ = timeout(LINGER, drain).await;
    }
}
