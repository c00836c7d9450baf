//! The backends of authd, as the configuration names them: opened, and opened again on reload.
//!
//! A backend whose settings did not change is kept: its threads, connections
//! and worker processes stay warm.

use std::sync::Arc;

use super::StartError;
use crate::auth::Verify;
use crate::backend::pam::{self, Helper, HelperOptions, Pam, Reach};
use crate::backend::store::{self, PasswordStore};
use crate::config::Config;

const STORE: &str = "store";
const PAM: &str = "pam";

/// Whether a `saslgate-pam` of our own can still be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Respawn {
    /// As whoever we are and always were.
    Possible,
    /// Root is gone, and modules would fail for the wrong reason.
    Impossible,
}

/// The opened backends, in the order they are asked.
pub(super) struct Panel {
    seats: Vec<Seat>,
}

/// A backend, and the settings it was opened with.
#[derive(Clone)]
enum Seat {
    Store(store::Settings, Arc<PasswordStore>),
    Pam(pam::Settings, Arc<Pam>),
}

/// Starts a `saslgate-pam` of our own if the configuration wants PAM and names
/// no running one. `peer_uid` is the uid that authd will have, if not the present one.
pub(super) fn spawn_helper(
    config: &Config,
    peer_uid: Option<u32>,
) -> Result<Option<Helper>, StartError> {
    let is_wanted = config.auth.backends.iter().any(|name| name == PAM);
    if !is_wanted || config.pam.socket.is_some() {
        return Ok(None);
    }
    let options = HelperOptions::beside_us(peer_uid, config.log)?;
    Ok(Some(Helper::spawn(&config.pam, &options)?))
}

impl Panel {
    /// Opens the backends of `config`; `helper` is the one that was started for it.
    pub(super) fn open(config: &Config, mut helper: Option<Helper>) -> Result<Self, StartError> {
        let open = |name: &String| match name.as_str() {
            STORE => open_store(&config.store),
            PAM => {
                let reach = match (&config.pam.socket, helper.take()) {
                    (Some(path), _) => Reach::Running(path.clone()),
                    (None, Some(helper)) => Reach::Own(helper),
                    (None, None) => return Err(StartError::HelperNeedsRoot),
                };
                Ok(Seat::Pam(config.pam.clone(), Pam::connect(config.pam.clone(), reach)))
            }
            _ => Err(StartError::NoBackend(name.clone())),
        };
        let seats = config.auth.backends.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { seats })
    }

    /// Opens the backends of a new configuration, keeping those that did not change.
    pub(super) fn reopen(&self, config: &Config, respawn: Respawn) -> Result<Self, StartError> {
        let reopen = |name: &String| {
            let kept = self.seats.iter().find(|seat| seat.is_as_in(config, name));
            match (kept, name.as_str()) {
                (Some(seat), _) => Ok(seat.clone()),
                (None, STORE) => open_store(&config.store),
                (None, PAM) => open_pam(config, respawn),
                _ => Err(StartError::NoBackend(name.clone())),
            }
        };
        let seats = config.auth.backends.iter().map(reopen).collect::<Result<_, _>>()?;
        Ok(Self { seats })
    }

    /// The backends as the authenticator asks them.
    pub(super) fn backends(&self) -> Vec<Arc<dyn Verify>> {
        let verify = |seat: &Seat| -> Arc<dyn Verify> {
            match seat {
                Seat::Store(_, store) => Arc::clone(store) as _,
                Seat::Pam(_, pam) => Arc::clone(pam) as _,
            }
        };
        self.seats.iter().map(verify).collect()
    }
}

impl Seat {
    /// True if this is the backend called `name`, opened as `config` wants it.
    fn is_as_in(&self, config: &Config, name: &str) -> bool {
        match self {
            Self::Store(settings, _) => name == STORE && *settings == config.store,
            Self::Pam(settings, _) => name == PAM && *settings == config.pam,
        }
    }
}

fn open_store(settings: &store::Settings) -> Result<Seat, StartError> {
    Ok(Seat::Store(settings.clone(), PasswordStore::start(settings)?))
}

fn open_pam(config: &Config, respawn: Respawn) -> Result<Seat, StartError> {
    let settings = config.pam.clone();
    let reach = match (&settings.socket, respawn) {
        (Some(path), _) => Reach::Running(path.clone()),
        (None, Respawn::Impossible) => return Err(StartError::HelperNeedsRoot),
        (None, Respawn::Possible) => {
            let options = HelperOptions::beside_us(None, config.log)?;
            Reach::Own(Helper::spawn(&settings, &options)?)
        }
    };
    Ok(Seat::Pam(settings.clone(), Pam::connect(settings, reach)))
}
