//! Configuration: one table of keys, checked into the `Settings` of each domain.
//!
//! ```text
//! file -> text -> reader (walks the file along keys, kind checks each value)
//!              -> rules (what several keys mean together) -> Config, or Problems
//! ```
//!
//! `keys` is the one place where a key exists; the annotated example, `saslgate
//! config` and the manual are made from it in `manual`. Layer 5: names the
//! `Settings` of the domains and nothing of their behaviour. Called by the
//! composition roots and by the command line.

mod blank;
mod file;
mod forms;
mod keys;
mod kind;
mod nearest;
mod problem;
mod reader;
mod rules;
mod units;

use std::path::Path;

use crate::{auth, backend, gate, ops, server, tls};

pub use problem::{Look, Place, Problem, Problems, Severity};

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

impl Config {
    /// Every key at its default, on a host called `fqdn`.
    #[must_use]
    pub fn with_defaults(fqdn: &str) -> Self {
        let mut config = blank::config(fqdn);
        reader::apply_defaults(&mut config);
        config
    }
}

/// Reads and checks the file at `path`, for a host called `fqdn`.
///
/// # Errors
/// Every problem of the file at once, each with its place.
pub fn load(path: &Path, fqdn: &str) -> Result<Config, Problems> {
    let source = file::read(path)
        .map_err(|(problem, source)| Problems::new(path, &source, vec![problem]))?;
    let reading = reader::read(&source, fqdn);
    if reading.problems.is_empty() {
        return Ok(reading.config);
    }
    Err(Problems::new(path, &source, reading.problems))
}
