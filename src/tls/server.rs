//! The gate's side of TLS: certificates by name, swapped under running listeners.
//!
//! A reload replaces certificates, keys, authorities, revocation lists, OCSP
//! responses and versions for handshakes that start after it; established
//! connections and session tickets live on. What cannot be loaded changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::server::ProducesTickets;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite};

use super::chooser::Chooser;
use super::clients::Examiner;
use super::expiry::{Expiry, Subject};
use super::files::{read_certificates, read_key};
use super::negotiated::negotiated_server;
use super::settings::Pair;
use super::staple::Staple;
use super::x509::Certificate;
use super::{HandshakeError, MinimumVersion, Negotiated, Settings, TlsError};

/// A connection from a client, encrypted.
pub type ServerStream<IO> = tokio_rustls::server::TlsStream<IO>;

/// The ALPN name we accept. Without this check a browser could be led to speak
/// its protocol to us under our certificate (ALPACA, USENIX Security 2021).
/// Mail clients send no ALPN at all, and those pass.
const ALPN_SMTP: &[u8] = b"smtp";

/// Tickets a client is sent under TLS 1.3. Mail programs open one connection at
/// a time, and each ticket costs an encryption and a fifth of a kilobyte.
const TICKETS: usize = 1;

/// Accepts TLS connections. Cheap to clone; clones share what is loaded.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    loaded: ArcSwap<Loaded>,
    /// Kept across reloads: a client may resume with a ticket from before. Its
    /// keys change every six hours, and the last ones are kept as long again.
    ticketer: Arc<dyn ProducesTickets>,
}

struct Loaded {
    settings: Settings,
    config: Arc<ServerConfig>,
    clients: Option<Arc<Examiner>>,
    expiries: Vec<Expiry>,
}

impl ServerTls {
    /// Reads every file of the settings, and checks that certificates and keys are pairs.
    ///
    /// # Errors
    /// See [`TlsError`]; each names the file and what to do. An expired
    /// certificate is not an error, see [`ServerTls::expiries`]: mail from those
    /// who do not look is no worse than none.
    pub fn load(settings: &Settings) -> Result<Self, TlsError> {
        let ticketer = Ticketer::new().map_err(TlsError::Library)?;
        let loaded = ArcSwap::from_pointee(read(settings, &ticketer)?);
        Ok(Self { shared: Arc::new(Shared { loaded, ticketer }) })
    }

    /// Reads the files again and uses them for handshakes from now on.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; then what was loaded before stays in use.
    pub fn reload(&self, settings: &Settings) -> Result<(), TlsError> {
        self.shared.loaded.store(Arc::new(read(settings, &self.shared.ticketer)?));
        Ok(())
    }

    /// As [`reload`](Self::reload), with the settings that are in force: the files have changed.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; then what was loaded before stays in use.
    pub fn refresh(&self) -> Result<(), TlsError> {
        let settings = self.shared.loaded.load().settings.clone();
        self.reload(&settings)
    }

    /// Every file and directory that was read.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.shared.loaded.load().settings.files()
    }

    /// When what is in use runs out: certificates in the order of the settings,
    /// the first one being the default, each with its OCSP response behind it;
    /// then revocation lists.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        self.shared.loaded.load().expiries.clone()
    }

    /// Performs the server's handshake on `io`, without a time limit of its own,
    /// and says what was agreed. Where it fails the peer has been sent an alert
    /// if it can be, and `io` is dropped.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn accept<IO>(&self, io: IO) -> Result<(ServerStream<IO>, Negotiated), HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let loaded = self.shared.loaded.load_full();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&loaded.config));
        let stream = acceptor.accept(io).await?;
        // A session that is resumed was not looked at by the handshake.
        let judgement = loaded.clients.as_ref().map(|clients| {
            let chain = stream.get_ref().1.peer_certificates();
            clients.examine(chain, UnixTime::now())
        });
        if let (Some(clients), Some(judgement)) = (&loaded.clients, &judgement) {
            clients.admits(judgement).map_err(HandshakeError::Certificate)?;
        }
        let negotiated = negotiated_server(&stream, judgement);
        Ok((stream, negotiated))
    }
}

fn read(settings: &Settings, ticketer: &Arc<dyn ProducesTickets>) -> Result<Loaded, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut expiries = Vec::new();
    let mut certificates = Vec::with_capacity(settings.certificates.len());
    for (index, pair) in settings.certificates.iter().enumerate() {
        let (names, key) = read_pair(pair, &provider, &mut expiries)?;
        if index > 0 && names.is_empty() {
            return Err(TlsError::NoNames(pair.certificate.clone()));
        }
        certificates.push((names, Arc::new(key)));
    }
    let clients = Examiner::load(&settings.clients, &provider, &mut expiries)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.minimum_version))
        .map_err(TlsError::Library)?;
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as _),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Chooser::new(&certificates)));
    config.ticketer = Arc::clone(ticketer);
    config.send_tls13_tickets = TICKETS;
    config.alpn_protocols = vec![ALPN_SMTP.to_vec()];
    Ok(Loaded { settings: settings.clone(), config: Arc::new(config), clients, expiries })
}

/// A certificate ready for use, and the names it is shown for.
fn read_pair(
    pair: &Pair,
    provider: &CryptoProvider,
    expiries: &mut Vec<Expiry>,
) -> Result<(Vec<String>, CertifiedKey), TlsError> {
    let chain = read_certificates(&pair.certificate, "certificate")?;
    let key = read_key(&pair.key)?;
    let leaf = chain.first().cloned();
    let mut key =
        CertifiedKey::from_der(chain, key, provider).map_err(|error| pair_error(pair, &error))?;
    let read = leaf.as_ref().and_then(|leaf| Certificate::read(leaf));
    let carried = read.as_ref().map(|read| read.names.dns.clone()).unwrap_or_default();
    let names = if pair.names.is_empty() { carried } else { pair.names.clone() };
    expiries.extend(read.as_ref().map(|read| Expiry {
        subject: Subject::Certificate,
        file: pair.certificate.clone(),
        names: names.clone(),
        not_before: read.not_before,
        not_after: read.not_after,
    }));
    if let Some(path) = &pair.staple {
        let staple = Staple::read(path)?;
        expiries.extend(staple.next_update.map(|not_after| Expiry {
            subject: Subject::Staple,
            file: path.clone(),
            names: names.clone(),
            not_before: staple.this_update,
            not_after,
        }));
        key.ocsp = Some(staple.der);
    }
    Ok((names, key))
}

fn pair_error(pair: &Pair, error: &rustls::Error) -> TlsError {
    let certificate = pair.certificate.clone();
    if *error == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
        return TlsError::Mismatch { certificate, key: pair.key.clone() };
    }
    TlsError::Unusable { certificate, detail: error.to_string() }
}

fn versions(minimum: MinimumVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_12: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    static FROM_13: [&SupportedProtocolVersion; 1] = [&version::TLS13];
    match minimum {
        MinimumVersion::Tls12 => &FROM_12,
        MinimumVersion::Tls13 => &FROM_13,
    }
}
