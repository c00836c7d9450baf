//! Settings of the account backends.

use std::time::Duration;

/// How accounts of this host are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Threads that look up and hash; 0 is one a core.
    pub threads: usize,
    /// Logins that may wait for a thread; more are refused as unavailable.
    pub max_waiting: usize,
    /// Deadline of one login, the wait for a thread included.
    pub timeout: Duration,
}
