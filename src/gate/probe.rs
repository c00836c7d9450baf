//! Learns what the backend can do, at start and then at intervals.
//!
//! The gate offers its clients what both can do. The last answer is kept while
//! the backend is away: a client that connects then sees the same offer, and
//! hears 451 at MAIL.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::backends::Backend;
use super::relay::Relay;
use crate::ops::event::gate as event;
use crate::wire::smtp::ehlo::Capabilities;

/// What is known of the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// As of the last probe or session.
    pub state: Availability,
    /// What it announced when it was last seen; nothing if it never was.
    pub capabilities: Capabilities,
}

/// Whether the backend answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// Not asked yet.
    Unknown,
    /// It greeted us and answered EHLO.
    Up,
    /// It did not, and why.
    Down(String),
}

/// Where sessions read what is known, and the probe and sessions write it.
#[derive(Clone)]
pub struct HealthBoard(Arc<watch::Sender<Health>>);

impl Default for HealthBoard {
    fn default() -> Self {
        let unknown =
            Health { state: Availability::Unknown, capabilities: Capabilities::default() };
        Self(Arc::new(watch::Sender::new(unknown)))
    }
}

impl HealthBoard {
    /// What gate and backend can do between them, as far as is known, with
    /// messages of at most `limit_bytes`.
    #[must_use]
    pub fn offered(&self, limit_bytes: u64) -> Arc<Capabilities> {
        Arc::new(self.0.borrow().capabilities.offered(limit_bytes))
    }

    /// Whether the backend answers, as far as is known.
    #[must_use]
    pub fn state(&self) -> Availability {
        self.0.borrow().state.clone()
    }

    /// What the backend announced when it was last seen.
    #[must_use]
    pub fn announced(&self) -> Capabilities {
        self.0.borrow().capabilities.clone()
    }

    /// Waits until the backend was asked once.
    pub async fn known(&self) {
        let mut seen = self.0.subscribe();
        let _ = seen.wait_for(|health| health.state != Availability::Unknown).await;
    }

    /// The backend answered.
    pub fn is_up(&self, address: &str, capabilities: &Capabilities) {
        let changed = self.0.send_if_modified(|health| {
            let came_up = health.state != Availability::Up;
            let changed = came_up || health.capabilities != *capabilities;
            health.state = Availability::Up;
            health.capabilities.clone_from(capabilities);
            changed
        });
        if changed {
            event::backend_up(address, &capabilities.keywords().join(" "));
        }
    }

    /// The backend did not answer.
    pub fn is_down(&self, address: &str, reason: &str) {
        let changed = self.0.send_if_modified(|health| {
            let went_down = !matches!(health.state, Availability::Down(_));
            health.state = Availability::Down(reason.to_owned());
            went_down
        });
        if changed {
            event::backend_down(address, reason);
        }
    }
}

/// Probes until `stop`, and closes kept connections that nobody needs.
pub async fn run(backend: Arc<Backend>, stop: CancellationToken) {
    let Backend { route, health: board, pool, .. } = &*backend;
    loop {
        match stop.run_until_cancelled(Relay::probe(Arc::clone(route))).await {
            None => return,
            Some(Ok(capabilities)) => board.is_up(&route.settings.address, &capabilities),
            Some(Err(error)) => board.is_down(&route.settings.address, &error.to_string()),
        }
        pool.sweep().await;
        let pause = tokio::time::sleep(route.settings.probe_interval);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}
