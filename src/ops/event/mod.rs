//! One event per outcome, each written by one function.
//!
//! The formats are a contract: fail2ban filters and log analyzers made for
//! saslauthd ([`auth`]) and sendmail ([`gate`]) read them, so keys keep their
//! order and new ones go to the end. What a peer said is escaped and cut;
//! no function here is ever given a secret.

pub mod auth;
pub mod gate;
