//! Certificates of clients: asking for one, and saying what it is worth.
//!
//! Where certificates are requested, the handshake succeeds with any, as
//! sendmail's does: a mail program that shows a certificate of its own must not
//! lose its mail for it. What the certificate is worth is judged afterwards, on
//! every connection: a resumed session brings its certificate along, and it may
//! have been revoked or have expired since. Where they are required, the same
//! judgement ends the handshake.
//!
//! Trust is decided by webpki alone, against the authorities of the settings:
//! chain, period, purpose (TLS client), revocation lists as OpenSSL with
//! `X509_V_FLAG_CRL_CHECK_ALL`, which is what sendmail sets.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};

use super::TlsError;
use super::distinguished::{common_name, sendmail_form};
use super::error::{NONE_SHOWN, problem_of_certificate};
use super::expiry::{Expiry, Subject};
use super::files::{read_certificates, read_directory, read_revocation_lists};
use super::settings::{ClientCertificates, Demand};
use super::x509::{self, Certificate};

/// A certificate that a client has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Subject in sendmail's form (`{cert_subject}`): `/C=DE/CN=Alice+20Doe`.
    pub subject: String,
    /// Issuer in sendmail's form (`{cert_issuer}`).
    pub issuer: String,
    /// The subject's first common name as it stands there, any UTF-8.
    pub common_name: Option<String>,
    /// Mail addresses among its alternative names, printable ASCII.
    pub mail_addresses: Vec<String>,
    /// DNS names among its alternative names, printable ASCII.
    pub dns_names: Vec<String>,
    /// SHA-256 of the certificate, as `openssl x509 -fingerprint` shows it: `AB:CD:...`.
    pub fingerprint: String,
    /// Why it was not verified; `None` if it was.
    pub problem: Option<String>,
}

/// What came of asking a client for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    /// sendmail's `{verify}`: `OK`, `FAIL`, or `NO` where none was shown.
    pub(super) verify: &'static str,
    pub(super) certificate: Option<ClientCertificate>,
}

/// Asks clients for certificates, and judges them.
#[derive(Debug)]
pub(super) struct Examiner {
    /// Who says what is to be trusted.
    judge: Arc<dyn ClientCertVerifier>,
    /// Authorities that clients are told of: those of the file, as sendmail does. A
    /// directory often holds hundreds.
    hints: Vec<DistinguishedName>,
    demand: Demand,
}

