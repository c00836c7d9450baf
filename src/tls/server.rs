//! The gate's side of TLS: one certificate, swapped under running listeners.
//!
//! A reload replaces certificate, key and versions for handshakes that start
//! after it; established connections and session tickets live on. A pair that
//! cannot be loaded changes nothing.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::server::ProducesTickets;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::files::{read_certificates, read_key};
use super::{HandshakeError, MinimumVersion, Settings, TlsError, Validity};

/// A connection from a client, encrypted.
pub type ServerStream<IO> = tokio_rustls::server::TlsStream<IO>;

/// The ALPN name we accept. Without this check a browser could be led to speak
/// its protocol to us under our certificate (ALPACA, USENIX Security 2021).
/// Mail clients send no ALPN at all, and those pass.
const ALPN_SMTP: &[u8] = b"smtp";

/// Accepts TLS connections. Cheap to clone; clones share what is loaded.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    loaded: ArcSwap<Loaded>,
    /// Kept across reloads: a client may resume with a ticket from before.
    ticketer: Arc<dyn ProducesTickets>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    validity: Option<Validity>,
}

impl ServerTls {
    /// Reads certificate and key, and checks that they are a pair.
    ///
    /// # Errors
    /// See [`TlsError`]; each names the file and what to do. An expired
    /// certificate is not an error, see [`ServerTls::warning`].
    pub fn load(settings: &Settings) -> Result<Self, TlsError> {
        let ticketer = Ticketer::new().map_err(TlsError::Library)?;
        let loaded = read_pair(settings, &ticketer)?;
        let shared = Shared { loaded: ArcSwap::from_pointee(loaded), ticketer };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads the files again and uses them for handshakes from now on.
    ///
    /// # Errors
    /// As [`ServerTls::load`]; then what was loaded before stays in use.
    pub fn reload(&self, settings: &Settings) -> Result<(), TlsError> {
        let loaded = read_pair(settings, &self.shared.ticketer)?;
        self.shared.loaded.store(Arc::new(loaded));
        Ok(())
    }

    /// What an administrator should hear about the certificate at time `now`:
    /// that it has expired, or is not valid yet. Clients will refuse it, but
    /// mail that comes from those who do not look is no worse than none.
    #[must_use]
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        self.shared.loaded.load().validity.as_ref()?.problem(now)
    }

    /// Performs the server's handshake on `io`, without a time limit of its own.
    /// Where it fails the peer has been sent an alert if it can be, and `io` is dropped.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub async fn accept<IO>(&self, io: IO) -> Result<ServerStream<IO>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.shared.loaded.load().config);
        Ok(tokio_rustls::TlsAcceptor::from(config).accept(io).await?)
    }
}

fn read_pair(settings: &Settings, ticketer: &Arc<dyn ProducesTickets>) -> Result<Loaded, TlsError> {
    let chain = read_certificates(&settings.certificate, "certificate")?;
    let key = read_key(&settings.key)?;
    let validity = chain.first().and_then(|leaf| Validity::of_certificate(leaf));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pair = CertifiedKey::from_der(chain, key, &provider)
        .map_err(|error| pair_error(settings, &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.minimum_version))
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.ticketer = Arc::clone(ticketer);
    config.alpn_protocols = vec![ALPN_SMTP.to_vec()];
    Ok(Loaded { config: Arc::new(config), validity })
}

fn pair_error(settings: &Settings, error: &rustls::Error) -> TlsError {
    let certificate = settings.certificate.clone();
    if *error == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
        return TlsError::Mismatch { certificate, key: settings.key.clone() };
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
