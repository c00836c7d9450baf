//! A mail client that submits one message: EHLO, STARTTLS, EHLO, AUTH PLAIN, MAIL, RCPT, DATA.
//!
//! A real client over the real socket, which verifies the certificate and
//! insists on STARTTLS. What is said goes into a [`Transcript`] with notes on
//! what it means; the password is masked there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::transcript::Transcript;
use super::users::User;
use crate::tls::{ClientTls, HandshakeError, negotiated_client};
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::input::Input;
use crate::wire::smtp::reply::{Reply, ReplyError, ReplyParser};

/// For the whole session: a message of a few lines over loopback.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The name in EHLO.
const NAME: &str = "client.localhost";

/// What is to be submitted.
pub(super) struct Letter {
    /// Envelope sender.
    pub(super) from: String,
    /// Envelope recipient.
    pub(super) to: String,
    /// Its Message-ID without brackets, unique.
    pub(super) id: String,
    /// Content with CRLF line ends, the last one included; no line begins with a dot.
    pub(super) text: String,
}

impl Letter {
    /// A message from `user`: to the same user if the sink takes it, which
    /// takes everything; to the postmaster, whom every MTA has, otherwise.
    pub(super) fn new(user: &User, is_sink: bool) -> Self {
        let name = user.identity.user();
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
        let name = if name.chars().all(is_atom) { name } else { "sender" };
        let from = format!("{name}@localhost");
        let to = if is_sink { from.clone() } else { "postmaster@localhost".to_owned() };
        let now = jiff::Zoned::now();
        let id = format!("{}.{}@localhost", now.timestamp().as_microsecond(), std::process::id());
        let date = now.strftime("%a, %d %b %Y %H:%M:%S %z");
        let text = format!(
            "Date: {date}\r\nFrom: <{from}>\r\nTo: <{to}>\r\nMessage-ID: <{id}>\r\n\
             Subject: saslgate try\r\n\r\n\
             This message came through STARTTLS and AUTH, through the gate,\r\n\
             to the backend, as every message of a mail program will.\r\n"
        );
        Self { from, to, id, text }
    }
}

