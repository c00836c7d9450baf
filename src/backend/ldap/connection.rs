//! One connection to a server: opened, made private, asked one thing at a time.
//!
//! Has no deadlines of its own: `failover` cuts off what takes too long, and a
//! connection that was cut off is dropped with what it still had to say.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use zeroize::Zeroizing;

use super::trouble::Trouble;
use crate::tls::{ClientStream, ClientTls};
use crate::wire::ldap::{
    Address, Entry, Message, Outcome, Request, Response, ResultCode, frame_bytes,
};

/// Largest message that is read. We ask for one attribute at most, of one entry.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Messages of one answer at most: a server may send references to others, and entries.
const MESSAGES: usize = 64;
/// Read at once.
const CHUNK_BYTES: usize = 4096;
/// Where slapd has its socket on Debian and on Fedora.
const USUAL_SOCKETS: &[&str] =
    &["/run/slapd/ldapi", "/run/ldapi", "/var/run/slapd/ldapi", "/var/run/ldapi"];
/// A firewall that forgets connections, or a peer that is gone, is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How a connection becomes private.
pub(super) enum Privacy<'a> {
    /// It does not, or is already.
    AsItIs,
    /// TLS from the first byte.
    Implicit(&'a ClientTls),
    /// TLS behind StartTLS.
    StartTls(&'a ClientTls),
}

/// An open connection.
pub(super) struct Connection {
    stream: Box<dyn Transport>,
    buffer: Zeroizing<Vec<u8>>,
    next_id: u32,
}

/// What a server answered.
pub(super) struct Reply {
    /// What was found, for a search.
    pub(super) entries: Vec<Entry>,
    /// How it ended.
    pub(super) outcome: Outcome,
}

/// Bytes to a server and back.
trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> BorrowedFd<'_>;
}

impl Transport for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Transport for UnixStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Transport for ClientStream<TcpStream> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.get_ref().0.as_fd()
    }
}

impl Connection {
    /// Connects to a server and makes the connection private.
    pub(super) async fn open(address: &Address, privacy: Privacy<'_>) -> Result<Self, Trouble> {
        let stream = match address {
            Address::Unix(path) => return Ok(Self::over(connect_unix(path.as_deref()).await?)),
            Address::Tcp { host, port, .. } => connect_tcp(host, *port).await?,
        };
        match privacy {
            Privacy::AsItIs => Ok(Self::over(stream)),
            Privacy::Implicit(tls) => Ok(Self::over(tls.connect(stream).await?)),
            Privacy::StartTls(tls) => Ok(Self::over(tls.connect(start_tls(stream).await?).await?)),
        }
    }

    fn over(stream: impl Transport + 'static) -> Self {
        let buffer = Zeroizing::new(Vec::with_capacity(4 * CHUNK_BYTES));
        Self { stream: Box::new(stream), buffer, next_id: 1 }
    }

    /// True if the other side has neither left nor said anything. Asks the
    /// kernel, not the reactor, which may not have heard of it yet.
    pub(super) fn is_quiet(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let waiting = recv(self.stream.socket().as_raw_fd(), &mut [0; 1], flags);
        self.buffer.is_empty() && waiting == Err(Errno::EAGAIN)
    }

    /// Sends `request` and reads all of its answer. `sent` is set right before the first byte goes.
    pub(super) async fn ask(
        &mut self,
        request: &Request<'_>,
        sent: Option<&AtomicBool>,
    ) -> Result<Reply, Trouble> {
        let id = self.next_id;
        self.next_id = if id == i32::MAX as u32 { 1 } else { id + 1 };
        let bytes = request.encode(id);
        if let Some(sent) = sent {
            sent.store(true, Ordering::Relaxed);
        }
        self.stream.write_all(&bytes).await.map_err(Trouble::Io)?;
        self.stream.flush().await.map_err(Trouble::Io)?;
        let mut entries = Vec::new();
        for _ in 0..MESSAGES {
            let Message { id: answered, response } = self.receive().await?;
            match (request, response) {
                (_, Response::Extended(outcome)) if answered == 0 => {
                    return Err(Trouble::Notice(outcome));
                }
                _ if answered != id => return Err(Trouble::Unexpected),
                (Request::Search(_), Response::Entry(entry)) => entries.push(entry),
                (Request::Search(_), Response::Reference | Response::Other) => {}
                (Request::Search(_), Response::SearchDone(outcome))
                | (Request::SimpleBind { .. } | Request::ExternalBind, Response::Bind(outcome))
                | (Request::Compare { .. }, Response::Compare(outcome))
                | (Request::StartTls, Response::Extended(outcome)) => {
                    return Ok(Reply { entries, outcome });
                }
                _ => return Err(Trouble::Unexpected),
            }
        }
        Err(Trouble::Unexpected)
    }

    async fn receive(&mut self) -> Result<Message, Trouble> {
        loop {
            if let Some(length) = frame_bytes(&self.buffer, MESSAGE_BYTES)?
                && let Some(frame) = self.buffer.get(..length)
            {
                let message = Message::decode(frame)?;
                self.buffer.drain(..length);
                return Ok(message);
            }
            self.buffer.reserve(CHUNK_BYTES);
            if self.stream.read_buf(&mut *self.buffer).await.map_err(Trouble::Io)? == 0 {
                return Err(Trouble::Closed);
            }
        }
    }
}

/// Asks for TLS; gives the bare stream back, on which TLS begins.
async fn start_tls(mut stream: TcpStream) -> Result<TcpStream, Trouble> {
    let request = Request::StartTls.encode(1);
    stream.write_all(&request).await.map_err(Trouble::Io)?;
    let mut received = Vec::with_capacity(CHUNK_BYTES);
    let length = loop {
        match frame_bytes(&received, CHUNK_BYTES)? {
            Some(length) if received.len() >= length => break length,
            _ => {}
        }
        if stream.read_buf(&mut received).await.map_err(Trouble::Io)? == 0 {
            return Err(Trouble::Closed);
        }
    };
    let Message { id: 1, response: Response::Extended(outcome) } =
        Message::decode(&received[..length])?
    else {
        return Err(Trouble::Unexpected);
    };
    if outcome.code != ResultCode::SUCCESS {
        return Err(Trouble::StartTls(outcome));
    }
    // RFC 4511 §4.14.3.2: nothing comes between the answer and the handshake.
    if received.len() > length {
        return Err(Trouble::Injected);
    }
    Ok(stream)
}

/// Tries every address of a name, in the order the system gives them.
async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, Trouble> {
    let found: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(Trouble::Resolve)?.collect();
    let mut failure = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in found {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small messages that somebody waits for. Neither is worth failing for.
                let _ = stream.set_nodelay(true);
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
                let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(Trouble::Connect(failure))
}

async fn connect_unix(path: Option<&Path>) -> Result<UnixStream, Trouble> {
    let usual = || USUAL_SOCKETS.iter().map(Path::new).find(|path| path.exists());
    let path = path.or_else(usual).unwrap_or_else(|| Path::new(USUAL_SOCKETS[0]));
    UnixStream::connect(path).await.map_err(Trouble::Connect)
}
