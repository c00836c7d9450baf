//! The mail servers behind the gate: how each is reached, how it is, what is kept open to it.

use std::sync::Arc;

use super::pool::Pool;
use super::probe::HealthBoard;
use super::relay::Route;
use crate::ops::metrics::gate::BackendCounts;

/// One mail server.
pub struct Backend {
    /// How to reach it.
    pub route: Arc<Route>,
    /// What is known of it.
    pub health: HealthBoard,
    /// Connections that wait for the next session.
    pub pool: Pool,
    /// What happened between sessions and it.
    pub counts: Arc<BackendCounts>,
}

impl Backend {
    /// The mail server at the end of `route`. What is known of it, and was
    /// counted, is taken over from the same one of before a reload.
    #[must_use]
    pub fn new(route: Arc<Route>, before: Option<&Self>) -> Self {
        let pool = Pool::new(route.settings.pool.clone());
        let health = before.map_or_else(HealthBoard::default, |it| it.health.clone());
        let counts = before.map_or_else(Arc::default, |it| Arc::clone(&it.counts));
        Self { route, health, pool, counts }
    }
}
