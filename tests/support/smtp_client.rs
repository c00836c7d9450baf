//! An SMTP client that says exactly what a test wants said, byte for byte, in
//! clear and inside TLS (rustls). Blocking; every wait ends after [`PATIENCE`].

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::fake_authd::{LOGIN, PASSWORD};
use super::process::PATIENCE;

enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// In the middle of a handshake that failed.
    Gone,
}

/// One connection.
pub(crate) struct SmtpClient {
    wire: Wire,
    input: Vec<u8>,
}

/// A reply, its lines without code and CRLF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<Vec<u8>>,
}

impl Reply {
    /// All lines as text, joined by newlines, without the code.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.join(&b'\n')).into_owned()
    }
}

/// `text` as base64.
pub(crate) fn base64(text: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Alice's message for PLAIN, in base64.
pub(crate) fn plain_response() -> String {
    base64(format!("\0{LOGIN}\0{PASSWORD}").as_bytes())
}

impl SmtpClient {
    /// Connects, in clear; nothing is read.
    pub(crate) fn connect(server: SocketAddr) -> Self {
        Self::over(TcpStream::connect(server).unwrap())
    }

    /// Connects, in clear, from an address of its own in 127/8; nothing is read.
    pub(crate) fn connect_from(from: IpAddr, server: SocketAddr) -> Self {
        // The standard library cannot bind before it connects.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(from, 0)).unwrap();
            socket.connect(server).await.unwrap().into_std().unwrap()
        });
        stream.set_nonblocking(false).unwrap();
        Self::over(stream)
    }

    /// Takes a connection as it is.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { wire: Wire::Plain(stream), input: Vec::new() }
    }

    /// Connects and performs the handshake at once, trusting `ca`.
    pub(crate) fn connect_implicit(server: SocketAddr, ca: &Path) -> Self {
        let mut client = Self::connect(server);
        client.handshake(ca).unwrap();
        client
    }

    /// The client's side of a TLS handshake; the certificate must be for `localhost`.
    pub(crate) fn handshake(&mut self, ca: &Path) -> io::Result<()> {
        assert!(self.input.is_empty(), "the server spoke before the handshake: {:?}", self.input);
        let Wire::Plain(stream) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            panic!("TLS is on already");
        };
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        self.wire = Wire::Tls(Box::new(tls));
        Ok(())
    }

    /// Sends bytes in one write.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes in one write; fails if the server is gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes),
            Wire::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
            Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The next reply; panics if there is none.
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next reply, or why there is none.
    pub(crate) fn try_reply(&mut self) -> io::Result<Reply> {
        let mut reply = Reply { code: 0, lines: Vec::new() };
        loop {
            let line = self.line()?;
            let bad = || io::Error::other(format!("no reply line: {line:?}"));
            let code = std::str::from_utf8(line.get(..3).ok_or_else(bad)?).map_err(|_| bad())?;
            reply.code = code.parse().map_err(|_| bad())?;
            reply.lines.push(line.get(4..).unwrap_or_default().to_vec());
            if line.get(3) != Some(&b'-') {
                return Ok(reply);
            }
        }
    }

    /// The next line without its CRLF, which is asserted.
    pub(crate) fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.input.drain(..=end).collect();
                assert!(line.ends_with(b"\r\n"), "a line without CRLF: {line:?}");
                line.truncate(line.len() - 2);
                return Ok(line);
            }
            if self.read()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let count = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut bytes)?,
            Wire::Tls(stream) => stream.read(&mut bytes)?,
            Wire::Gone => return Err(io::ErrorKind::NotConnected.into()),
        };
        self.input.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Sends a line and reads its reply.
    pub(crate) fn command(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// As [`SmtpClient::command`], and asserts the code.
    pub(crate) fn expect(&mut self, line: &str, code: u16) -> Reply {
        let reply = self.command(line);
        assert_eq!(reply.code, code, "{line}: {}", reply.text());
        reply
    }

    /// Reads the greeting, says EHLO and logs alice in. TLS must be on.
    pub(crate) fn log_in(&mut self) -> &mut Self {
        assert_eq!(self.reply().code, 220);
        self.expect("EHLO client.test", 250);
        self.expect(&format!("AUTH PLAIN {}", plain_response()), 235);
        self
    }

    /// MAIL, one RCPT, DATA up to the 354.
    pub(crate) fn open_message(&mut self) -> &mut Self {
        self.expect("MAIL FROM:<a@client.test>", 250);
        self.expect("RCPT TO:<bob@gate.test>", 250);
        self.expect("DATA", 354);
        self
    }

    /// Sends content (dots already doubled) and the final dot; gives the reply.
    pub(crate) fn finish_message(&mut self, content: &[u8]) -> Reply {
        self.send(content);
        self.send(b".\r\n");
        self.reply()
    }

    /// Sends one message up to the first reply that is not good; gives that or the last.
    pub(crate) fn submit(&mut self, content: &[u8]) -> Reply {
        for (line, good) in
            [("MAIL FROM:<a@b.test>", 250), ("RCPT TO:<c@d.test>", 250), ("DATA", 354)]
        {
            let reply = self.command(line);
            if reply.code != good {
                return reply;
            }
        }
        self.finish_message(content)
    }

    /// Everything until the server closes. A reset counts as a close.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.read() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the server did not close; it said {:?}", self.input)
                }
                Err(_) => break,
            }
        }
        std::mem::take(&mut self.input)
    }

    /// Asserts that nothing more comes but the end.
    pub(crate) fn expect_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more before the end: {}", String::from_utf8_lossy(&rest));
    }

    /// True if nothing arrives within `time`.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.socket().set_read_timeout(Some(time)).unwrap();
        let result = self.read();
        self.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ends our direction only.
    pub(crate) fn half_close(&mut self) {
        if let Wire::Tls(tls) = &mut self.wire {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with RST instead of FIN.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(self.socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The TCP connection.
    pub(crate) fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
            Wire::Gone => panic!("no connection any more"),
        }
    }
}
