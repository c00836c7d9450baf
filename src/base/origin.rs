//! Where a request came from, as far as anybody told us.
//!
//! For logs and PAM. Only the uid is vouched for, by the kernel.

use std::net::IpAddr;

/// The far end of a request. Either part may be unknown: a saslauthd request
/// of four fields names no client, and a TCP peer has no uid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the mail client, where the protocol carried it.
    pub client: Option<IpAddr>,
    /// Port of the mail client; only with `client`.
    pub port: Option<u16>,
    /// Uid of the local process that asks (`SO_PEERCRED`).
    pub uid: Option<u32>,
}
