//! What operators see: events, logs, service status.

pub mod event;
pub mod log;
pub mod systemd;
