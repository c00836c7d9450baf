//! Reads the files of `[policy.access]`: the access map, `local-host-names`, `relay-domains`.
//!
//! Called by the gate at start and reload, and by `saslgate check`.

use std::path::Path;

use super::policy_file::{self, PolicyFileError};
use crate::policy::access::classes::{self, Classes};
use crate::policy::access::{AccessMap, LineProblem, Settings, Site};

/// What the rules go by, and what was left out of the map.
pub struct Loaded {
    /// To be asked.
    pub site: Site,
    /// Lines of the map that are not understood, or odd.
    pub problems: Vec<LineProblem>,
}

/// Reads all that `settings` name, for a gate called `hostname`.
///
/// # Errors
/// A file cannot be read, or everybody may write to it.
pub fn load(settings: &Settings, hostname: &str) -> Result<Loaded, PolicyFileError> {
    let (map, problems) = match &settings.map {
        Some(path) => AccessMap::parse(&policy_file::read(path)?),
        None => (AccessMap::default(), Vec::new()),
    };
    let local = all_of(&settings.local_domains, settings.local_domains_file.as_deref())?;
    let relay = all_of(&settings.relay_domains, settings.relay_domains_file.as_deref())?;
    let own = [hostname, "localhost"];
    let classes =
        Classes::new(local.iter().map(String::as_str).chain(own), relay.iter().map(String::as_str));
    let Settings { delay_checks, relay_loopback, .. } = *settings;
    Ok(Loaded { site: Site { map, classes, delay_checks, relay_loopback }, problems })
}

fn all_of(names: &[String], file: Option<&Path>) -> Result<Vec<String>, PolicyFileError> {
    let mut all = names.to_vec();
    if let Some(path) = file {
        all.extend(classes::names(&policy_file::read(path)?));
    }
    Ok(all)
}
