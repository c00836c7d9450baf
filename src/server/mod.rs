//! The local protocols: who asks us on this host.

pub mod saslauthd;
