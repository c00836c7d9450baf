//! Settings of the server side of TLS.

use std::path::PathBuf;

/// The gate's certificate and what it accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// PEM file with the certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the private key; no permission for group (but read) or others.
    pub key: PathBuf,
    /// Oldest protocol version accepted.
    pub minimum_version: MinimumVersion,
}

/// Oldest TLS version accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinimumVersion {
    /// TLS 1.2 and 1.3.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}
