//! The least that a submission server can be: STARTTLS, AUTH that always
//! succeeds, and content that is thrown away. What a front reaches is read as a
//! share of what this reaches on the same machine, since shares travel and rates
//! do not.
//!
//! [`Role::Sink`] is the same in clear: the mail server behind a front. It keeps
//! [`Books`]: which messages came, how often, and whether as they were sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What the server is for.
#[derive(Clone)]
pub(crate) enum Role {
    /// The ceiling: STARTTLS and AUTH.
    Ceiling(TlsAcceptor),
    /// The mail server behind a front.
    Sink(Arc<Books>),
}

/// Which messages arrived.
pub(crate) struct Books {
    /// By the number in the Message-ID: how often it came.
    arrivals: Vec<AtomicU8>,
    altered: AtomicU64,
}

/// Messages that can be told apart in one run of the program.
const MOST_MESSAGES: usize = 16 << 20;
/// Begins the header by which a message is known.
pub(crate) const MESSAGE_ID: &[u8] = b"Message-ID: <";
/// Digits of its number.
pub(crate) const DIGITS: usize = 12;

impl Books {
    pub(crate) fn new() -> Arc<Self> {
        let arrivals = std::iter::repeat_with(AtomicU8::default).take(MOST_MESSAGES).collect();
        Arc::new(Self { arrivals, altered: AtomicU64::new(0) })
    }

    /// Takes a message, with whatever trace a front put on top of it.
    fn enter(&self, content: &[u8]) {
        let number = memchr::memmem::find(content, MESSAGE_ID).and_then(|at| {
            let own = &content[at..];
            let digits = own.get(MESSAGE_ID.len()..MESSAGE_ID.len() + DIGITS)?;
            let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
            own.get(MESSAGE_ID.len() + DIGITS..).filter(|rest| is_unaltered(rest))?;
            Some(number)
        });
        match number.and_then(|number| self.arrivals.get(number)) {
            Some(count) => _ = count.fetch_add(1, Ordering::Relaxed),
            None => _ = self.altered.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// How often message `number` came.
    pub(crate) fn arrivals(&self, number: u64) -> u8 {
        let place = usize::try_from(number).ok().and_then(|place| self.arrivals.get(place));
        place.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Messages that came otherwise than they were sent.
    pub(crate) fn altered(&self) -> u64 {
        self.altered.load(Ordering::Relaxed)
    }
}

/// A message of about `bytes` bytes with this number.
pub(crate) fn message(number: u64, bytes: usize) -> Vec<u8> {
    let mut text = MESSAGE_ID.to_vec();
    text.extend_from_slice(format!("{number:0DIGITS$}").as_bytes());
    text.extend_from_slice(AFTER_NUMBER);
    while text.len() < bytes {
        text.extend_from_slice(LINE);
    }
    text
}

const AFTER_NUMBER: &[u8] = b"@bench.test>\r\nSubject: load\r\n\r\n";
const LINE: &[u8] = b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

fn is_unaltered(rest: &[u8]) -> bool {
    rest.strip_prefix(AFTER_NUMBER).is_some_and(|lines| {
        lines.len() % LINE.len() == 0 && lines.chunks_exact(LINE.len()).all(|line| line == LINE)
    })
}

/// Serves on `listener` until the process ends.
pub(crate) async fn serve(listener: std::net::TcpListener, role: Role) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let role = role.clone();
        tokio::spawn(async move { drop(session(stream, role).await) });
    }
}

/// A listener for [`serve`].
pub(crate) fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = saslgate::listen::bind_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a port on loopback");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

async fn session(stream: TcpStream, role: Role) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut dialogue = Dialogue { io: stream, input: Vec::new(), output: Vec::new(), books: None };
    dialogue.output.extend_from_slice(b"220 ceiling.test ESMTP\r\n");
    let acceptor = match role {
        Role::Sink(books) => {
            dialogue.books = Some(books);
            dialogue.run(false).await?;
            return Ok(());
        }
        Role::Ceiling(acceptor) => acceptor,
    };
    if !dialogue.run(true).await? {
        return Ok(());
    }
    let io = acceptor.accept(dialogue.io).await?;
    let mut dialogue = Dialogue { io, input: Vec::new(), output: Vec::new(), books: None };
    dialogue.run(false).await?;
    dialogue.io.shutdown().await
}

struct Dialogue<S> {
    io: S,
    input: Vec<u8>,
    output: Vec<u8>,
    books: Option<Arc<Books>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// True if it ended with STARTTLS.
    async fn run(&mut self, offers_tls: bool) -> io::Result<bool> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.input) else {
                if !self.more().await? {
                    return Ok(false);
                }
                continue;
            };
            let verb: [u8; 4] = self.input.first_chunk().copied().unwrap_or_default();
            self.input.drain(..=end);
            let reply: &[u8] = match &verb {
                b"EHLO" if offers_tls => b"250-ceiling.test\r\n250 STARTTLS\r\n",
                b"EHLO" => EHLO,
                b"STAR" => {
                    self.output.extend_from_slice(b"220 go\r\n");
                    self.flush().await?;
                    return Ok(true);
                }
                b"AUTH" => b"235 ok\r\n",
                b"DATA" => {
                    self.output.extend_from_slice(b"354 go\r\n");
                    if !self.content().await? {
                        return Ok(false);
                    }
                    b"250 2.0.0 taken\r\n"
                }
                b"QUIT" => {
                    self.output.extend_from_slice(b"221 2.0.0 bye\r\n");
                    self.flush().await?;
                    return Ok(false);
                }
                _ => b"250 2.0.0 ok\r\n",
            };
            self.output.extend_from_slice(reply);
        }
    }

    /// Reads content up to its end; false if the client left.
    async fn content(&mut self) -> io::Result<bool> {
        let mut looked = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.input[looked..], b"\r\n.\r\n") {
                let end = looked + at;
                if let Some(books) = &self.books {
                    books.enter(&self.input[..end + 2]);
                }
                self.input.drain(..end + 5);
                return Ok(true);
            }
            looked = self.input.len().saturating_sub(4);
            if self.books.is_none() {
                self.input.drain(..looked);
                looked = 0;
            }
            if !self.more().await? {
                return Ok(false);
            }
        }
    }

    async fn more(&mut self) -> io::Result<bool> {
        self.flush().await?;
        self.input.reserve(4096);
        Ok(self.io.read_buf(&mut self.input).await? > 0)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.io.write_all(&self.output).await?;
            self.io.flush().await?;
            self.output.clear();
        }
        Ok(())
    }
}

const EHLO: &[u8] = b"250-ceiling.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n\
    250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN\r\n";
