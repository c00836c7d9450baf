//! A server known by its public key: no authority and no name, but that key.
//!
//! For backends with a certificate of their own making. The fingerprint is that
//! of SubjectPublicKeyInfo (RFC 7469 §2.4), so that a certificate may be renewed
//! with the same key; written as curl's `--pinnedpubkey` takes it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256};

use super::TlsError;
use super::unverified::Unverified;
use super::x509::Certificate;

/// SHA-256 of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Reads `sha256//` and the base64 of the fingerprint.
    ///
    /// # Errors
    /// [`TlsError::BadPin`].
    pub fn parse(text: &str) -> Result<Self, TlsError> {
        let bad = || TlsError::BadPin(text.to_owned());
        let digits = text.strip_prefix("sha256//").ok_or_else(bad)?;
        let bytes = STANDARD.decode(digits).map_err(|_| bad())?;
        Ok(Self(bytes.try_into().map_err(|_| bad())?))
    }

    /// That of the key in a certificate; `None` if it cannot be read.
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        Certificate::read(certificate).map(|read| Self(Sha256::digest(read.key).into()))
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256//{}", STANDARD.encode(self.0))
    }
}

/// Another key than those.
#[derive(Debug, thiserror::Error)]
#[error("its key is {0}, which is not the one that is pinned")]
struct NotPinned(Pin);

/// Takes certificates with one of these keys.
#[derive(Debug)]
pub(super) struct Pinned {
    pins: Vec<Pin>,
    /// The proof that the other side has the key.
    proof: Unverified,
}

impl Pinned {
    pub(super) fn new(pins: Vec<Pin>, proof: Unverified) -> Self {
        Self { pins, proof }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match Pin::of(own) {
            Some(pin) if self.pins.contains(&pin) => Ok(ServerCertVerified::assertion()),
            Some(pin) => Err(CertificateError::Other(OtherError(Arc::new(NotPinned(pin)))).into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.proof.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.proof.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(Pin::parse(text).unwrap().to_string(), text);
        for bad in
            ["", "sha256//", "sha256//AAAA", &text[8..], &text[..text.len() - 1], "md5//AAAA"]
        {
            assert!(matches!(Pin::parse(bad), Err(TlsError::BadPin(_))), "{bad}");
        }
    }
}