impl Examiner {
    /// Reads authorities and revocation lists; `None` if nobody is to be asked.
    /// The ends of the revocation lists are added to `expiries`.
    pub(super) fn load(
        settings: &ClientCertificates,
        provider: &Arc<CryptoProvider>,
        expiries: &mut Vec<Expiry>,
    ) -> Result<Option<Arc<Self>>, TlsError> {
        if settings.demand == Demand::None {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        let mut known = HashSet::new();
        if let Some(path) = &settings.ca_file {
            for certificate in read_certificates(path, "client CA file")? {
                // A bundle may hold an authority twice.
                if known.insert(certificate.clone()) {
                    roots.add(certificate).map_err(|error| TlsError::BadAuthority {
                        path: path.clone(),
                        detail: error.to_string(),
                    })?;
                }
            }
        }
        let hints = roots.subjects();
        if let Some(path) = &settings.ca_dir {
            // In a hashed directory every certificate has a link beside it.
            let mut found = read_directory(path, "client CA directory")?;
            found.retain(|certificate| known.insert(certificate.clone()));
            roots.add_parsable_certificates(found);
        }
        if roots.is_empty() {
            return Err(TlsError::NoClientAuthority(settings.ca_dir.clone()));
        }
        let lists = match &settings.crl_file {
            Some(path) => read_revocation_lists(path)?,
            None => Vec::new(),
        };
        for (path, list) in
            settings.crl_file.iter().flat_map(|path| lists.iter().map(move |it| (path, it)))
        {
            let issuer = x509::RevocationList::read(list);
            expiries.extend(issuer.and_then(|list| {
                Some(Expiry {
                    subject: Subject::RevocationList,
                    file: path.clone(),
                    names: vec![sendmail_form(list.issuer)],
                    not_before: list.this_update,
                    not_after: list.next_update?,
                })
            }));
        }
        let judge =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .with_crls(lists)
                .enforce_revocation_expiration()
                .build()
                .map_err(|error| TlsError::BadRevocationList {
                    path: settings.crl_file.clone().unwrap_or_default(),
                    detail: error.to_string(),
                })?;
        Ok(Some(Arc::new(Self { judge, hints, demand: settings.demand })))
    }

    /// What the certificate of a connection is worth at `now`; `chain` is as
    /// the client sent it, its own first.
    pub(super) fn examine(&self, chain: Option<&[CertificateDer<'_>]>, now: UnixTime) -> Judgement {
        let Some((own, others)) = chain.and_then(<[_]>::split_first) else {
            return Judgement { verify: "NO", certificate: None };
        };
        let verdict = match is_beyond_us(own) {
            true => Err("it has a form or key that is not supported".to_owned()),
            false => self.judge.verify_client_cert(own, others, now).map_err(|error| match error {
                Error::InvalidCertificate(what) => problem_of_certificate(&what),
                other => other.to_string(),
            }),
        };
        let verify = if verdict.is_ok() { "OK" } else { "FAIL" };
        let certificate = Some(ClientCertificate::describe(own, verdict.err()));
        Judgement { verify, certificate }
    }

    /// What `judgement` means for the session: an error ends it.
    pub(super) fn admits(&self, judgement: &Judgement) -> Result<(), String> {
        if self.demand != Demand::Require || judgement.verify == "OK" {
            return Ok(());
        }
        let problem = judgement.certificate.as_ref().and_then(|shown| shown.problem.clone());
        Err(problem.unwrap_or_else(|| NONE_SHOWN.to_owned()))
    }
}

/// True for a certificate that can be neither verified nor used to verify the
/// proof of its key: it is never `OK`, so the proof does not matter.
fn is_beyond_us(certificate: &CertificateDer<'_>) -> bool {
    const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
    let is_odd_size =
        |read: Certificate<'_>| read.rsa_bits().is_some_and(|bits| !RSA_BITS.contains(&bits));
    ParsedCertificate::try_from(certificate).is_err()
        || Certificate::read(certificate).is_none_or(is_odd_size)
}

impl ClientCertVerifier for Examiner {
    fn client_auth_mandatory(&self) -> bool {
        self.demand == Demand::Require
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.demand {
            // `examine` says afterwards what it is worth.
            Demand::Request | Demand::None => Ok(ClientCertVerified::assertion()),
            Demand::Require => self.judge.verify_client_cert(own, others, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match is_beyond_us(certificate) && self.demand == Demand::Request {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => self.judge.verify_tls12_signature(message, certificate, signed),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match is_beyond_us(certificate) && self.demand == Demand::Request {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => self.judge.verify_tls13_signature(message, certificate, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

impl ClientCertificate {
    fn describe(der: &CertificateDer<'_>, problem: Option<String>) -> Self {
        let pairs: Vec<String> =
            Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
        let read = Certificate::read(der);
        let name =
            |part: fn(&Certificate<'_>) -> Vec<u8>| read.as_ref().map(part).unwrap_or_default();
        let subject = name(|read| read.subject.to_vec());
        let issuer = name(|read| read.issuer.to_vec());
        let names = read.map(|read| read.names).unwrap_or_default();
        Self {
            subject: sendmail_form(&subject),
            issuer: sendmail_form(&issuer),
            common_name: common_name(&subject),
            mail_addresses: names.mail,
            dns_names: names.dns,
            fingerprint: pairs.join(":"),
            problem,
        }
    }
}
