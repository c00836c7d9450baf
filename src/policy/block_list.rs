//! DNS block lists: what is asked about an address, and which answers mean *listed*.
//!
//! ```text
//! zen.example.org                        any answer in 127.0.0.0/8 but 127.255.255.0/24
//! zen.example.org=127.0.0.2              this one
//! zen.example.org=127.0.0.[2..11]        from .2 to .11
//! zen.example.org=127.0.[0;2].[2..4;10]  ranges and numbers, joined by ;
//! ```
//!
//! The form is Postfix's (postconf(5), reject_rbl_client). 127.255.255.x is how
//! lists say that they do not answer this resolver, which must not keep mail
//! out; anything outside 127.0.0.0/8 comes from whoever took over a dead zone.
//! Asked are the octets, or the nibbles, in reverse (RFC 5782 §2).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// A block list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its domain, lower case, without a dot at the end.
    name: String,
    /// The answers that count; `None` is those that lists give by convention.
    listed: Option<[Octets; 4]>,
}

/// Values that an octet may have, as inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Octets(Vec<(u8, u8)>);

/// Why a text is no zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The domain.
    #[error("its domain is malformed")]
    Domain,
    /// What stands behind the `=`.
    #[error("behind the = stand four octets such as 127.0.0.[2..11]")]
    Answers,
}

/// Longest name of a zone: 32 nibbles and their dots stand in front (RFC 1035 §2.3.4).
const MAX_ZONE_BYTES: usize = 253 - 64;

impl Zone {
    /// Reads a zone.
    ///
    /// # Errors
    /// [`ZoneError`].
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        let (name, answers) = match text.split_once('=') {
            Some((name, answers)) => (name, Some(answers)),
            None => (text, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_good = name.len() <= MAX_ZONE_BYTES && name.split('.').all(is_label);
        if !is_good {
            return Err(ZoneError::Domain);
        }
        let listed = answers.map(|text| octets(text).ok_or(ZoneError::Answers)).transpose()?;
        Ok(Self { name: name.to_ascii_lowercase(), listed })
    }

    /// Its domain.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name whose A record tells whether `address` is listed, with a dot at the end.
    #[must_use]
    pub fn question(&self, address: IpAddr) -> String {
        let mut name = String::with_capacity(64 + self.name.len() + 1);
        let _ = match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                write!(name, "{d}.{c}.{b}.{a}.")
            }
            IpAddr::V6(address) => address
                .octets()
                .iter()
                .rev()
                .try_for_each(|byte| write!(name, "{:x}.{:x}.", byte & 0xf, byte >> 4)),
        };
        name + &self.name + "."
    }

    /// True if `answer` means that the address is listed.
    #[must_use]
    pub fn means_listed(&self, answer: Ipv4Addr) -> bool {
        let octets = answer.octets();
        match &self.listed {
            Some(listed) => listed.iter().zip(octets).all(|(wanted, octet)| wanted.has(octet)),
            None => octets[0] == 127 && octets[..3] != [127, 255, 255],
        }
    }
}

impl Octets {
    fn has(&self, octet: u8) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&octet))
    }
}

fn is_label(label: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.bytes().all(is_part)
}

/// Four octets with a dot between them. Dots stand within brackets, too.
fn octets(text: &str) -> Option<[Octets; 4]> {
    let mut found = Vec::with_capacity(4);
    let mut rest = text;
    loop {
        let (part, behind) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        let is_range = rest.starts_with('[');
        found.push(if is_range { ranges(part)? } else { Octets(vec![range(part, part)?]) });
        match behind.strip_prefix('.') {
            Some(next) if found.len() < 4 => rest = next,
            None if behind.is_empty() => break,
            _ => return None,
        }
    }
    found.try_into().ok()
}

fn ranges(text: &str) -> Option<Octets> {
    let ranges = text.split(';').map(|part| match part.split_once("..") {
        Some((first, last)) => range(first, last),
        None => range(part, part),
    });
    ranges.collect::<Option<Vec<_>>>().map(Octets)
}

fn range(first: &str, last: &str) -> Option<(u8, u8)> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| is_number)
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means_listed(zone: &str, answer: [u8; 4]) -> bool {
        Zone::parse(zone).unwrap().means_listed(Ipv4Addr::from(answer))
    }

    #[test]
    fn only_the_answers_that_are_expected_count() {
        for (zone, answer) in [
            ("z.test", [127, 0, 0, 2]),
            ("z.test", [127, 0, 1, 99]),
            ("z.test=127.0.0.2", [127, 0, 0, 2]),
            ("z.test=127.0.0.[2..11]", [127, 0, 0, 11]),
            ("z.test=127.0.[0;2].[2..4;10]", [127, 0, 2, 10]),
            ("z.test=[0..255].[0..255].[0..255].[0..255]", [127, 255, 255, 254]),
        ] {
            assert!(means_listed(zone, answer), "{zone} {answer:?}");
        }
        for (zone, answer) in [
            ("z.test", [127, 255, 255, 254]),
            ("z.test", [93, 184, 216, 34]),
            ("z.test=127.0.0.2", [127, 0, 0, 3]),
            ("z.test=127.0.0.[2..11]", [127, 0, 0, 12]),
            ("z.test=127.0.[0;2].[2..4;10]", [127, 0, 1, 10]),
        ] {
            assert!(!means_listed(zone, answer), "{zone} {answer:?}");
        }
    }

    #[test]
    fn asks_for_the_address_in_reverse() {
        let zone = Zone::parse("Zen.Test.").unwrap();
        let question = |text: &str| zone.question(text.parse().unwrap());
        assert_eq!(question("192.0.2.1"), "1.2.0.192.zen.test.");
        assert_eq!(question("::ffff:192.0.2.1"), "1.2.0.192.zen.test.");
        assert_eq!(
            question("2001:db8::567:89ab"),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.test."
        );
    }

    #[test]
    fn refuses_what_is_no_zone() {
        for text in ["", ".", "a..b", "a b", "a/b", &"a.".repeat(120)] {
            assert_eq!(Zone::parse(text), Err(ZoneError::Domain), "{text:?}");
        }
        for answers in [
            "",
            "127",
            "127.0.0",
            "127.0.0.2.3",
            "127.0.0.",
            "127.0.0.256",
            "127.0.0.+2",
            "127.0.0.[",
            "127.0.0.[]",
            "127.0.0.[4..2]",
            "127.0.0.[2..4",
            "127.0.0.[2..4]x",
            "127.0.0.[2...4]",
            "127.0.0.2..4",
        ] {
            let text = format!("z.test={answers}");
            assert_eq!(Zone::parse(&text), Err(ZoneError::Answers), "{text:?}");
        }
    }
}
