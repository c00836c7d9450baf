//! What operators see: events, logs, service status.
//!
//! | module | what |
//! |---|---|
//! | [`event`] | one function for each fact of the business; formats are contracts |
//! | [`log`] | where lines go, which, and how they begin |
//! | [`metrics`] | what is counted, for Prometheus |
//! | [`syslog`] | lines to the host's syslog daemon |
//! | [`transcript`] | files that sessions are written down in |
//! | [`systemd`] | readiness, reload, watchdog, inherited sockets |
//!
//! Layer 2. Nothing the network can trigger is louder than debug, except the
//! event itself. Not here: what is printed for people, which is `cli`'s.

pub mod event;
pub mod log;
pub mod metrics;
pub mod syslog;
pub mod systemd;
pub mod transcript;
