//! Reads a header, and never asks for a byte that is not part of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Ends, Header};

pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Every header has this many bytes at least, so a reader may take them at once.
pub const FIRST_BYTES: usize = SIGNATURE.len();
/// Longest header that is read: version 2 with its TLVs. HAProxy sends some hundreds.
pub const MAX_BYTES: usize = 2048;
/// Longest line of version 1, CRLF included.
const MAX_LINE_BYTES: usize = 107;
/// Version 2 up to and with its length.
const FIXED_BYTES: usize = 16;

/// How far a header has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// At least this many bytes of the header are still to come; at least 1.
    More(usize),
    /// The bytes are the whole header.
    Done(Header),
}

/// Why bytes are no header. The proxy's fault, or there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Neither `PROXY ` nor the signature of version 2.
    #[error("the connection begins with no PROXY header")]
    Missing,
    /// Beyond [`MAX_BYTES`], or a line of more than 107.
    #[error("the PROXY header is too long")]
    TooLong,
    /// The line of version 1 is not of the form above.
    #[error("the PROXY line is malformed")]
    BadLine,
    /// Version 2 with a version, command or length that does not exist.
    #[error("the PROXY header of version 2 is malformed")]
    BadBinary,
    /// Version 2 for something else than TCP: datagrams, Unix sockets.
    #[error("the PROXY header is not about TCP")]
    NotTcp,
}

/// Reads the beginning of a connection: `bytes` is all that has come, at least
/// [`FIRST_BYTES`], and no more than earlier steps asked for.
///
/// # Errors
/// [`ProxyError`]: the connection is to be closed.
pub fn parse(bytes: &[u8]) -> Result<Step, ProxyError> {
    if bytes.len() < FIRST_BYTES {
        return Ok(Step::More(FIRST_BYTES - bytes.len()));
    }
    if bytes.starts_with(SIGNATURE) {
        return binary(bytes);
    }
    if bytes.starts_with(b"PROXY ") {
        return line(bytes);
    }
    Err(ProxyError::Missing)
}

fn line(bytes: &[u8]) -> Result<Step, ProxyError> {
    if bytes.len() > MAX_LINE_BYTES {
        return Err(ProxyError::TooLong);
    }
    let Some(text) = bytes.strip_suffix(b"\r\n") else {
        // A line feed anywhere but at the end would mean bytes beyond the line.
        if bytes.contains(&b'\n') {
            return Err(ProxyError::BadLine);
        }
        let missing = if bytes.ends_with(b"\r") { 1 } else { 2 };
        if bytes.len() + missing > MAX_LINE_BYTES {
            return Err(ProxyError::TooLong);
        }
        return Ok(Step::More(missing));
    };
    let text = std::str::from_utf8(text).map_err(|_| ProxyError::BadLine)?;
    let words: Vec<&str> = text.split(' ').collect();
    let header = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(Header::Local),
        ["PROXY", "TCP4", ends @ ..] => ends_of::<Ipv4Addr>(ends),
        ["PROXY", "TCP6", ends @ ..] => ends_of::<Ipv6Addr>(ends),
        _ => None,
    };
    header.map(Step::Done).ok_or(ProxyError::BadLine)
}

fn ends_of<A: FromStr + Into<IpAddr>>(words: &[&str]) -> Option<Header> {
    let [source, destination, source_port, destination_port] = words else { return None };
    let end = |ip: &str, number: &str| {
        let ip: A = ip.parse().ok()?;
        Some(SocketAddr::new(ip.into(), port(number)?))
    };
    Some(Header::Proxied(Ends {
        source: end(source, source_port)?,
        destination: end(destination, destination_port)?,
    }))
}

/// Digits without a sign and without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    if is_plain && !is_padded { text.parse().ok() } else { None }
}

fn binary(bytes: &[u8]) -> Result<Step, ProxyError> {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else {
        return Ok(Step::More(FIXED_BYTES - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED_BYTES + length > MAX_BYTES {
        return Err(ProxyError::TooLong);
    }
    if !matches!(command, 0x20 | 0x21) {
        return Err(ProxyError::BadBinary);
    }
    let rest = &bytes[FIXED_BYTES..];
    if rest.len() < length {
        return Ok(Step::More(length - rest.len()));
    }
    if rest.len() > length {
        return Err(ProxyError::BadBinary);
    }
    // Whatever a LOCAL header carries is to be ignored.
    let header = match (command, family) {
        (0x20, _) | (0x21, 0x00) => Header::Local,
        (_, 0x11) => addresses(rest, |bytes: [u8; 4]| Ipv4Addr::from(bytes).into())?,
        (_, 0x21) => addresses(rest, |bytes: [u8; 16]| Ipv6Addr::from(bytes).into())?,
        _ => return Err(ProxyError::NotTcp),
    };
    Ok(Step::Done(header))
}

/// Two addresses and two ports; TLVs may follow.
fn addresses<const N: usize>(
    rest: &[u8],
    ip: impl Fn([u8; N]) -> IpAddr,
) -> Result<Header, ProxyError> {
    let read = || {
        let (source, rest) = rest.split_first_chunk::<N>()?;
        let (destination, rest) = rest.split_first_chunk::<N>()?;
        let (source_port, rest) = rest.split_first_chunk::<2>()?;
        let (destination_port, _) = rest.split_first_chunk::<2>()?;
        Some(Ends {
            source: SocketAddr::new(ip(*source), u16::from_be_bytes(*source_port)),
            destination: SocketAddr::new(ip(*destination), u16::from_be_bytes(*destination_port)),
        })
    };
    read().map(Header::Proxied).ok_or(ProxyError::BadBinary)
}
