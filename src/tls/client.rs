//! Our side of TLS towards a server: the gate's backend, a directory.
//!
//! The server's certificate must be issued by an authority of the CA file (or
//! of the host's trust store) and carry the expected name, or its key must be
//! one that is pinned. The gate has no setting that turns this off: unverified
//! TLS stops nobody who sits in between. Directories have one, since the
//! original saslauthd has it.
//!
//! Whether TLS starts at once or behind STARTTLS is the caller's affair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use super::files::{read_certificates, read_directory, read_key};
use super::pin::{Pin, Pinned};
use super::unverified::Unverified;
use super::{HandshakeError, TlsError};

/// A connection to the backend, encrypted and verified.
pub type ClientStream<IO> = tokio_rustls::client::TlsStream<IO>;

/// Whom a server's certificate must come from, and what we show of ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files. With neither, the host's trust store counts.
    pub ca_dir: Option<PathBuf>,
    /// Our own certificate and its key, for servers that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether the certificate is looked at.
    pub verification: Verification,
    /// Keys of which the server must have one. Unless this is empty, nothing else
    /// of the certificate is looked at: no authority, no name, no period.
    pub pins: Vec<Pin>,
}

impl Default for Trust {
    /// What the host trusts, in full.
    fn default() -> Self {
        Self {
            ca_file: None,
            ca_dir: None,
            identity: None,
            verification: Verification::Full,
            pins: Vec::new(),
        }
    }
}

/// Whether a server's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// It must be issued by a trusted authority and carry the server's name.
    Full,
    /// Any will do: whoever sits in between reads everything.
    Off,
}

/// Makes TLS connections to one server name. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    connector: tokio_rustls::TlsConnector,
    name: ServerName<'static>,
}

impl ClientTls {
    /// Reads the authorities: of `ca_file`, or of the host if there is none.
    /// `server_name` is the DNS name or IP address the certificate must carry.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(ca_file: Option<&Path>, server_name: &str) -> Result<Self, TlsError> {
        let trust = Trust { ca_file: ca_file.map(Path::to_owned), ..Trust::default() };
        Self::trusting(&trust, server_name)
    }

    /// Reads what `trust` names. `server_name` as in [`load`](Self::load).
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn trusting(trust: &Trust, server_name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::BadServerName(server_name.to_owned()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unverified = Unverified::new(&provider);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?;
        let builder = match trust.verification {
            _ if !trust.pins.is_empty() => {
                let pinned = Arc::new(Pinned::new(trust.pins.clone(), unverified));
                builder.dangerous().with_custom_certificate_verifier(pinned)
            }
            Verification::Full => builder.with_root_certificates(authorities(trust)?),
            Verification::Off => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(unverified))
            }
        };
        let config = match &trust.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    read_certificates(certificate, "certificate")?,
                    read_key(key)?,
                )
                .map_err(|error| TlsError::Unusable {
                    certificate: certificate.clone(),
                    detail: error.to_string(),
                })?,
        };
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    /// Performs the client's handshake on `io`, without a time limit of its own.
    ///
    /// # Errors
    /// See [`HandshakeError`]; a certificate that does not pass is
    /// [`HandshakeError::Certificate`].
    pub async fn connect<IO>(&self, io: IO) -> Result<ClientStream<IO>, HandshakeError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        Ok(self.connector.connect(self.name.clone(), io).await?)
    }
}

fn authorities(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = match &trust.ca_file {
        Some(path) => authorities_of(path)?,
        None if trust.ca_dir.is_none() => return authorities_of_host(),
        None => RootCertStore::empty(),
    };
    if let Some(directory) = &trust.ca_dir {
        let (added, _skipped) =
            roots.add_parsable_certificates(read_directory(directory, "CA directory")?);
        if added == 0 {
            return Err(TlsError::NoCertificate { what: "CA directory", path: directory.clone() });
        }
    }
    Ok(roots)
}

fn authorities_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path, "CA file")? {
        roots.add(certificate).map_err(|error| TlsError::BadAuthority {
            path: path.to_owned(),
            detail: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// What the host trusts; single certificates that rustls cannot parse are
/// skipped, as other programs do with old ones.
fn authorities_of_host() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _skipped) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let detail = if errors.is_empty() { "none found".to_owned() } else { errors.join("; ") };
        return Err(TlsError::NoTrustStore(detail));
    }
    Ok(roots)
}
