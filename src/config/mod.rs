//! Configuration: one table of keys, checked into the `Settings` of each domain.

use crate::{auth, backend, gate, ops, server, tls};

/// A checked configuration: what the composition roots build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Account that services run as once they have what only root may open; `None`: stay.
    pub service_user: Option<String>,
    /// `[authd]`: judging attempts.
    pub auth: auth::Settings,
    /// `[authd]`: the saslauthd socket.
    pub saslauthd: server::saslauthd::Settings,
    /// `[pam]`
    pub pam: backend::pam::Settings,
    /// `[store]`
    pub store: backend::store::Settings,
    /// `[gate]`, `[[gate.listener]]`, `[[gate.backend]]`
    pub gate: gate::Settings,
    /// `[tls]`; `None` until a certificate is named, and then the gate cannot start.
    pub tls: Option<tls::Settings>,
    /// `[log]`
    pub log: ops::log::Settings,
}

mod problem;

pub use problem::Problems;

impl Config {
    /// Every key at its default, on a host called `fqdn`.
    #[must_use]
    pub fn with_defaults(_fqdn: &str) -> Self {
        unimplemented!("filled by the config work")
    }
}

/// Reads and checks the file at `path`, for a host called `fqdn`.
///
/// # Errors
/// Every problem of the file at once, each with its place.
pub fn load(_path: &std::path::Path, _fqdn: &str) -> Result<Config, Problems> {
    unimplemented!("filled by the config work")
}
