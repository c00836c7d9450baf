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
pub mod httpform_conf;
mod kerberos5_file;
pub mod keys;
mod kind;
mod ldap_file;
mod ldap_rules;
pub mod manual;
mod nearest;
mod problem;
mod reader;
mod reading;
mod rules;
pub mod saslauthd_conf;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

use crate::{auth, backend, gate, ops, policy, server, tls};

use reading::{Reading, Site};

pub use kerberos5_file::kerberos5_settings;
pub use ldap_file::ldap_settings;
pub use problem::{Look, Place, Problem, Problems, Severity};
pub use rules::is_local;

/// A checked configuration: what the composition roots build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `authd.user`: account that authd runs as once it has what only root may open; `None`: stay.
    pub authd_user: Option<String>,
    /// Whether authd reads its configuration again when the file changes.
    pub authd_watch_config: bool,
    /// `gate.user`: the same for the gate.
    pub gate_user: Option<String>,
    /// Whether the gate reads its configuration again when the file changes.
    pub gate_watch_config: bool,
    /// `[authd]`, `[cache]`: judging attempts.
    pub auth: auth::Settings,
    /// `[authd]`: the saslauthd socket.
    pub saslauthd: server::saslauthd::Settings,
    /// `[pam]`
    pub pam: backend::pam::Settings,
    /// `[shadow]`
    pub shadow: backend::shadow::Settings,
    /// `[rimap]`
    pub rimap: backend::rimap::Settings,
    /// `[httpform]`
    pub httpform: backend::httpform::Settings,
    /// `[ldap]`; what its `config` names is read by [`ldap_settings`].
    pub ldap: backend::ldap::Settings,
    /// `[kerberos5]`; what its `config` names is read by [`kerberos5_settings`].
    pub kerberos5: backend::kerberos5::Settings,
    /// `[store]`
    pub store: backend::store::Settings,
    /// `[sasldb]`
    pub sasldb: backend::sasldb::Settings,
    /// `[gate]`, `[[gate.listener]]`, `[[gate.backend]]`
    pub gate: gate::Settings,
    /// `[policy.access]`
    pub access: policy::access::Settings,
    /// `[tls]`; `None` until a certificate is named, and then the gate cannot start.
    pub tls: Option<tls::Settings>,
    /// `[metrics]`
    pub metrics: server::metrics::Settings,
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
    inspect(path, fqdn).map(|file| file.config)
}

/// As [`load`], with the places of what the file sets.
///
/// # Errors
/// As [`load`].
pub fn inspect(path: &Path, fqdn: &str) -> Result<Inspected, Problems> {
    let source = file::read(path)?;
    let Reading { config, sites, problems } = reader::read(&source, fqdn);
    if problems.is_empty() {
        return Ok(Inspected { config, path: path.to_owned(), source, sites });
    }
    Err(Problems::new(path, &source, problems))
}

/// A good configuration file, for those who speak about it.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What it says.
    pub config: Config,
    path: PathBuf,
    source: String,
    sites: Vec<Site>,
}

/// A key that a file sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Line of its value, from 1 on.
    pub line: usize,
    /// The value as it is written, TOML.
    pub value: &'a str,
}

impl Inspected {
    /// Where the file sets `key` (a full name: `gate.max_message`): empty if it
    /// does not, and an item for each entry of a repeated section.
    #[must_use]
    pub fn settings(&self, key: &str) -> Vec<Setting<'_>> {
        let sites = self.sites.iter().filter(|site| site.path == key);
        sites.filter_map(|site| self.setting(site)).collect()
    }

    fn setting(&self, site: &Site) -> Option<Setting<'_>> {
        let before = self.source.get(..site.value.start)?;
        let value = self.source.get(site.value.clone())?;
        Some(Setting { line: before.matches('\n').count() + 1, value })
    }

    /// True if the file sets a key of that section.
    #[must_use]
    pub fn sets_any_of(&self, section: &str) -> bool {
        let prefix = format!("{section}.");
        self.sites.iter().any(|site| site.path.starts_with(&prefix))
    }

    /// A warning about `key`, at its place in the file where the file sets it.
    #[must_use]
    pub fn warning(&self, key: &str, title: String, label: &str) -> Problem {
        let problem = Problem::warning(title).about(key);
        match self.sites.iter().find(|site| site.path == key) {
            Some(site) => problem.at(site.value.clone(), label),
            None => problem,
        }
    }

    /// Gathers problems of this file for rendering.
    #[must_use]
    pub fn problems(&self, problems: Vec<Problem>) -> Problems {
        Problems::new(&self.path, &self.source, problems)
    }
}
