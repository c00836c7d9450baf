//! What can be wrong with certificate files, and how a handshake can fail.
//!
//! [`TlsError`] is for the administrator who starts or reloads the gate: it
//! names the file and what to do. [`HandshakeError`] is for the log: one line
//! that says who is at fault. Neither carries key material.

use std::io;
use std::path::PathBuf;

/// Why TLS cannot be set up from the files and settings given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file could not be opened or read.
    #[error("cannot read the {what} {}: {source}", path.display())]
    Unreadable {
        /// `certificate`, `private key` or `CA file`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory or device, or a file beyond 1 MiB.
    #[error("the {what} {} is not a regular file of at most 1 MiB", path.display())]
    NotAFile {
        /// As in [`TlsError::Unreadable`].
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// PEM markers that do not fit, or base64 that is none.
    #[error("the {what} {} is not valid PEM: {detail}", path.display())]
    BadPem {
        /// As in [`TlsError::Unreadable`].
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the parser said.
        detail: String,
    },
    /// No certificate in a file that must hold one.
    #[error(
        "there is no certificate in the {what} {}: it must be PEM text with \
         \"-----BEGIN CERTIFICATE-----\", the server's own certificate first", path.display()
    )]
    NoCertificate {
        /// `certificate` or `CA file`.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// No private key in the key file.
    #[error(
        "there is no private key in {}: it must be PEM text with \"-----BEGIN PRIVATE KEY-----\" \
         (or RSA, or EC)", .0.display()
    )]
    NoKey(PathBuf),
    /// The key is protected by a passphrase.
    #[error(
        "the private key {key} is encrypted, and a service cannot ask for a passphrase; \
         write it without one: (umask 077; openssl pkey -in {key} -out {key}.plain)",
        key = .0.display()
    )]
    EncryptedKey(PathBuf),
    /// More people than the owner and, for reading, the group can get at the key.
    #[error(
        "the private key {key} has mode {mode:04o}: others could read or replace it; \
         run: chmod 600 {key} (or 640 for a group that may read it)", key = path.display()
    )]
    KeyMode {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key belongs to an account that is neither root nor the one we run as.
    #[error(
        "the private key {key} belongs to uid {owner}, which could replace it; \
         run: chown root {key}", key = path.display()
    )]
    KeyOwner {
        /// The key file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Key and certificate are not a pair.
    #[error(
        "the private key {} does not belong to the first certificate in {}; \
         name the pair that was issued together, the server's own certificate first in the file",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// rustls cannot use the certificate or the key.
    #[error("cannot use the certificate {}: {detail}", certificate.display())]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// What rustls said.
        detail: String,
    },
    /// The backend's name is neither a DNS name nor an address.
    #[error("\"{0}\" is neither a DNS name nor an IP address that a certificate could carry")]
    BadServerName(String),
    /// The host has no trusted authorities to verify the backend with.
    #[error(
        "this host's trust store holds no certificate ({0}); \
         install the package ca-certificates or name a CA file"
    )]
    NoTrustStore(String),
    /// A certificate of the CA file that is none.
    #[error("a certificate in the CA file {} cannot be used: {detail}", path.display())]
    BadAuthority {
        /// The CA file.
        path: PathBuf,
        /// What rustls said.
        detail: String,
    },
    /// Certificates of clients are asked for, and there is nobody who could have issued one.
    #[error(
        "certificates of clients are asked for, but there is no authority they could come from{}; \
         name one in tls.client_ca_file", in_directory(.0)
    )]
    NoClientAuthority(Option<PathBuf>),
    /// No revocation list in a file that must hold one.
    #[error(
        "there is no revocation list in {}: it must be PEM text with \"-----BEGIN X509 CRL-----\" \
         (from DER: openssl crl -inform der)", .0.display()
    )]
    NoRevocationList(PathBuf),
    /// A revocation list that is none.
    #[error("a revocation list in {} cannot be used: {detail}", path.display())]
    BadRevocationList {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        detail: String,
    },
    /// An OCSP response that cannot be handed out.
    #[error(
        "cannot use the OCSP response {}: {detail}; \
         it is what `openssl ocsp -respout` writes", path.display()
    )]
    BadStaple {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A certificate without DNS names stands among others, and none are given.
    #[error(
        "the certificate {} carries no DNS name, so no client could ask for it: \
         set `names` in its [[tls.certificate]]", .0.display()
    )]
    NoNames(PathBuf),
    /// A pin that is no fingerprint of a key.
    #[error(
        "\"{0}\" is no fingerprint of a public key: it is \"sha256//\" and 44 characters of base64, \
         as curl takes it"
    )]
    BadPin(String),
    /// The cryptographic library refused to work.
    #[error("cannot set up TLS: {0}")]
    Library(rustls::Error),
}

