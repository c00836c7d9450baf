//! What may be sent, by whom and how much: decisions without a socket or a clock.
//!
//! | module | what it decides | standard |
//! |---|---|---|
//! | [`access`] | who may connect, send and relay, by sendmail's access map | sendmail 8.17.1 |
//! | [`rate`] | how much a login, an address, a network may send | |
//! | [`sender`] | which login may use which sender | RFC 6409 §6.1 |
//! | [`block_list`] | what a DNS block list is asked, and what its answers mean | RFC 5782 |
//! | [`pattern`] | which addresses a pattern stands for | |
//!
//! Layer 1: knows base and nothing else of ours. `now`, addresses and files'
//! texts come in as arguments; what is shared is in bounded tables. Called by
//! the gate's desk, which turns decisions into replies and log lines.

pub mod access;
pub mod block_list;
pub mod pattern;
pub mod rate;
pub mod sender;
