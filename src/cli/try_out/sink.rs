//! The built-in backend: a small, strict SMTP server that delivers into a maildir.
//!
//! Listens on loopback for the gate of the same process. 250 to a message means
//! that it is on the disk. Strict as sendmail is: what comes behind EHLO or DATA
//! before their replies ends the session, and so does a CR, LF or NUL that
//! stands alone in content; so a gate that is careless shows here.
//!
//! Not a mail server: no queue, no relaying, no TLS, no AUTH; whoever reaches
//! its port can deliver. Limits below.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::maildir::{Draft, Maildir};
use crate::wire::smtp::command::{Command, Mail, Rcpt};
use crate::wire::smtp::data::{Discipline, Scanner, State};
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::input::{Front, Input};
use crate::wire::smtp::line::{Line, LineSplitter};
use crate::wire::smtp::reply::Reply;

/// Sessions at once; more get 421.
const MAX_SESSIONS: usize = 256;
/// Content of one message.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;
const MAX_RECIPIENTS: usize = 10_000;
const MAX_LINE_BYTES: usize = 4096;
/// For the next bytes of a client (RFC 5321 §4.5.3.2.7).
const READ_TIMEOUT: Duration = Duration::from_secs(300);
const READ_BYTES: usize = 64 * 1024;
const NAME: &str = "sink.localhost";

/// A sink that listens, and does not serve yet.
pub(super) struct Sink {
    listener: TcpListener,
    maildir: Maildir,
}

