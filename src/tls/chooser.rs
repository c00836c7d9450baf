//! Which of several certificates a client is shown: by the name it asks for (SNI, RFC 6066 §3).
//!
//! The exact name first, then the wildcard one label up, then the default.
//! Several certificates may stand for one name, as an ECDSA and an RSA one do:
//! the first whose key the client can verify is taken. Pure tables, made at load.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates of the gate, by name.
#[derive(Debug)]
pub(super) struct Chooser {
    /// Lower case; a wildcard as its name without `*`: `.example.org`.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Vec<Arc<CertifiedKey>>,
}

impl Chooser {
    /// Certificates with the names they are shown for. The first is the
    /// default, with those that stand for the very same names.
    pub(super) fn new(certificates: &[(Vec<String>, Arc<CertifiedKey>)]) -> Self {
        let mut by_name: HashMap<String, Vec<_>> = HashMap::new();
        let mut default = Vec::new();
        for (names, key) in certificates {
            if certificates.first().is_some_and(|(first, _)| first == names) {
                default.push(Arc::clone(key));
            }
            for name in names {
                let name = name.strip_prefix('*').unwrap_or(name).to_ascii_lowercase();
                by_name.entry(name).or_default().push(Arc::clone(key));
            }
        }
        Self { by_name, default }
    }

    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = name.and_then(|name| self.of_name(name)).unwrap_or(&self.default);
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        candidates.iter().find(fits).or(candidates.first()).cloned()
    }

    fn of_name(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        // Mail programs send what the user typed.
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        let above = name.find('.').map(|dot| &name[dot..]);
        self.by_name.get(&*name).or_else(|| self.by_name.get(above?))
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, SignatureAlgorithm};
    use rustls::crypto::aws_lc_rs;

    use super::*;

    fn key(algorithm: &'static SignatureAlgorithm) -> Arc<CertifiedKey> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["x.test".to_owned()]).unwrap();
        let chain = vec![params.self_signed(&key).unwrap().der().clone()];
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Arc::new(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).unwrap())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_name_decides_then_the_wildcard_then_the_first() {
        let keys: Vec<_> = (0..3).map(|_| key(&rcgen::PKCS_ECDSA_P256_SHA256)).collect();
        let chooser = Chooser::new(&[
            (names(&["mail.example.org"]), Arc::clone(&keys[0])),
            (names(&["*.Example.org", "example.org"]), Arc::clone(&keys[1])),
            (names(&["smtp.example.org", "mail.example.com"]), Arc::clone(&keys[2])),
        ]);
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        for (name, wanted) in [
            (None, 0),
            (Some("mail.example.org"), 0),
            (Some("MAIL.example.ORG"), 0),
            (Some("imap.example.org"), 1),
            (Some("example.org"), 1),
            (Some("a.b.example.org"), 0),
            (Some("smtp.example.org"), 2),
            (Some("mail.example.com"), 2),
            (Some("other.test"), 0),
            (Some("localhost"), 0),
            (Some(".example.org"), 1),
        ] {
            let chosen = chooser.choose(name, &schemes).unwrap();
            assert!(Arc::ptr_eq(&chosen, &keys[wanted]), "{name:?}");
        }
    }

    #[test]
    fn of_two_for_one_name_the_client_gets_the_one_it_can_verify() {
        let (p256, p384) =
            (key(&rcgen::PKCS_ECDSA_P256_SHA256), key(&rcgen::PKCS_ECDSA_P384_SHA384));
        let both = [
            (names(&["mail.test"]), Arc::clone(&p256)),
            (names(&["mail.test"]), Arc::clone(&p384)),
        ];
        let chooser = Chooser::new(&both);
        for name in [Some("mail.test"), None] {
            let of = |scheme| chooser.choose(name, &[scheme]).unwrap();
            assert!(Arc::ptr_eq(&of(SignatureScheme::ECDSA_NISTP256_SHA256), &p256));
            assert!(Arc::ptr_eq(&of(SignatureScheme::ECDSA_NISTP384_SHA384), &p384));
            assert!(Arc::ptr_eq(&of(SignatureScheme::ED448), &p256));
        }
    }
}
