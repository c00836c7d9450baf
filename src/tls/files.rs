//! Reads certificates and keys, and refuses what is unsafe or no use.
//!
//! Files are PEM (RFC 7468); text around the sections is ignored, so the
//! output of `openssl x509 -text` works. A key file that others could read or
//! replace is refused before a byte of it is read.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::TlsError;

/// Larger than any chain or trust store (Debian's bundle has 220 KiB).
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Group may not write, others may do nothing.
const FORBIDDEN_KEY_BITS: u32 = 0o027;

/// Reads every certificate of the file, in its order; at least one.
/// `what` names the file in errors: `certificate` or `CA file`.
pub(super) fn read_certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_file(path, what)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(pem::Error::NoItemsFound) => {
            Err(TlsError::NoCertificate { what, path: path.to_owned() })
        }
        Err(error) => Err(bad_pem(path, what, &error)),
    }
}

/// Most files of a directory of authorities that are looked at (Debian's has 300).
const MAX_FILES: usize = 4096;

/// Reads every certificate in the regular files of a directory; other files are passed over.
pub(super) fn read_directory(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: path.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)?.take(MAX_FILES) {
        let file = entry.map_err(unreadable)?.path();
        // Keys, indexes, dangling links: whatever else lies there.
        found.extend(read_certificates(&file, what).unwrap_or_default());
    }
    Ok(found)
}

/// Reads every revocation list of the file; at least one.
pub(super) fn read_revocation_lists(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    const WHAT: &str = "revocation list";
    let text = read_file(path, WHAT)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    match lists {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(pem::Error::NoItemsFound) => Err(TlsError::NoRevocationList(path.to_owned())),
        Err(error) => Err(bad_pem(path, WHAT, &error)),
    }
}

/// Reads a file of at most 1 MiB, whatever is in it.
pub(super) fn read_file(path: &Path, what: &'static str) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    read(open(path, what)?, path, what)
}

/// Reads the first private key of the file (PKCS#8, PKCS#1 or SEC1).
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    const WHAT: &str = "private key";
    let file = open(path, WHAT)?;
    check_access(&file, path)?;
    let text = read(file, path, WHAT)?;
    if is_encrypted(&text) {
        return Err(TlsError::EncryptedKey(path.to_owned()));
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoKey(path.to_owned())),
        Err(error) => Err(bad_pem(path, WHAT, &error)),
    }
}

/// The mode and owner of the file that is open, not of whatever the name leads to by now.
fn check_access(file: &File, path: &Path) -> Result<(), TlsError> {
    let unreadable =
        |source| TlsError::Unreadable { what: "private key", path: path.to_owned(), source };
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & FORBIDDEN_KEY_BITS != 0 {
        return Err(TlsError::KeyMode { path: path.to_owned(), mode });
    }
    let us = nix::unistd::geteuid().as_raw();
    // Started as root, the key may well belong to the account we change to.
    let is_trusted = us == 0 || metadata.uid() == 0 || metadata.uid() == us;
    if !is_trusted {
        return Err(TlsError::KeyOwner { path: path.to_owned(), owner: metadata.uid() });
    }
    Ok(())
}

fn open(path: &Path, what: &'static str) -> Result<File, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: path.to_owned(), source };
    // Asked before opening: opening a FIFO would wait for a writer.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return Err(TlsError::NotAFile { what, path: path.to_owned() });
    }
    File::open(path).map_err(unreadable)
}

fn read(file: File, path: &Path, what: &'static str) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { what, path: path.to_owned(), source };
    let size = file.metadata().map_err(unreadable)?.len().min(MAX_FILE_BYTES);
    // Room for all of it at once: a vector that grows leaves copies of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(MAX_FILE_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn is_encrypted(text: &[u8]) -> bool {
    let has = |mark: &str| memchr::memmem::find(text, mark.as_bytes()).is_some();
    has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("Proc-Type: 4,ENCRYPTED")
}

fn bad_pem(path: &Path, what: &'static str, error: &pem::Error) -> TlsError {
    TlsError::BadPem { what, path: path.to_owned(), detail: format!("{error}") }
}
