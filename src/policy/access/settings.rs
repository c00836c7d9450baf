//! Settings of the access map and of the classes beside it.

use std::path::PathBuf;

/// `[policy.access]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// sendmail's access file, the text; `None` for no map.
    pub map: Option<PathBuf>,
    /// `FEATURE(delay_checks)`.
    pub delay_checks: bool,
    /// Clients on loopback may relay.
    pub relay_loopback: bool,
    /// Class w.
    pub local_domains: Vec<String>,
    /// More of class w, as sendmail's `local-host-names`.
    pub local_domains_file: Option<PathBuf>,
    /// Class R: domains, and networks by their whole octets.
    pub relay_domains: Vec<String>,
    /// More of class R, as sendmail's `relay-domains`.
    pub relay_domains_file: Option<PathBuf>,
}