fn in_directory(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default()
}

/// Why a handshake failed, as one line for the log.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// What came is no TLS: usually a client without STARTTLS on an implicit-TLS
    /// port, or the other way round.
    #[error("plaintext instead of TLS: the peer did not start a TLS handshake")]
    Plaintext,
    /// The peer closed the connection in the middle.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// The peer refused us with an alert, for instance because it does not trust the certificate.
    #[error("the peer refused the handshake with alert {0}")]
    Alert(String),
    /// Version, cipher or key exchange: nothing both sides can do.
    #[error("no common ground: {0}")]
    Incompatible(String),
    /// The peer asked for another application protocol than `smtp` (ALPN).
    #[error("the peer asked for a protocol other than smtp (ALPN)")]
    WrongProtocol,
    /// The peer's certificate did not pass.
    #[error("the peer's certificate was not accepted: {0}")]
    Certificate(String),
    /// The peer broke the protocol.
    #[error("the peer broke the TLS protocol: {0}")]
    Protocol(String),
    /// The connection failed.
    #[error("the connection failed during the handshake: {0}")]
    Io(io::Error),
}

/// Why a client without a certificate has no session where one is required.
pub(super) const NONE_SHOWN: &str = "none was shown, and one is required";

impl From<io::Error> for HandshakeError {
    /// Sorts what tokio-rustls gives: a rustls error in an I/O error, or a real one.
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::from_tls(tls);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl HandshakeError {
    fn from_tls(error: &rustls::Error) -> Self {
        use rustls::{Error, InvalidMessage};
        match error {
            // The record header is the first thing read: an unknown content type,
            // version or length there is a peer that speaks something else.
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge,
            ) => Self::Plaintext,
            Error::AlertReceived(alert) => Self::Alert(format!("{alert:?}")),
            Error::PeerIncompatible(what) => Self::Incompatible(incompatibility(what)),
            Error::NoCertificatesPresented => Self::Certificate(NONE_SHOWN.to_owned()),
            Error::NoApplicationProtocol => Self::WrongProtocol,
            Error::InvalidCertificate(what) => Self::Certificate(problem_of_certificate(what)),
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// What both sides cannot do, in words where many meet it.
fn incompatibility(what: &rustls::PeerIncompatible) -> String {
    use rustls::PeerIncompatible as P;
    let words = match what {
        P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::SupportedVersionsExtensionRequired
        | P::SignatureAlgorithmsExtensionRequired
        | P::ServerDoesNotSupportTls12Or13 => {
            "no version of TLS that is accepted here (1.2 and 1.3 at most)"
        }
        P::NoCipherSuitesInCommon => "no cipher suite in common",
        P::NoKxGroupsInCommon => "no key exchange in common",
        P::NoSignatureSchemesInCommon => "no signature scheme for our kind of key in common",
        other => return format!("{other:?}"),
    };
    words.to_owned()
}

/// What is wrong with a certificate, in OpenSSL's words where it has some: they
/// are what sendmail logs as `verifymsg`, and what people look for.
pub(super) fn problem_of_certificate(error: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    let words = match error {
        E::Expired | E::ExpiredContext { .. } => "certificate has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "certificate is not yet valid",
        E::Revoked => "certificate revoked",
        E::UnknownIssuer => "unable to get local issuer certificate",
        E::UnknownRevocationStatus => "unable to get certificate CRL",
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => "CRL has expired",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "unsuitable certificate purpose",
        E::BadSignature => "certificate signature failure",
        // Of `pin`, whose words say more than rustls's around them.
        E::Other(rustls::OtherError(what)) => return what.to_string(),
        other => return other.to_string(),
    };
    words.to_owned()
}
