//! The backends of authd, as the configuration names them: opened, and opened again on reload.
//!
//! A backend whose settings did not change is kept: its threads, connections
//! and worker processes stay warm. A new kind of backend is a variant of
//! [`Wanted`], a line in [`Wanted::from`] and one in [`Wanted::open`].

use std::sync::Arc;

use super::StartError;
use crate::auth::Verify;
use crate::backend::httpform::{self, HttpForm};
use crate::backend::kerberos5::{self, Kerberos};
use crate::backend::ldap::{self, Ldap};
use crate::backend::pam::{self, Helper, HelperOptions, Pam, Reach};
use crate::backend::rimap::{self, Rimap};
use crate::backend::sasldb::{self, HostNames, Sasldb};
use crate::backend::shadow::{self, Accounts, Database};
use crate::backend::store::{self, PasswordStore};
use crate::config::{self, Config, httpform_conf};
use crate::sys::host;

const PAM: &str = "pam";

/// Whether a `saslgate-pam` of our own can still be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Respawn {
    /// As whoever we are and always were.
    Possible,
    /// Root is gone, and modules would fail for the wrong reason.
    Impossible,
}

/// The opened backends, each once, whoever asks them.
pub(super) struct Panel {
    seats: Vec<Seat>,
}

/// A backend, and the settings it was opened with.
#[derive(Clone)]
struct Seat {
    settings: Wanted,
    backend: Arc<dyn Verify>,
}

/// A kind of backend and its settings.
#[derive(Clone, PartialEq)]
enum Wanted {
    Store(store::Settings),
    Pam(pam::Settings),
    Ldap(Box<ldap::Settings>),
    Kerberos(kerberos5::Settings),
    Sasldb(sasldb::Settings),
    Accounts(Database, shadow::Settings),
    Rimap(rimap::Settings),
    HttpForm(httpform::Settings),
}

/// What opening a backend needs beside its settings.
struct Means<'a> {
    config: &'a Config,
    respawn: Respawn,
    /// A `saslgate-pam` that was started while we were root.
    helper: Option<Helper>,
}

/// Starts a `saslgate-pam` of our own if the configuration wants PAM and names
/// no running one. `peer_uid` is the uid that authd will have, if not the present one.
pub(super) fn spawn_helper(
    config: &Config,
    peer_uid: Option<u32>,
) -> Result<Option<Helper>, StartError> {
    let is_wanted = config.auth.asks(PAM);
    if !is_wanted || config.pam.socket.is_some() {
        return Ok(None);
    }
    let options = HelperOptions::beside_us(peer_uid, config.log)?;
    Ok(Some(Helper::spawn(&config.pam, &options)?))
}

impl Panel {
    /// Opens the backends of `config`; `helper` is the one that was started for it.
    pub(super) fn open(config: &Config, helper: Option<Helper>) -> Result<Self, StartError> {
        // What is not there by now cannot be started any more.
        let means = Means { config, respawn: Respawn::Impossible, helper };
        Self::seat(&[], means)
    }

    /// Opens the backends of a new configuration, keeping those that did not change.
    pub(super) fn reopen(&self, config: &Config, respawn: Respawn) -> Result<Self, StartError> {
        Self::seat(&self.seats, Means { config, respawn, helper: None })
    }

    fn seat(present: &[Seat], mut means: Means<'_>) -> Result<Self, StartError> {
        let config = means.config;
        let take = |name: &str| {
            let wanted = Wanted::from(config, name)?;
            match present.iter().find(|seat| seat.settings == wanted) {
                Some(seat) => Ok(seat.clone()),
                None => {
                    if wanted.is_remote() {
                        warn_of_sandbox(name);
                    }
                    Ok(Seat { backend: wanted.open(&mut means)?, settings: wanted })
                }
            }
        };
        let seats =
            config.auth.all_backends().into_iter().map(take).collect::<Result<_, StartError>>()?;
        Ok(Self { seats })
    }

    /// The backends, for the authenticator.
    pub(super) fn backends(&self) -> Vec<Arc<dyn Verify>> {
        self.seats.iter().map(|seat| Arc::clone(&seat.backend)).collect()
    }
}

