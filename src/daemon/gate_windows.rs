//! Where the gate can be looked into: the control socket and the metrics.
//!
//! Both are bound while we may be root. Metrics that were asked for and cannot
//! be had keep the gate from starting; a control socket does not: mail matters more.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::gate::ControlSettings;
use crate::gate::control::{self, Guests};
use crate::gate::driver::Gate;
use crate::gate::figures;
use crate::listen::{ListenError, UnixSocket, UnixSocketOptions};
use crate::server::metrics::{Endpoint, MetricsError};

/// What was bound.
pub(super) struct Windows {
    control: Option<(UnixSocket, Guests)>,
    metrics: Option<Endpoint>,
}

/// The default of `gate.control`, in a directory that our unit has made.
const USUAL: &str = "/run/saslgate-gate/control";

impl Windows {
    /// Binds what `config` wants.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub(super) fn bind(config: &Config) -> Result<Self, MetricsError> {
        let settings = &config.metrics;
        let place = settings.gate.as_ref();
        let metrics = place.map(|place| Endpoint::bind(place, settings.socket_mode)).transpose()?;
        let guests = match config.gate.control.group {
            Some(_) => Guests::ByMode,
            None => Guests::Own,
        };
        let control = match bind_control(&config.gate.control, config.gate_user.as_deref()) {
            Ok(socket) => socket.map(|socket| (socket, guests)),
            Err(error) => {
                tracing::warn!("there is no control socket: {error}");
                None
            }
        };
        Ok(Self { control, metrics })
    }

    /// Answers as tasks of `tasks` until `stop`, for whatever gate is in `shared` then.
    pub(super) fn open(
        self,
        shared: &Arc<ArcSwap<Gate>>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        if let Some((socket, guests)) = self.control {
            let serving =
                control::serve(socket, guests, Arc::clone(shared), stop.clone(), tasks.clone());
            tasks.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!("the control socket cannot be watched: {error}");
                }
            });
        }
        if let Some(endpoint) = self.metrics {
            tracing::info!("metrics at {}", endpoint.place());
            let shared = Arc::clone(shared);
            let write = move |to: &mut _| figures::write(&shared.load(), to);
            let serving = endpoint.serve(write, stop.clone(), tasks.clone());
            tasks.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!("the metrics socket cannot be watched: {error}");
                }
            });
        }
    }
}

/// `None` where there is to be none.
fn bind_control(
    settings: &ControlSettings,
    user: Option<&str>,
) -> Result<Option<UnixSocket>, ListenError> {
    let Some(path) = settings.socket.as_deref() else { return Ok(None) };
    let is_absent = path.parent().is_some_and(|directory| !directory.is_dir());
    if is_absent && path == Path::new(USUAL) {
        return Ok(None);
    }
    let (mode, owner) = match &settings.group {
        Some(group) => (0o660, Some(format!("{}:{group}", user.unwrap_or_default()))),
        None => (0o600, user.map(str::to_owned)),
    };
    // Only root can give a file away.
    let owner = owner.filter(|_| settings.group.is_some() || crate::sys::privileges::is_root());
    let options = UnixSocketOptions { mode, owner, directory_mode: 0o755 };
    UnixSocket::bind(path, &options).map(Some)
}
