//! The local protocols: who asks us on this host, for a verdict or for metrics.
//!
//! Each reads requests, has `auth` judge them, and puts the verdict into the
//! words of its protocol, in one place. Layer 4: knows no backend and no
//! configuration file; composed by `daemon`.

pub mod metrics;
pub mod saslauthd;
