//! The self-signed certificate of `saslgate try`: for `localhost`, 127.0.0.1 and ::1.
//!
//! Clients trust it by naming it as their CA file. An existing pair is kept,
//! so that a directory which is used again keeps the clients that know it.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};
use zeroize::Zeroizing;

/// Names that clients on this host may use.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where a pair lies.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    /// The certificate, readable for all.
    pub(super) certificate: PathBuf,
    /// The private key, 0600.
    pub(super) key: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// rcgen refused.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Pair {
    /// The pair in `dir`; made if either file is missing.
    pub(super) fn in_dir(dir: &Path) -> Result<Self, CertificateError> {
        let pair = Self { certificate: dir.join("cert.pem"), key: dir.join("key.pem") };
        if pair.certificate.exists() && pair.key.exists() {
            return Ok(pair);
        }
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        params.distinguished_name.push(DnType::CommonName, "saslgate try");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        let secret = Zeroizing::new(key.serialize_pem());
        write(&pair.key, secret.as_bytes(), 0o600)?;
        write(&pair.certificate, certificate.as_bytes(), 0o644)?;
        Ok(pair)
    }
}

/// Makes a file that nobody else could read for a moment.
fn write(path: &Path, text: &[u8], mode: u32) -> Result<(), CertificateError> {
    let failed = |source| CertificateError::Write { path: path.to_owned(), source };
    // A half of a pair from an earlier run; its mode must not be inherited.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tls::{ClientTls, ServerTls, Settings};

    #[tokio::test]
    async fn clients_that_trust_the_file_accept_every_name() {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair::in_dir(dir.path()).unwrap();
        assert_eq!(fs::metadata(&pair.key).unwrap().permissions().mode() & 0o777, 0o600);
        let settings = Settings::of_pair(pair.certificate.clone(), pair.key.clone());
        let server = ServerTls::load(&settings).unwrap();
        for name in NAMES {
            let client = ClientTls::load(Some(&pair.certificate), name).unwrap();
            let (near, far) = tokio::io::duplex(64 * 1024);
            let (accepted, connected) = tokio::join!(server.accept(near), client.connect(far));
            assert!(accepted.is_ok() && connected.is_ok(), "{name}");
        }
    }

    #[test]
    fn a_pair_that_is_there_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair::in_dir(dir.path()).unwrap();
        let before = fs::read(&pair.key).unwrap();
        Pair::in_dir(dir.path()).unwrap();
        assert_eq!(fs::read(&pair.key).unwrap(), before);
        fs::remove_file(&pair.certificate).unwrap();
        Pair::in_dir(dir.path()).unwrap();
        assert_ne!(fs::read(&pair.key).unwrap(), before);
    }
}
