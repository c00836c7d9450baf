//! Where a server is: `ldap://host:389/`, `ldaps://host:636/`, `ldapi://%2Frun%2Fslapd%2Fldapi/`.
//!
//! The part of an LDAP URL (RFC 4516) that names a server; what would name an
//! entry in it is refused.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Longest path of a Unix socket in bytes: `sun_path` less its NUL (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp {
        /// Name or address, an IPv6 one without brackets.
        host: String,
        /// 389 or 636 unless given.
        port: u16,
        /// True for `ldaps://`: TLS from the first byte.
        is_tls: bool,
    },
    /// `ldapi://`: a socket of this host; `None` for the one where slapd usually has it.
    Unix(Option<PathBuf>),
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme, or none.
    #[error("it does not begin with ldap://, ldaps:// or ldapi://")]
    Scheme,
    /// No name of a host.
    #[error("the host is no name and no address (an IPv6 address needs brackets)")]
    Host,
    /// No port.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// No path of a socket.
    #[error("behind ldapi:// stands an absolute path of at most 107 bytes with %2F for each slash")]
    Path,
    /// A base or filter in the URL.
    #[error("it names more than a server: base and filter have settings of their own")]
    More,
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let place = match rest.split_once('/') {
            Some((place, "")) => place,
            Some(_) => return Err(AddressError::More),
            None => rest,
        };
        match scheme.to_ascii_lowercase().as_str() {
            "ldap" => tcp(place, 389, false),
            "ldaps" => tcp(place, 636, true),
            "ldapi" => unix(place),
            _ => Err(AddressError::Scheme),
        }
    }

    /// True if what is sent there cannot be read on a wire: TLS, or it stays on the host.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, is_tls, .. } => {
                let ip = host.parse::<IpAddr>();
                let is_here = ip.map_or_else(
                    |_| host.eq_ignore_ascii_case("localhost"),
                    |ip| ip.to_canonical().is_loopback(),
                );
                *is_tls || is_here
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, is_tls } => {
                let scheme = if *is_tls { "ldaps" } else { "ldap" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}")
            }
            Self::Unix(Some(path)) => write!(f, "ldapi:{}", path.display()),
            Self::Unix(None) => f.write_str("ldapi:"),
        }
    }
}

fn tcp(place: &str, default: u16, is_tls: bool) -> Result<Address, AddressError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or(AddressError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Host)?;
            (host, behind)
        }
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => number(digits).ok_or(AddressError::Port)?,
        None if port.is_empty() => default,
        None => return Err(AddressError::Host),
    };
    // libldap's default, too.
    let host = if host.is_empty() { "localhost" } else { host };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if host.len() > 253 || !host.chars().all(is_name) {
        return Err(AddressError::Host);
    }
    Ok(Address::Tcp { host: host.to_ascii_lowercase(), port, is_tls })
}

fn number(digits: &str) -> Option<u16> {
    // `parse` alone would take "+25".
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0)
}

fn unix(place: &str) -> Result<Address, AddressError> {
    if place.is_empty() {
        return Ok(Address::Unix(None));
    }
    let path = percent_decoded(place).ok_or(AddressError::Path)?;
    let is_fit = path.starts_with('/') && path.len() <= SOCKET_PATH_BYTES && !path.contains('\0');
    if is_fit { Ok(Address::Unix(Some(path.into()))) } else { Err(AddressError::Path) }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).unwrap().to_string()
    }

    #[test]
    fn reads_the_three_schemes() {
        assert_eq!(shown("ldap://Ldap.Example.ORG/"), "ldap://ldap.example.org:389");
        assert_eq!(shown("LDAPS://10.0.0.1"), "ldaps://10.0.0.1:636");
        assert_eq!(shown("ldap://[2001:db8::1]:1389/"), "ldap://[2001:db8::1]:1389");
        assert_eq!(shown("ldap:///"), "ldap://localhost:389");
        assert_eq!(shown("ldap://:1389"), "ldap://localhost:1389");
        assert_eq!(shown("ldapi://%2frun%2Fslapd%2Fldapi"), "ldapi:/run/slapd/ldapi");
        assert_eq!(Address::parse("ldapi:///"), Ok(Address::Unix(None)));
    }

    #[test]
    fn refuses_what_is_no_server() {
        let bad = [
            ("", AddressError::Scheme),
            ("localhost", AddressError::Scheme),
            ("http://x/", AddressError::Scheme),
            ("ldap://x/dc=y", AddressError::More),
            ("ldap://x:0", AddressError::Port),
            ("ldap://x:99999", AddressError::Port),
            ("ldap://x:+5", AddressError::Port),
            ("ldap://x:", AddressError::Port),
            ("ldap://::1", AddressError::Port),
            ("ldap://[::1", AddressError::Host),
            ("ldap://[x]", AddressError::Host),
            ("ldap://[::1]x", AddressError::Host),
            ("ldap://a b", AddressError::Host),
            ("ldapi://run", AddressError::Path),
            ("ldapi://%2", AddressError::Path),
            ("ldapi://%2Fa%00", AddressError::Path),
            ("ldapi://%+f", AddressError::Path),
        ];
        for (text, error) in bad {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn knows_what_can_be_read_on_the_wire() {
        for text in
            ["ldapi:///", "ldaps://x", "ldap://localhost", "ldap://127.0.0.1", "ldap://[::1]"]
        {
            assert!(Address::parse(text).unwrap().is_private(), "{text}");
        }
        for text in ["ldap://x", "ldap://10.0.0.1", "ldap://[2001:db8::1]"] {
            assert!(!Address::parse(text).unwrap().is_private(), "{text}");
        }
    }
}
