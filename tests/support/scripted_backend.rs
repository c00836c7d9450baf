//! A backend MTA in threads of the test: polite, or misbehaving at one place.
//!
//! It records every byte it is sent, connection by connection, and it notes
//! what a front must never do to sendmail: send anything behind EHLO or DATA
//! before the reply.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::process::{PATIENCE, wait_until};

/// One connection of the gate.
pub(crate) struct Link {
    stream: TcpStream,
    input: Vec<u8>,
    /// Of the open transaction.
    has_sender: bool,
    recipients: usize,
    seen: Arc<Mutex<Seen>>,
}

/// What one connection brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Command lines without CRLF, in order.
    pub(crate) lines: Vec<String>,
    /// Content of each DATA, as sent, without the final dot; `None` at the end
    /// if it never came.
    pub(crate) contents: Vec<Vec<u8>>,
    /// Content whose end never came.
    pub(crate) cut: Option<Vec<u8>>,
    /// Rules that the gate broke.
    pub(crate) violations: Vec<String>,
    /// True once the connection is over.
    pub(crate) is_over: bool,
}

impl Seen {
    /// True for a connection of the health probe.
    pub(crate) fn is_probe(&self) -> bool {
        !self.lines.iter().any(|line| line.starts_with("MAIL"))
    }
}

/// A running backend; its threads end with the test program.
pub(crate) struct Backend {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    links: Arc<Mutex<Vec<Arc<Mutex<Seen>>>>>,
}

/// The capabilities of the backend in `tests/dialog/README.md`.
pub(crate) const EHLO: &[u8] = b"250-mx.test Hello gate.test, pleased to meet you\r\n\
    250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-EXPN\r\n250-VERB\r\n250-8BITMIME\r\n\
    250-SIZE 10485760\r\n250-DSN\r\n250-ETRN\r\n250-SMTPUTF8\r\n250-AUTH LOGIN PLAIN\r\n\
    250-DELIVERBY\r\n250 HELP\r\n";

impl Backend {
    /// Runs `script` for each connection, with its number; 0 is the gate's first probe.
    pub(crate) fn start(script: impl Fn(usize, &mut Link) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// As [`Backend::start`], on a listener of the caller's.
    pub(crate) fn on(
        listener: TcpListener,
        script: impl Fn(usize, &mut Link) + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let links: Arc<Mutex<Vec<Arc<Mutex<Seen>>>>> = Arc::default();
        let (known, script) = (Arc::clone(&links), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen: Arc<Mutex<Seen>> = Arc::default();
                let number = {
                    let mut known = known.lock().unwrap();
                    known.push(Arc::clone(&seen));
                    known.len() - 1
                };
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    let mut link = Link::new(stream, Arc::clone(&seen));
                    script(number, &mut link);
                    drop(link);
                    seen.lock().unwrap().is_over = true;
                });
            }
        });
        Self { address, links }
    }

    /// The polite backend of the dialogues.
    pub(crate) fn polite() -> Self {
        Self::start(|_, link| link.be_polite())
    }

    /// What each connection but the probes brought so far.
    pub(crate) fn sessions(&self) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| !seen.is_probe()).collect()
    }

    /// What each connection brought so far.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.links.lock().unwrap().iter().map(|seen| seen.lock().unwrap().clone()).collect()
    }

    /// Every completed content, over all connections.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.all().into_iter().flat_map(|seen| seen.contents).collect()
    }

    /// Waits until the gate has left every connection; then nothing more can come.
    pub(crate) fn wait_until_quiet(&self) {
        let is_quiet = wait_until(PATIENCE, || self.all().iter().all(|seen| seen.is_over));
        assert!(is_quiet, "the gate keeps a connection: {:#?}", self.all());
    }

    /// Panics if the gate broke a rule on any connection, or sent a command that
    /// no backend must ever see.
    pub(crate) fn assert_rules(&self) {
        const ALLOWED: &[&str] =
            &["MAIL FROM:<", "RCPT TO:<", "DATA", "RSET", "QUIT", "EHLO ", "STARTTLS"];
        for seen in self.all() {
            assert!(seen.violations.is_empty(), "{:?}", seen.violations);
            for line in &seen.lines {
                assert!(ALLOWED.iter().any(|start| line.starts_with(start)), "sent {line:?}");
                assert!(!line.contains(" AUTH="), "sent {line:?}");
            }
            let hellos = seen.lines.iter().filter(|line| line.starts_with("EHLO")).count();
            assert!(hellos <= 2, "{hellos} times EHLO: {:?}", seen.lines);
        }
    }
}

