//! A blocking SMTP client for load, with STARTTLS and AUTH PLAIN.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// How a session begins: STARTTLS with this, EHLO, AUTH PLAIN.
pub(crate) type Entry = Arc<ClientConfig>;

/// Trusts every certificate: the benchmark's server made its own a moment ago.
pub(crate) fn trusting() -> Entry {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    // Full handshakes: what a host sees whose users come from anywhere.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// One open session.
pub(crate) struct Session(BufReader<Box<dyn Duplex>>);

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

impl Session {
    /// Connects and logs in.
    pub(crate) fn open(server: SocketAddr, entry: &Entry) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let mut clear = Self(BufReader::new(Box::new(stream.try_clone()?)));
        clear.expect("", 220)?;
        clear.expect("EHLO client.test\r\n", 250)?;
        clear.expect("STARTTLS\r\n", 220)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(entry), name).map_err(io::Error::other)?;
        let mut session = Self(BufReader::new(Box::new(StreamOwned::new(tls, stream))));
        session.expect("EHLO client.test\r\n", 250)?;
        let login = base64::engine::general_purpose::STANDARD.encode("\0alice@bench.test\0s3cret");
        session.expect(&format!("AUTH PLAIN {login}\r\n"), 235)?;
        Ok(session)
    }

    /// Sends one message, envelope pipelined.
    pub(crate) fn send(&mut self, content: &[u8]) -> io::Result<()> {
        self.write("MAIL FROM:<a@bench.test>\r\nRCPT TO:<b@bench.test>\r\nDATA\r\n".as_bytes())?;
        self.reply(250)?;
        self.reply(250)?;
        self.reply(354)?;
        self.content(content)
    }

    /// Sends one message, each command after the reply to the last.
    pub(crate) fn send_step_by_step(&mut self, content: &[u8]) -> io::Result<()> {
        self.expect("MAIL FROM:<a@bench.test>\r\n", 250)?;
        self.expect("RCPT TO:<b@bench.test>\r\n", 250)?;
        self.expect("DATA\r\n", 354)?;
        self.content(content)
    }

    fn content(&mut self, content: &[u8]) -> io::Result<()> {
        let stream = self.0.get_mut();
        stream.write_all(content)?;
        stream.write_all(b".\r\n")?;
        stream.flush()?;
        self.reply(250)
    }

    /// Ends in order.
    pub(crate) fn quit(mut self) -> io::Result<()> {
        self.expect("QUIT\r\n", 221)
    }

    fn expect(&mut self, command: &str, code: u16) -> io::Result<()> {
        if !command.is_empty() {
            self.write(command.as_bytes())?;
        }
        self.reply(code)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }

    fn reply(&mut self, code: u16) -> io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        if line.starts_with(&code.to_string()) { Ok(()) } else { Err(io::Error::other(line)) }
    }
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
