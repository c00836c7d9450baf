//! One connection to an IMAP server, from its greeting to LOGOUT.
//!
//! Whatever is neither OK nor NO to our LOGIN is a [`Trouble`]. Lines, their
//! number and the time (by the caller) are bounded.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::settings::Security;
use crate::backend::dial::{Channel, DialError};
use crate::base::{Printable, Secret};
use crate::tls::{ClientTls, HandshakeError};
use crate::wire::imap::{self, Condition, Reply, Response};
use crate::wire::smtp::line::{Line, LineSplitter};

/// Why nobody could tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("no verified TLS: {0}")]
    Tls(#[from] HandshakeError),
    #[error("the server said \"{0}\"")]
    Said(String),
    #[error("what the server says is no IMAP: is it an IMAP server, and is rimap.tls right?")]
    NotImap,
    #[error("the server says more than an answer to a login can be")]
    TooMuch,
    #[error("the server sent bytes behind its answer to STARTTLS, which belong to nobody")]
    Injected,
    #[error("the server takes every connection for a logged-in one (PREAUTH), so it checks nobody")]
    Preauth,
    #[error("the server takes no LOGIN in clear (LOGINDISABLED): set rimap.tls")]
    LoginDisabled,
}

/// What the password is to be checked with.
pub(super) struct Claim<'a> {
    /// The command in its parts; see [`imap::login`]. Its tag is [`LOGIN_TAG`].
    pub(super) parts: &'a [zeroize::Zeroizing<Vec<u8>>],
}

impl<'a> Claim<'a> {
    /// The commands that make a claim.
    pub(super) fn encode(
        user: &str,
        password: &Secret,
    ) -> Result<Vec<zeroize::Zeroizing<Vec<u8>>>, imap::Unsendable> {
        imap::login(LOGIN_TAG, user, password)
    }
}

/// Logs in over `stream`, and out. Gives the answer to LOGIN: OK or NO.
pub(super) async fn log_in(
    stream: TcpStream,
    security: Security,
    tls: Option<&ClientTls>,
    claim: &Claim<'_>,
) -> Result<Reply, Trouble> {
    match (security, tls) {
        (Security::Implicit, Some(tls)) => {
            let mut session = Session::new(tls.connect(stream).await?);
            let offered = session.greeting().await?;
            session.log_in(offered, claim).await
        }
        (Security::Starttls, Some(tls)) => {
            let mut session = Session::new(stream);
            session.greeting().await?;
            let stream = session.start_tls().await?;
            // What was offered in clear may be a lie.
            Session::new(tls.connect(stream).await?).log_in(None, claim).await
        }
        _ => {
            let mut session = Session::new(stream);
            let offered = session.greeting().await?;
            session.log_in(offered, claim).await
        }
    }
}

struct Session<S> {
    stream: S,
    input: Vec<u8>,
    splitter: LineSplitter,
    /// Lines that may still come.
    lines: usize,
}

type Capabilities = Option<Vec<String>>;

impl<S: Channel> Session<S> {
    fn new(stream: S) -> Self {
        let splitter = LineSplitter::new(LINE_BYTES);
        Self { stream, input: Vec::new(), splitter, lines: MAX_LINES }
    }

    /// Reads the greeting; gives the capabilities if they came along.
    async fn greeting(&mut self) -> Result<Capabilities, Trouble> {
        match self.response(LOGIN_TAG).await? {
            Response::Status(reply) => match reply.condition {
                Condition::Ok => Ok(reply.capabilities()),
                Condition::Preauth => Err(Trouble::Preauth),
                _ => Err(said(&reply)),
            },
            _ => Err(Trouble::NotImap),
        }
    }

    async fn start_tls(mut self) -> Result<S, Trouble> {
        self.stream.write_all(b"s STARTTLS\r\n").await?;
        let (reply, _) = self.done("s").await?;
        if reply.condition != Condition::Ok {
            return Err(said(&reply));
        }
        if self.input.is_empty() { Ok(self.stream) } else { Err(Trouble::Injected) }
    }

    async fn log_in(&mut self, offered: Capabilities, claim: &Claim<'_>) -> Result<Reply, Trouble> {
        let offered = match offered {
            Some(offered) => offered,
            None => self.ask_capabilities().await?,
        };
        if offered.iter().any(|word| word == "LOGINDISABLED") {
            return Err(Trouble::LoginDisabled);
        }
        let reply = self.send(claim).await?;
        // A courtesy: the answer is there, and whoever waits for it need not wait for more.
        if self.stream.write_all(b"o LOGOUT\r\n").await.is_ok() {
            let _ = self.stream.flush().await;
        }
        match reply.condition {
            Condition::Ok | Condition::No => Ok(reply),
            _ => Err(said(&reply)),
        }
    }

    async fn ask_capabilities(&mut self) -> Result<Vec<String>, Trouble> {
        self.stream.write_all(b"c CAPABILITY\r\n").await?;
        let (reply, listed) = self.done("c").await?;
        match (reply.condition, listed) {
            (Condition::Ok, Some(listed)) => Ok(listed),
            _ => Err(said(&reply)),
        }
    }

    async fn send(&mut self, claim: &Claim<'_>) -> Result<Reply, Trouble> {
        let last = claim.parts.len().saturating_sub(1);
        for (number, part) in claim.parts.iter().enumerate() {
            self.stream.write_all(part).await?;
            self.stream.flush().await?;
            if number == last {
                break;
            }
            // The server wants the literal, or says already that it does not.
            loop {
                match self.response(LOGIN_TAG).await? {
                    Response::Continue => break,
                    Response::Done(reply) if reply.condition == Condition::Ok => {
                        return Err(Trouble::NotImap);
                    }
                    Response::Done(reply) => return Ok(reply),
                    Response::Status(reply) if reply.condition == Condition::Bye => {
                        return Err(said(&reply));
                    }
                    _ => {}
                }
            }
        }
        Ok(self.done(LOGIN_TAG).await?.0)
    }

    /// Reads up to the answer to the command `tag`; capabilities may come before it.
    async fn done(&mut self, tag: &str) -> Result<(Reply, Capabilities), Trouble> {
        let mut listed = None;
        loop {
            match self.response(tag).await? {
                Response::Done(reply) => return Ok((reply, listed)),
                Response::Capabilities(words) => listed = Some(words),
                Response::Status(reply) if reply.condition == Condition::Bye => {
                    return Err(said(&reply));
                }
                Response::Status(_) | Response::Other => {}
                Response::Continue => return Err(Trouble::NotImap),
            }
        }
    }

    async fn response(&mut self, tag: &str) -> Result<Response, Trouble> {
        self.lines = self.lines.checked_sub(1).ok_or(Trouble::TooMuch)?;
        loop {
            match self.splitter.next(&mut self.input) {
                Some(Line::Complete(line)) => {
                    return Response::parse(&line, tag).map_err(|_| Trouble::NotImap);
                }
                Some(Line::TooLong) => return Err(Trouble::TooMuch),
                Some(Line::Malformed(_)) => return Err(Trouble::NotImap),
                None => {}
            }
            // The splitter drops what is too long, so the input stays below a line.
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Trouble::Closed);
            }
        }
    }
}

fn said(reply: &Reply) -> Trouble {
    let code = if reply.code.is_empty() { String::new() } else { format!("[{}] ", reply.code) };
    Trouble::Said(Printable::from(format!("{code}{}", reply.text).as_str()).to_string())
}

const LOGIN_TAG: &str = "l";
/// Longest line of a server.
const LINE_BYTES: usize = 16 * 1024;
/// Lines of a server in one login.
const MAX_LINES: usize = 1000;
