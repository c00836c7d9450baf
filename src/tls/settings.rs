//! Settings of the server side of TLS.

use std::path::PathBuf;

/// The gate's certificates and what it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// At least one. The first is shown to clients that ask for no name, or for one nobody has.
    pub certificates: Vec<Pair>,
    /// Oldest protocol version accepted.
    pub minimum_version: MinimumVersion,
    /// Certificates of clients.
    pub clients: ClientCertificates,
}

/// A certificate and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// PEM file with the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key; no permission for group (but read) or others.
    pub key: PathBuf,
    /// The names it is shown for: `mail.example.org`, `*.example.org`. Empty:
    /// the DNS names that it carries.
    pub names: Vec<String>,
    /// An OCSP response in DER that is sent with it.
    pub staple: Option<PathBuf>,
}

/// What is wanted of a client's own certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether one is asked for.
    pub demand: Demand,
    /// Authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files; all of them count, whatever they are called.
    pub ca_dir: Option<PathBuf>,
    /// Revocation lists, PEM. With it, every certificate needs a list of its
    /// issuer, and the list must be in force.
    pub crl_file: Option<PathBuf>,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nobody is asked.
    #[default]
    None,
    /// Who has one shows it. What it is worth is recorded; the handshake goes on in any case.
    Request,
    /// Without one that passes there is no session.
    Require,
}

/// Oldest TLS version accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2 and 1.3.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

impl Settings {
    /// One certificate, TLS 1.2 and 1.3, no certificates of clients.
    #[must_use]
    pub fn of_pair(certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            certificates: vec![Pair { certificate, key, ..Pair::default() }],
            minimum_version: MinimumVersion::Tls12,
            clients: ClientCertificates::default(),
        }
    }

    /// Every file and directory that is read.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let Self { certificates, clients, .. } = self;
        let of_pairs = certificates.iter().flat_map(|pair| {
            [Some(&pair.certificate), Some(&pair.key), pair.staple.as_ref()].into_iter().flatten()
        });
        let of_clients = [&clients.ca_file, &clients.ca_dir, &clients.crl_file];
        of_pairs.chain(of_clients.into_iter().flatten()).cloned().collect()
    }
}
