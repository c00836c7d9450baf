//! Classes w and R of sendmail: which domains are ours, and for which we relay.
//!
//! | class | file | asked |
//! |---|---|---|
//! | w | `/etc/mail/local-host-names` | is it exactly this domain |
//! | R | `/etc/mail/relay-domains` | does it end in this domain; does an address begin with it |
//!
//! Names in the files are parted by blanks or lines; from `#` on it is a comment.

use std::collections::HashSet;

use super::search::networks;

/// The names of a class file, folded to lower case, without a dot at the end.
/// Bytes that are not UTF-8 make a name that is never asked for.
#[must_use]
pub fn names(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(""));
    lines.flat_map(str::split_whitespace).map(fold).collect()
}

fn fold(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Both classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes {
    local: HashSet<Box<str>>,
    relay: HashSet<Box<str>>,
}

impl Classes {
    /// Domains for which mail is delivered behind the gate, and domains and
    /// networks (whole octets) that it is relayed for. Names in any case.
    #[must_use]
    pub fn new<'a>(
        local: impl IntoIterator<Item = &'a str>,
        relay: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let class = |names: &mut dyn Iterator<Item = &'a str>| {
            names.map(fold).filter(|name| !name.is_empty()).map(Into::into).collect()
        };
        Self { local: class(&mut local.into_iter()), relay: class(&mut relay.into_iter()) }
    }

    /// True if the folded `domain` is ours.
    #[must_use]
    pub fn is_local(&self, domain: &str) -> bool {
        self.local.contains(domain)
    }

    /// True if the folded `domain`, or one above it, is one that we relay for.
    #[must_use]
    pub fn is_relayed(&self, domain: &str) -> bool {
        let mut name = domain;
        loop {
            if self.relay.is_empty() || name.is_empty() {
                return false;
            }
            if self.relay.contains(name) {
                return true;
            }
            let Some(dot) = name.find('.') else { return false };
            // `.example.com` in the file means what is below it.
            if self.relay.contains(&name[dot..]) {
                return true;
            }
            name = &name[dot + 1..];
        }
    }

    /// True if the address, as `rules::Client` writes it, is of a network that we relay for.
    #[must_use]
    pub fn is_relayed_network(&self, address: &str) -> bool {
        !self.relay.is_empty() && networks(address).any(|part| self.relay.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parted_by_blanks_and_lines_and_end_at_a_comment() {
        let text =
            b"# head\nOne.test\n two.test\tthree.test # more four.test\r\n\n#five.test\nsix.test.";
        assert_eq!(names(text), ["one.test", "two.test", "three.test", "six.test"]);
        assert_eq!(names(b""), Vec::<String>::new());
    }

    #[test]
    fn local_domains_are_whole_and_relayed_ones_are_endings() {
        let classes =
            Classes::new(["Gate.test"], ["relay.test", ".below.test", "192.0.2", "IPv6:2001:db8"]);
        for (domain, local, relayed) in [
            ("gate.test", true, false),
            ("sub.gate.test", false, false),
            ("relay.test", false, true),
            ("a.b.relay.test", false, true),
            ("xrelay.test", false, false),
            ("relay.test.evil", false, false),
            ("below.test", false, false),
            ("a.below.test", false, true),
            ("a.b.below.test", false, true),
            ("", false, false),
        ] {
            assert_eq!(classes.is_local(domain), local, "{domain}");
            assert_eq!(classes.is_relayed(domain), relayed, "{domain}");
        }
        assert!(classes.is_relayed_network("192.0.2.7"));
        assert!(!classes.is_relayed_network("192.0.20.7"));
        assert!(classes.is_relayed_network("ipv6:2001:db8:0:0:0:0:0:7"));
        assert!(!classes.is_relayed_network("ipv6:2001:db80:0:0:0:0:0:7"));
    }
}
