//! The gate's side of TLS towards the backend: verified, or no connection.
//!
//! The backend's certificate must be issued by an authority of the CA file (or
//! of the host's trust store) and carry the expected name. There is no setting
//! that turns this off: unverified TLS stops nobody who sits in between.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};

use super::files::read_certificates;
use super::{HandshakeError, TlsError};

/// A connection to the backend, encrypted and verified.
pub type ClientStream<IO> = tokio_rustls::client::TlsStream<IO>;

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
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::BadServerName(server_name.to_owned()))?;
        let roots = match ca_file {
            Some(path) => authorities_of(path)?,
            None => authorities_of_host()?,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_root_certificates(roots)
            .with_no_client_auth();
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
