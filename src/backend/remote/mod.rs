//! Other daemons that can verify, as the gate is given them.
//!
//! The gate holds no password store: it asks whoever listens on a local
//! socket. Today that is a saslauthd, ours or Cyrus's ([`Saslauthd`]).

mod saslauthd;

pub use saslauthd::Saslauthd;
