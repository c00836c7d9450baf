//! Composes the gate's policy: configuration and files to a desk and a resolver.
//!
//! What has been counted and remembered goes over from the gate before, where
//! a reload leaves the settings it was counted by as they were.

use std::sync::Arc;

use super::access::{self, Loaded};
use super::policy_file::PolicyFileError;
use super::sender_map::{self, SenderMapError};
use crate::config::Config;
use crate::gate::access::Access;
use crate::gate::desk::Desk;
use crate::gate::driver::Gate;
use crate::gate::names::{Names, NamesError};
use crate::gate::sending::{Sending, SendingSettings};
use crate::gate::{ListenerKind, Settings};
use crate::policy::sender::Rights;

/// The settings of `[policy]` with the realm filled in.
#[must_use]
pub fn sending_settings(config: &Config) -> SendingSettings {
    let mut settings = config.gate.sending.clone();
    if settings.realm.is_empty() {
        settings.realm.clone_from(&config.auth.default_realm);
    }
    settings
}

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// `policy.sender.map`.
    #[error("policy.sender.map: {0}")]
    SenderMap(#[from] SenderMapError),
    /// A file of `[policy.access]`.
    #[error("policy.access: {0}")]
    Access(#[from] PolicyFileError),
}

/// What policy says, by `config` and the files that it names.
///
/// # Errors
/// The map of senders is faulty, or a file cannot be read.
pub(super) fn desk(config: &Config, old: Option<&Gate>) -> Result<Desk, DeskError> {
    let access = Arc::new(access(config, old)?);
    let settings = sending_settings(config);
    let map = settings.sender_map.as_deref();
    let map = map.map(|path| sender_map::read(path, &settings.realm)).transpose()?;
    let rights = Rights { settings: settings.sender.clone(), map: map.map(Arc::new) };
    let old = old.map(|gate| &*gate.desk.sending);
    Ok(Desk { access, sending: Arc::new(Sending::new(&settings, rights, old)) })
}

fn access(config: &Config, old: Option<&Gate>) -> Result<Access, PolicyFileError> {
    let settings = &config.access;
    let Loaded { site, problems } = access::load(settings, &config.gate.hostname)?;
    if let Some(map) = &settings.map {
        for problem in problems {
            tracing::warn!("{}:{}: {}", map.display(), problem.line, problem.text);
        }
        tracing::info!("{}: {} keys", map.display(), site.map.len());
    }
    Ok(Access::new(site, settings.map.clone(), old.map(|gate| &*gate.desk.access)))
}

/// Who asks the DNS, where a listener is for strangers and there is something to ask.
///
/// # Errors
/// There is no resolver.
pub(super) fn names(
    settings: &Settings,
    old: Option<&Gate>,
) -> Result<Option<Arc<Names>>, NamesError> {
    let is_mta = settings.listeners.iter().any(|it| it.kind == ListenerKind::Mta);
    if !is_mta || (!settings.names.client_names && settings.names.zones.is_empty()) {
        return Ok(None);
    }
    let known = old.and_then(|gate| gate.names.as_ref());
    match known.filter(|names| names.fits(&settings.names)) {
        Some(names) => Ok(Some(Arc::clone(names))),
        None => Names::new(&settings.names).map(Arc::new).map(Some),
    }
}