/// Why the message was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubmitError {
    /// No connection, or it broke.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// What came is no SMTP.
    #[error("{0}")]
    Reply(#[from] ReplyError),
    /// TLS did not come about.
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// Something stands behind the reply to STARTTLS.
    #[error("the server sent text behind its reply to STARTTLS")]
    Injected,
    /// EHLO does not offer what is needed.
    #[error("the server does not offer {0}")]
    NotOffered(&'static str),
    /// Another reply than the one that is needed.
    #[error("the server answered {command} with: {reply}")]
    Refused {
        /// What was said.
        command: &'static str,
        /// The first line of the reply.
        reply: String,
    },
    /// It took too long.
    #[error("no answer within {} seconds", TIMEOUT.as_secs())]
    Timeout,
}

/// Submits `letter` as `user` to the STARTTLS port `server`. Gives the final
/// reply to the content, which says that it was accepted.
pub(super) async fn submit(
    server: SocketAddr,
    tls: &ClientTls,
    user: &User,
    letter: &Letter,
    transcript: &mut Transcript,
) -> Result<Reply, SubmitError> {
    let session = async {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        transcript.note(&format!("connected to {server}, in clear"));
        let stream = in_clear(stream, transcript).await?;
        let stream = tls.connect(stream).await?;
        let agreed = negotiated_client(&stream);
        transcript.note(&format!(
            "TLS: {}, {}; the certificate is verified with cert.pem",
            agreed.version, agreed.cipher
        ));
        let mut dialogue = Dialogue::new(stream, transcript);
        log_in(&mut dialogue, user).await?;
        send(&mut dialogue, letter).await
    };
    tokio::time::timeout(TIMEOUT, session).await.map_err(|_| SubmitError::Timeout)?
}

/// Up to STARTTLS. Gives the bare stream back, with nothing read ahead.
async fn in_clear(
    stream: TcpStream,
    transcript: &mut Transcript,
) -> Result<TcpStream, SubmitError> {
    let mut dialogue = Dialogue::new(stream, transcript);
    dialogue.expect("the connection", 220).await?;
    let offered = dialogue.greet().await?;
    if !offered.starttls {
        return Err(SubmitError::NotOffered("STARTTLS"));
    }
    if offered.auth.is_empty() {
        dialogue.transcript.note("STARTTLS is offered, AUTH is not: no password goes in clear");
    }
    dialogue.say("STARTTLS").await?;
    dialogue.expect("STARTTLS", 220).await?;
    if dialogue.input.is_empty() { Ok(dialogue.io) } else { Err(SubmitError::Injected) }
}

async fn log_in<IO>(dialogue: &mut Dialogue<'_, IO>, user: &User) -> Result<(), SubmitError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    dialogue.transcript.note("both sides forget what was said in clear; EHLO again");
    let offered = dialogue.greet().await?;
    if !offered.auth.iter().any(|name| name == "PLAIN") {
        return Err(SubmitError::NotOffered("AUTH PLAIN"));
    }
    let note = format!("now AUTH is offered; log in as {} (masked here)", user.login);
    dialogue.transcript.note(&note);
    // RFC 4616: authzid NUL authcid NUL password; no authzid.
    let mut message = Zeroizing::new(Vec::with_capacity(user.login.len() + 8192));
    message.push(0);
    message.extend_from_slice(user.login.as_bytes());
    message.push(0);
    message.extend_from_slice(user.password.expose());
    let encoded = Zeroizing::new(STANDARD.encode(&message));
    dialogue.transcript.said("AUTH PLAIN ********");
    dialogue.write(format_args!("AUTH PLAIN {}", encoded.as_str())).await?;
    dialogue.expect("AUTH PLAIN", 235).await?;
    dialogue.transcript.note("the gate asked authd, authd asked the store: the password is right");
    Ok(())
}

async fn send<IO>(dialogue: &mut Dialogue<'_, IO>, letter: &Letter) -> Result<Reply, SubmitError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    dialogue.say(&format!("MAIL FROM:<{}>", letter.from)).await?;
    dialogue.expect("MAIL", 250).await?;
    dialogue.say(&format!("RCPT TO:<{}>", letter.to)).await?;
    dialogue.expect("RCPT", 250).await?;
    dialogue.transcript.note("the gate has opened a connection to the backend, and passes on");
    dialogue.say("DATA").await?;
    dialogue.expect("DATA", 354).await?;
    for line in letter.text.lines() {
        dialogue.transcript.said(line);
    }
    dialogue.transcript.said(".");
    dialogue.write(format_args!("{}.", letter.text)).await?;
    let accepted = dialogue.expect("the message", 250).await?;
    dialogue.transcript.note("the backend said 250, and only then the gate");
    // The message is delivered: what QUIT is answered with changes nothing.
    if dialogue.say("QUIT").await.is_ok() {
        let _ = dialogue.expect("QUIT", 221).await;
    }
    Ok(accepted)
}

/// One side of an SMTP session: a line out, a reply in.
struct Dialogue<'t, IO> {
    io: IO,
    input: Input,
    replies: ReplyParser,
    transcript: &'t mut Transcript,
}

impl<'t, IO: AsyncRead + AsyncWrite + Unpin> Dialogue<'t, IO> {
    fn new(io: IO, transcript: &'t mut Transcript) -> Self {
        Self { io, input: Input::new(), replies: ReplyParser::new(), transcript }
    }

    async fn greet(&mut self) -> Result<Capabilities, SubmitError> {
        self.say(&format!("EHLO {NAME}")).await?;
        Ok(Capabilities::parse(&self.expect("EHLO", 250).await?))
    }

    async fn say(&mut self, line: &str) -> Result<(), SubmitError> {
        self.transcript.said(line);
        self.write(format_args!("{line}")).await
    }

    /// Sends a line and its CRLF; in the transcript is what the caller puts there.
    async fn write(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), SubmitError> {
        let bytes = Zeroizing::new(format!("{line}\r\n").into_bytes());
        self.io.write_all(&bytes).await?;
        Ok(self.io.flush().await?)
    }

    async fn expect(&mut self, command: &'static str, code: u16) -> Result<Reply, SubmitError> {
        let reply = self.reply().await?;
        self.transcript.answered(&reply);
        if reply.code != code {
            return Err(SubmitError::Refused { command, reply: reply.first_line() });
        }
        Ok(reply)
    }

    async fn reply(&mut self) -> Result<Reply, SubmitError> {
        loop {
            if let Some(reply) = self.replies.feed(&mut self.input) {
                return Ok(reply?);
            }
            let mut bytes = [0; 4096];
            let count = self.io.read(&mut bytes).await?;
            if count == 0 {
                return Err(SubmitError::Closed);
            }
            self.input.extend_from_slice(&bytes[..count]);
        }
    }
}