impl Link {
    fn new(stream: TcpStream, seen: Arc<Mutex<Seen>>) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: Vec::new(), has_sender: false, recipients: 0, seen }
    }

    /// Says something; a gate that is gone hears nothing.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next command line without its CRLF; `None` when the gate is gone.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let bytes: Vec<u8> = self.input.drain(..=end).collect();
                let line = String::from_utf8_lossy(&bytes).into_owned();
                if !line.ends_with("\r\n") || line.trim_end().contains('\r') {
                    self.violate(format!("not a CRLF line: {line:?}"));
                }
                let line = line.trim_end_matches(['\r', '\n']).to_owned();
                self.seen.lock().unwrap().lines.push(line.clone());
                return Some(line);
            }
            if self.read().unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Content up to its end, without the final dot; `None` if the gate left before.
    pub(crate) fn content(&mut self) -> Option<Vec<u8>> {
        let mut looked = 0;
        loop {
            if self.input.starts_with(b".\r\n") {
                return Some(self.take_content(0));
            }
            if let Some(at) = find(&self.input[looked..], b"\r\n.\r\n") {
                return Some(self.take_content(looked + at + 2));
            }
            looked = self.input.len().saturating_sub(4);
            if self.read().unwrap_or(0) == 0 {
                self.seen.lock().unwrap().cut = Some(std::mem::take(&mut self.input));
                return None;
            }
        }
    }

    fn take_content(&mut self, length: usize) -> Vec<u8> {
        let content: Vec<u8> = self.input.drain(..length).collect();
        self.input.drain(..3);
        self.seen.lock().unwrap().contents.push(content.clone());
        content
    }

    /// Reads `count` bytes of content and keeps them; false if the gate left.
    pub(crate) fn swallow(&mut self, count: usize) -> bool {
        while self.input.len() < count {
            if self.read().unwrap_or(0) == 0 {
                return false;
            }
        }
        true
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 64 * 1024];
        let count = self.stream.read(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Reads content that nobody wants, up to its end or the gate's.
    pub(crate) fn ignore_content(&mut self) {
        while !self.input.ends_with(b"\r\n.\r\n") && self.read().unwrap_or(0) > 0 {}
        self.input.clear();
    }

    /// Waits until the gate leaves; what it sends meanwhile is kept as cut content.
    pub(crate) fn wait_for_end(&mut self) {
        while self.read().unwrap_or(0) > 0 {}
        let input = std::mem::take(&mut self.input);
        if !input.is_empty() {
            self.seen.lock().unwrap().cut = Some(input);
        }
    }

    /// Closes with RST.
    pub(crate) fn reset(&mut self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// The TCP connection.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// True if the open transaction has a recipient; it is over with this.
    pub(crate) fn takes_content(&mut self) -> bool {
        let has_recipients = self.recipients > 0;
        if has_recipients {
            self.begin_anew();
        }
        has_recipients
    }

    /// No transaction is open.
    fn begin_anew(&mut self) {
        self.has_sender = false;
        self.recipients = 0;
    }

    /// Notes if the gate sent something although it owes us patience.
    pub(crate) fn check_silence(&mut self, after: &str) {
        self.stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        let more = self.read().unwrap_or(0);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if more > 0 || !self.input.is_empty() {
            let text = String::from_utf8_lossy(&self.input).into_owned();
            self.violate(format!("sent behind {after}: {text:?}"));
        }
    }

    fn violate(&self, text: String) {
        self.seen.lock().unwrap().violations.push(text);
    }

    /// The whole session of a backend without faults.
    pub(crate) fn be_polite(&mut self) {
        self.say(b"220 mx.test ESMTP\r\n");
        self.go_on_politely();
    }

    /// Politeness from the first command on.
    pub(crate) fn go_on_politely(&mut self) {
        while let Some(line) = self.line() {
            if !self.answer(&line) {
                return;
            }
        }
    }

    /// Answers one command as `tests/dialog/README.md` says; false if that ends the session.
    pub(crate) fn answer(&mut self, line: &str) -> bool {
        let verb = line.split(' ').next().unwrap_or_default();
        match verb {
            "EHLO" => {
                self.check_silence("EHLO");
                self.say(EHLO)
            }
            "RCPT" if !self.has_sender => self.say(b"503 5.5.1 Need MAIL before RCPT\r\n"),
            "DATA" if !self.takes_content() => self.say(b"503 5.5.1 Need RCPT (recipient)\r\n"),
            "DATA" => {
                self.check_silence("DATA");
                self.say(b"354 End data with <CR><LF>.<CR><LF>\r\n");
                let Some(content) = self.content() else { return false };
                self.say(match has_refusal(&content) {
                    true => b"554 5.7.1 Content refused\r\n",
                    false => b"250 2.0.0 q1 Message accepted for delivery\r\n",
                })
            }
            "RSET" => {
                self.begin_anew();
                self.say(b"250 2.0.0 Reset state\r\n")
            }
            "QUIT" => {
                self.say(b"221 2.0.0 mx.test closing connection\r\n");
                false
            }
            _ if line.contains("<nobody@") => self.say(b"550 5.1.1 User unknown\r\n"),
            _ if line.contains("<later@") => self.say(b"451 4.7.1 Try again later\r\n"),
            _ if line.contains("<bye@") => {
                self.say(b"421 4.3.2 Going down\r\n");
                false
            }
            "MAIL" => {
                self.has_sender = true;
                self.say(b"250 2.1.0 Sender ok\r\n")
            }
            "RCPT" => {
                self.recipients += 1;
                self.say(b"250 2.1.5 Recipient ok\r\n")
            }
            _ => {
                self.violate(format!("sent {line:?}"));
                self.say(b"500 5.5.1 Command unrecognized\r\n")
            }
        }
    }
}

/// Whether content that the gate passed on starts, below its trace, with `X-Refuse`.
fn has_refusal(content: &[u8]) -> bool {
    below_trace(content).starts_with(b"X-Refuse")
}

/// Content below the `Received:` header of the gate.
pub(crate) fn below_trace(content: &[u8]) -> &[u8] {
    let mut rest = content.strip_prefix(b"Received: ").expect("the gate's Received line");
    loop {
        let end = find(rest, b"\r\n").expect("a line end") + 2;
        rest = &rest[end..];
        if !rest.starts_with(b"\t") {
            return rest;
        }
    }
}

/// Where `needle` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}