impl Wanted {
    /// The backend called `name`, as `config` wants it.
    fn from(config: &Config, name: &str) -> Result<Self, StartError> {
        match name {
            "store" => Ok(Self::Store(config.store.clone())),
            PAM => Ok(Self::Pam(config.pam.clone())),
            "sasldb" => Ok(Self::Sasldb(config.sasldb.clone())),
            "shadow" => Ok(Self::Accounts(Database::Shadow, config.shadow.clone())),
            "rimap" => Ok(Self::Rimap(config.rimap.clone())),
            "httpform" => Ok(Self::HttpForm(httpform_settings(config)?)),
            "getpwent" => Ok(Self::Accounts(Database::Passwd, config.shadow.clone())),
            "ldap" => Ok(Self::Ldap(Box::new(ldap_settings(config)?))),
            "kerberos5" => config::kerberos5_settings(&config.kerberos5)
                .map(Self::Kerberos)
                .map_err(StartError::SaslauthdConf),
            _ => Err(StartError::NoBackend(name.to_owned())),
        }
    }

    /// True if a server is asked that may be on another host.
    fn is_remote(&self) -> bool {
        match self {
            Self::Ldap(settings) => settings.is_remote(),
            Self::Kerberos(_) | Self::Rimap(_) | Self::HttpForm(_) => true,
            Self::Store(_) | Self::Pam(_) | Self::Sasldb(_) | Self::Accounts(..) => false,
        }
    }

    fn open(&self, means: &mut Means<'_>) -> Result<Arc<dyn Verify>, StartError> {
        Ok(match self {
            Self::Store(settings) => PasswordStore::start(settings)?,
            Self::Ldap(settings) => Ldap::open((**settings).clone())?,
            Self::Kerberos(settings) => Kerberos::start(settings.clone(), host::fqdn())?,
            Self::Pam(settings) => Pam::connect(settings.clone(), means.reach(settings)?),
            Self::Rimap(settings) => Rimap::open(settings.clone())?,
            Self::HttpForm(settings) => HttpForm::open(settings.clone())?,
            Self::Sasldb(settings) => {
                Sasldb::open(settings, HostNames { name: host::name(), fqdn: host::fqdn() })?
            }
            Self::Accounts(database, settings) => Accounts::start(*database, settings)?,
        })
    }
}

/// Says before the first login why all of a backend's would fail.
fn warn_of_sandbox(backend: &str) {
    if !host::has_internet_sockets() {
        tracing::warn!(
            "{backend} asks a server, and this process may not: add AF_INET and AF_INET6 to \
             RestrictAddressFamilies= of its unit (authd-network.conf does so for saslgate-authd)"
        );
    }
}

/// With what the original's file says, where it is to say it.
fn httpform_settings(config: &Config) -> Result<httpform::Settings, StartError> {
    let mut settings = config.httpform.clone();
    if let Some(path) = &settings.config {
        let (target, form) = httpform_conf::read(path).map_err(StartError::SaslauthdConf)?;
        settings = httpform::Settings { target: Some(target), form, ..settings };
    }
    Ok(settings)
}

fn ldap_settings(config: &Config) -> Result<ldap::Settings, StartError> {
    config::ldap_settings(&config.ldap).map_err(StartError::SaslauthdConf)
}

impl Means<'_> {
    /// The `saslgate-pam` to ask: a running one, the one that was started, or a new one.
    fn reach(&mut self, settings: &pam::Settings) -> Result<Reach, StartError> {
        if let Some(path) = &settings.socket {
            return Ok(Reach::Running(path.clone()));
        }
        if let Some(helper) = self.helper.take() {
            return Ok(Reach::Own(helper));
        }
        match self.respawn {
            Respawn::Impossible => Err(StartError::HelperNeedsRoot),
            Respawn::Possible => {
                let options = HelperOptions::beside_us(None, self.config.log)?;
                Ok(Reach::Own(Helper::spawn(settings, &options)?))
            }
        }
    }
}
