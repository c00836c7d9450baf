//! The mail servers behind the gate: how each is reached, how it is, what is kept open to it.

use std::sync::Arc;

use super::pool::Pool;
use super::probe::HealthBoard;
use super::relay::Route;

/// One mail server.
pub struct Backend {
    /// How to reach it.
    pub route: Arc<Route>,
    /// What is known of it.
    pub health: HealthBoard,
    /// Connections that wait for the next session.
    pub pool: Pool,
}

impl Backend {
    /// The mail server at the end of `route`, of which `health` is known so far.
    #[must_use]
    pub fn new(route: Arc<Route>, health: HealthBoard) -> Self {
        let pool = Pool::new(route.settings.pool.clone());
        Self { route, health, pool }
    }
}