impl Sink {
    /// Listens on a free loopback port.
    pub(super) async fn bind(maildir: Maildir) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { listener, maildir })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`; open sessions end with it.
    pub(super) async fn serve(self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(MAX_SESSIONS));
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, mostly: others have to end first.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let place = Arc::clone(&places).try_acquire_owned().ok();
            let session = Session::new(stream, self.maildir.clone());
            let stop = stop.clone();
            tokio::spawn(async move {
                let work = session.run(place.is_some());
                if let Some(Err(error)) = stop.run_until_cancelled(work).await {
                    tracing::debug!("sink: a session ended: {error}");
                }
                drop(place);
            });
        }
    }
}

/// What to do after a command.
enum Next {
    Command,
    Content(Draft),
    Close,
}

struct Session {
    stream: TcpStream,
    maildir: Maildir,
    input: Input,
    lines: LineSplitter,
    /// Replies that are not sent yet: those of pipelined commands go out together.
    output: Vec<u8>,
    is_greeted: bool,
    mail: Option<Mail>,
    recipients: Vec<String>,
}

impl Session {
    fn new(stream: TcpStream, maildir: Maildir) -> Self {
        Self {
            stream,
            maildir,
            input: Input::new(),
            lines: LineSplitter::new(MAX_LINE_BYTES),
            output: Vec::new(),
            is_greeted: false,
            mail: None,
            recipients: Vec::new(),
        }
    }

    async fn run(mut self, has_place: bool) -> io::Result<()> {
        if !has_place {
            self.reply(421, "4.3.2", "Too many sessions");
            return self.flush().await;
        }
        self.stream.set_nodelay(true)?;
        self.reply(220, "", &format!("{NAME} ESMTP saslgate try"));
        loop {
            let Some(line) = self.lines.next(&mut self.input) else {
                self.flush().await?;
                self.read().await?;
                continue;
            };
            match self.command(line) {
                Next::Command => {}
                Next::Content(draft) => self.content(draft).await?,
                Next::Close => return self.flush().await,
            }
        }
    }

    fn command(&mut self, line: Line) -> Next {
        let Line::Complete(line) = line else {
            self.reply(500, "5.5.2", "Line too long, or with a CR, LF or NUL that stands alone");
            return Next::Close;
        };
        let command = match Command::parse(&line) {
            Ok(command) => command,
            Err(error) => return self.send(&error.reply()),
        };
        match command {
            Command::Ehlo(_) | Command::Helo(_) | Command::Data if !self.input.is_empty() => {
                self.reply(554, "5.5.0", "SMTP protocol error: text before the reply");
                Next::Close
            }
            Command::Ehlo(_) => self.greet(&capabilities().keywords()),
            Command::Helo(_) => self.greet(&[]),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(recipient) => self.recipient(&recipient),
            Command::Data => self.data(),
            Command::Rset => {
                self.forget();
                self.reply(250, "2.0.0", "Reset")
            }
            Command::Noop => self.reply(250, "2.0.0", "OK"),
            Command::Quit => {
                self.reply(221, "2.0.0", "Closing connection");
                Next::Close
            }
            Command::Http => Next::Close,
            _ => self.reply(502, "5.5.1", "Command not implemented"),
        }
    }

    fn greet(&mut self, keywords: &[String]) -> Next {
        self.is_greeted = true;
        self.forget();
        let lines = [NAME.to_owned()].into_iter().chain(keywords.iter().cloned());
        self.send(&Reply::multiline(250, "", lines))
    }

    fn mail(&mut self, mail: Mail) -> Next {
        if !self.is_greeted || self.mail.is_some() {
            return self.reply(503, "5.5.1", "EHLO first, and one sender at a time");
        }
        if let Err(error) = mail.check(&capabilities()) {
            return self.send(&error.reply());
        }
        if mail.size().is_some_and(|bytes| bytes > MAX_MESSAGE_BYTES) {
            return self.reply(552, "5.3.4", "Message too big");
        }
        self.mail = Some(mail);
        self.reply(250, "2.1.0", "Sender ok")
    }

    fn recipient(&mut self, rcpt: &Rcpt) -> Next {
        if self.mail.is_none() {
            return self.reply(503, "5.5.1", "MAIL first");
        }
        if let Err(error) = rcpt.check(&capabilities()) {
            return self.send(&error.reply());
        }
        if self.recipients.len() >= MAX_RECIPIENTS {
            return self.reply(452, "4.5.3", "Too many recipients");
        }
        self.recipients.push(rcpt.recipient.address().to_owned());
        self.reply(250, "2.1.5", "Recipient ok")
    }

    fn data(&mut self) -> Next {
        let Some(mail) = self.mail.as_ref().filter(|_| !self.recipients.is_empty()) else {
            return self.reply(503, "5.5.1", "RCPT first");
        };
        match self.maildir.begin(mail.sender.address(), &self.recipients) {
            Ok(draft) => {
                self.reply(354, "", "End data with <CR><LF>.<CR><LF>");
                Next::Content(draft)
            }
            Err(error) => self.disk_trouble(&error),
        }
    }

    /// Reads content up to its end, and answers when the message is on the disk.
    async fn content(&mut self, draft: Draft) -> io::Result<()> {
        self.flush().await?;
        let mut draft = Some(draft);
        let mut trouble = None;
        let mut scanner = Scanner::new(Discipline::Reject);
        let mut content = Vec::with_capacity(READ_BYTES);
        loop {
            content.clear();
            let scanned = scanner.scan(&self.input, &mut content);
            self.input.consume(scanned.consumed);
            if scanner.bytes() > MAX_MESSAGE_BYTES {
                draft = None;
            }
            // Page cache: microseconds; only the sync at the end waits for the disk.
            if let Some(Err(error)) = draft.as_mut().map(|draft| draft.write(&content)) {
                trouble = Some(error);
                draft = None;
            }
            match scanned.state {
                State::More => self.read().await?,
                State::End => break,
                State::Violation(_) | State::AmbiguousEnd => {
                    self.reply(554, "5.6.0", "Bare CR, LF or NUL in the message");
                    self.flush().await?;
                    return Err(io::Error::other("bare CR, LF or NUL in the message"));
                }
            }
        }
        self.forget();
        self.lines = LineSplitter::new(MAX_LINE_BYTES);
        match (draft, trouble) {
            (Some(draft), _) => self.commit(draft).await,
            (None, Some(error)) => drop(self.disk_trouble(&error)),
            (None, None) => drop(self.reply(552, "5.3.4", "Message too big")),
        }
        Ok(())
    }

    async fn commit(&mut self, draft: Draft) {
        let done = tokio::task::spawn_blocking(|| draft.commit()).await;
        match done.unwrap_or_else(|error| Err(io::Error::other(error))) {
            // The words of sendmail: the gate finds the id in them.
            Ok(id) => self.reply(250, "2.0.0", &format!("{id} Message accepted for delivery")),
            Err(error) => self.disk_trouble(&error),
        };
    }

    fn disk_trouble(&mut self, error: &io::Error) -> Next {
        tracing::error!("sink: cannot write a message: {error}");
        self.reply(452, "4.3.1", "Cannot write the message")
    }

    fn forget(&mut self) {
        self.mail = None;
        self.recipients.clear();
    }

    fn reply(&mut self, code: u16, enhanced: &str, text: &str) -> Next {
        self.send(&Reply::new(code, enhanced, text))
    }

    fn send(&mut self, reply: &Reply) -> Next {
        reply.write(&mut self.output);
        Next::Command
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; READ_BYTES];
        let count = tokio::time::timeout(READ_TIMEOUT, self.stream.read(&mut bytes)).await??;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}

/// What EHLO offers: all that the gate can pass on.
fn capabilities() -> Capabilities {
    Capabilities {
        pipelining: true,
        size: Some(MAX_MESSAGE_BYTES),
        eight_bit_mime: true,
        dsn: true,
        enhanced_status_codes: true,
        smtputf8: true,
        ..Capabilities::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Peer {
        stream: TcpStream,
        maildir: Maildir,
        _dir: tempfile::TempDir,
    }

    impl Peer {
        async fn connect() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let maildir = Maildir::create(dir.path()).unwrap();
            let sink = Sink::bind(maildir.clone()).await.unwrap();
            let address = sink.address().unwrap();
            tokio::spawn(sink.serve(CancellationToken::new()));
            let stream = TcpStream::connect(address).await.unwrap();
            let mut peer = Self { stream, maildir, _dir: dir };
            peer.expect("220 sink.localhost ESMTP saslgate try\r\n").await;
            peer
        }

        async fn say(&mut self, text: &str) {
            self.stream.write_all(text.as_bytes()).await.unwrap();
        }

        async fn expect(&mut self, text: &str) {
            let mut got = vec![0; text.len()];
            self.stream.read_exact(&mut got).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&got), text);
        }

        async fn expect_end(&mut self) {
            assert_eq!(self.stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
        }

        /// EHLO and an envelope.
        async fn envelope(&mut self) {
            self.say("EHLO x\r\n").await;
            self.expect(
                "250-sink.localhost\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n\
                 250-8BITMIME\r\n250-SIZE 1073741824\r\n250-DSN\r\n250 SMTPUTF8\r\n",
            )
            .await;
            self.say("MAIL FROM:<a@b.test> BODY=8BITMIME\r\nRCPT TO:<c@d.test>\r\nDATA\r\n").await;
            self.expect("250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n").await;
            self.expect("354 End data with <CR><LF>.<CR><LF>\r\n").await;
        }
    }

    #[tokio::test]
    async fn a_message_is_in_the_maildir_before_the_250() {
        let mut peer = Peer::connect().await;
        peer.envelope().await;
        peer.say("Subject: x\r\n\r\n..dot\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n").await;
        peer.expect("250 2.0.0 M").await;
        let found = peer.maildir.find(b"Subject: x").unwrap().unwrap();
        let text = String::from_utf8(found).unwrap();
        assert_eq!(text, "Return-Path: <a@b.test>\nDelivered-To: c@d.test\nSubject: x\n\n.dot\n");
        let mut rest = String::new();
        peer.stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with(
            " Message accepted for delivery\r\n250 2.0.0 OK\r\n250 2.1.0 Sender ok\r\n\
             250 2.0.0 Reset\r\n221 2.0.0 Closing connection\r\n"
        ));
    }

    #[tokio::test]
    async fn a_careless_client_is_cut_off() {
        let mut peer = Peer::connect().await;
        peer.say("EHLO x\r\nMAIL FROM:<>\r\n").await;
        peer.expect("554 5.5.0 SMTP protocol error").await;

        let mut peer = Peer::connect().await;
        peer.envelope().await;
        peer.say("Subject: x\r\n\r\nbare\nlinefeed\r\n.\r\n").await;
        peer.expect("554 5.6.0 Bare CR, LF or NUL in the message\r\n").await;
        peer.expect_end().await;
        assert!(peer.maildir.find(b"Subject").unwrap().is_none());
    }

    #[tokio::test]
    async fn commands_out_of_order_are_refused() {
        let mut peer = Peer::connect().await;
        peer.say("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSTARTTLS\r\n").await;
        peer.expect("503 5.5.1 EHLO first").await;
        let mut peer = Peer::connect().await;
        peer.say("HELO x\r\n").await;
        peer.expect("250 sink.localhost\r\n").await;
        peer.say("DATA\r\n").await;
        peer.expect("503 5.5.1 RCPT first\r\n").await;
        peer.say("AUTH PLAIN AAAA\r\n").await;
        peer.expect("502 5.5.1 Command not implemented\r\n").await;
        peer.say("MAIL FROM:<a@b.test> SIZE=2000000000\r\n").await;
        peer.expect("552 5.3.4 Message too big\r\n").await;
    }
}
