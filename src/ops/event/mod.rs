//! One event per outcome, each written by one function. The formats are a contract:
//! fail2ban filters and sendmail log analyzers read them.

pub mod auth;
pub mod gate;
