//! Writes a header for a backend, to be sent with one write before anything else.

use std::net::{IpAddr, Ipv6Addr};

use super::Ends;
use super::parse::SIGNATURE;

/// Version 2 (Postfix, Exim, Dovecot): 28 bytes, or 52 for IPv6.
#[must_use]
pub fn v2(ends: &Ends) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.push(0x21);
    match pair(ends) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend_from_slice(&[0x11, 0, 12]);
            bytes.extend_from_slice(&source.octets());
            bytes.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            bytes.extend_from_slice(&[0x21, 0, 36]);
            bytes.extend_from_slice(&wide(source).octets());
            bytes.extend_from_slice(&wide(destination).octets());
        }
    }
    bytes.extend_from_slice(&ends.source.port().to_be_bytes());
    bytes.extend_from_slice(&ends.destination.port().to_be_bytes());
    bytes
}

/// Version 1: a line (sendmail 8.18 where it was built with `_FFR_HAPROXY`).
#[must_use]
pub fn v1(ends: &Ends) -> Vec<u8> {
    let ports = format!("{} {}", ends.source.port(), ends.destination.port());
    let line = match pair(ends) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            format!("PROXY TCP4 {source} {destination} {ports}\r\n")
        }
        (source, destination) => {
            format!("PROXY TCP6 {} {} {ports}\r\n", wide(source), wide(destination))
        }
    };
    line.into_bytes()
}

fn pair(ends: &Ends) -> (IpAddr, IpAddr) {
    (ends.source.ip().to_canonical(), ends.destination.ip().to_canonical())
}

/// Where one end is IPv6, the other is told as IPv6 too.
fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// A header of version 2 for a connection that is nobody's but ours: a health check.
pub const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// The same in version 1.
pub const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
