//! Where a request came from, as far as anybody told us.
//!
//! For logs and PAM. Only the uid is vouched for, by the kernel.

use std::net::{IpAddr, Ipv6Addr};

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

impl Origin {
    /// The least block of addresses that a single client holds, as its first
    /// address: one IPv4 address, or an IPv6 /64, so that a client cannot
    /// multiply itself through its own network. IPv4 in IPv6 is IPv4.
    #[must_use]
    pub fn block(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
        }
    }
}
