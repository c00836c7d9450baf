//! The PROXY protocol: one header in front of a connection that tells its real ends.
//!
//! ```text
//! v1   PROXY TCP4 192.0.2.7 198.51.100.1 50000 587 CRLF      at most 107 bytes
//!      PROXY UNKNOWN ... CRLF
//! v2   0D0A0D0A000D0A515549540A | 21 | 11 | u16 len | src dst sport dport | TLVs
//!      signature                  |    |
//!                                 |    11 TCP4 (12 bytes), 21 TCP6 (36 bytes), 00 unspecified
//!                                 20 LOCAL, 21 PROXY
//! ```
//!
//! HAProxy's `doc/proxy-protocol.txt`, versions 1 and 2. Read strictly: what is
//! not as above is refused, and nothing behind the header is touched, since a
//! TLS handshake may follow. TLVs are read over. A header that says `LOCAL` or
//! `UNKNOWN` is the proxy speaking for itself (a health check).
//!
//! Written for backends as one header of 28 or 52 bytes, far below the 536 that
//! Postfix takes.

mod parse;
#[cfg(test)]
mod tests;
mod write;

use std::net::SocketAddr;

pub use parse::{FIRST_BYTES, MAX_BYTES, ProxyError, Step, parse};
pub use write::{V1_UNKNOWN, V2_LOCAL, v1, v2};

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The proxy itself has connected: the ends are those of the connection.
    Local,
    /// Somebody has connected to the proxy.
    Proxied(Ends),
}

/// The two ends of a connection; both IPv4, or both IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
}
