//! XCLIENT: tells an MTA that trusts us who our client is (Postfix, Haraka).
//!
//! ```text
//! XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=50000 PROTO=ESMTP HELO=laptop.test LOGIN=alice@ex.org
//! 220 ...                                      then EHLO again
//! ```
//!
//! Postfix's `XCLIENT_README`, and what it does beside: it forgets HELO and
//! LOGIN of earlier XCLIENT commands and asks whether the *new* address may use
//! XCLIENT, so everything goes into one line; NAME is always sent, for the
//! proxy's own would stay; nothing may be pipelined behind it.
//!
//! Values are xtext (RFC 3461 §4) of at most 255 bytes before encoding.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::smtp::xtext;

/// Longest value before encoding that Postfix takes.
const MAX_VALUE_BYTES: usize = 255;

/// What is told of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Its verified name; `None` where nobody looked, or it has none.
    pub name: Option<&'a str>,
    /// Its address and port.
    pub address: SocketAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
    /// What it called itself, as validated.
    pub helo: &'a str,
    /// Who logged in; `None` before a login.
    pub login: Option<&'a str>,
}

/// What keeps a client from being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XclientError {
    /// NAME or ADDR is not offered: what the backend saw would be a mixture of us and the client.
    #[error("it does not take {0} with XCLIENT")]
    NotOffered(&'static str),
    /// A login beyond 255 bytes; leaving it out would make a stranger of a user.
    #[error("the login is longer than the 255 bytes that XCLIENT can carry")]
    LoginTooLong,
}

/// The command line with its CRLF: what is told, as far as `offered` (upper
/// case, the parameters of XCLIENT in the EHLO reply) allows.
///
/// # Errors
/// [`XclientError`]: nothing is to be sent to this backend for this client.
pub fn line(attributes: &Attributes<'_>, offered: &[String]) -> Result<String, XclientError> {
    let is_offered = |name: &str| offered.iter().any(|known| known == name);
    if attributes.login.is_some_and(|login| login.len() > MAX_VALUE_BYTES) {
        return Err(XclientError::LoginTooLong);
    }
    for name in ["NAME", "ADDR"] {
        if !is_offered(name) {
            return Err(XclientError::NotOffered(name));
        }
    }
    let port = |end: SocketAddr| Some(end.port().to_string());
    let address = |end: SocketAddr| Some(address(end.ip()));
    let helo = (attributes.helo.len() <= MAX_VALUE_BYTES).then(|| attributes.helo.to_owned());
    let values = [
        ("NAME", Some(attributes.name.unwrap_or("[UNAVAILABLE]").to_owned())),
        ("ADDR", address(attributes.address)),
        ("PORT", port(attributes.address)),
        ("PROTO", Some("ESMTP".to_owned())),
        ("HELO", helo),
        ("LOGIN", attributes.login.map(str::to_owned)),
        ("DESTADDR", address(attributes.destination)),
        ("DESTPORT", port(attributes.destination)),
    ];
    let mut line = "XCLIENT".to_owned();
    for (name, value) in values {
        if let Some(value) = value
            && is_offered(name)
        {
            let _ = write!(line, " {name}={}", xtext::encode(value.as_bytes()));
        }
    }
    line.push_str("\r\n");
    Ok(line)
}

fn address(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("IPV6:{ip}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offered(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    const POSTFIX: &str = "NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";

    fn alice<'a>() -> Attributes<'a> {
        Attributes {
            name: None,
            address: "192.0.2.7:50000".parse().unwrap(),
            destination: "198.51.100.1:587".parse().unwrap(),
            helo: "laptop.test",
            login: Some("alice@ex.org"),
        }
    }

    #[test]
    fn says_everything_in_one_line() {
        assert_eq!(
            line(&alice(), &offered(POSTFIX)).unwrap(),
            "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7 PORT=50000 PROTO=ESMTP HELO=laptop.test \
             LOGIN=alice@ex.org DESTADDR=198.51.100.1 DESTPORT=587\r\n"
        );
    }

    #[test]
    fn says_what_is_offered() {
        let six = Attributes {
            name: Some("host.ex.org"),
            address: "[2001:db8::7]:1".parse().unwrap(),
            login: None,
            ..alice()
        };
        assert_eq!(
            line(&six, &offered("NAME ADDR LOGIN")).unwrap(),
            "XCLIENT NAME=host.ex.org ADDR=IPV6:2001:db8::7\r\n"
        );
        let mapped = Attributes { address: "[::ffff:192.0.2.7]:1".parse().unwrap(), ..alice() };
        assert!(line(&mapped, &offered(POSTFIX)).unwrap().contains(" ADDR=192.0.2.7 "));
    }

    /// nginx, CVE-2026-28753 and before: a login with blanks became attributes of its own.
    #[test]
    fn a_login_cannot_become_another_attribute() {
        let login = "alice ADDR=6.6.6.6 LOGIN=root\r\nRSET+";
        let text = line(&Attributes { login: Some(login), ..alice() }, &offered(POSTFIX)).unwrap();
        assert!(
            text.contains(" LOGIN=alice+20ADDR+3D6.6.6.6+20LOGIN+3Droot+0D+0ARSET+2B "),
            "{text}"
        );
        assert_eq!(text.matches("ADDR=").count(), 2, "{text}");
    }

    #[test]
    fn refuses_rather_than_to_tell_half() {
        let long = "a".repeat(256);
        let told = line(&Attributes { login: Some(&long), ..alice() }, &offered(POSTFIX));
        assert_eq!(told, Err(XclientError::LoginTooLong));
        assert!(
            line(&Attributes { login: Some(&long[1..]), ..alice() }, &offered(POSTFIX)).is_ok()
        );
        let told = line(&alice(), &offered("NAME LOGIN"));
        assert_eq!(told, Err(XclientError::NotOffered("ADDR")));
        assert_eq!(line(&alice(), &[]), Err(XclientError::NotOffered("NAME")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn is_one_line_of_words_whatever_the_login(login in "\\PC{1,60}|[\\x00-\\x7f]{1,60}") {
            let told = line(&Attributes { login: Some(&login), ..alice() }, &offered(POSTFIX));
            let text = told.unwrap();
            let body = text.strip_suffix("\r\n").unwrap();
            prop_assert!(body.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
            prop_assert_eq!(body.split(' ').count(), 9);
            let value = body.split(' ').find_map(|word| word.strip_prefix("LOGIN=")).unwrap();
            prop_assert_eq!(xtext::decode(value.as_bytes()), Some(login.into_bytes()));
        }
    }
}
