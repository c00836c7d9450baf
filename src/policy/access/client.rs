//! A client as the rulesets see it: address and name in sendmail's writing.

use std::net::IpAddr;

/// What the name service says of a client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PtrState {
    /// A name that has this address.
    Verified,
    /// A name that does not have this address.
    Forged,
    /// No name.
    Failed,
    /// Nothing now.
    Later,
    /// It was not asked.
    NotAsked,
}

/// A client, written once for all questions of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Folded: `192.0.2.7`, `ipv6:2001:db8:0:0:0:0:0:7`.
    pub(super) address: Box<str>,
    /// Folded; the address in brackets where no name was verified.
    pub(super) name: Box<str>,
    pub(super) ptr: PtrState,
    pub(super) is_loopback: bool,
}

impl Client {
    /// A client at `address`, of whose `name` that state is known. An IPv4
    /// address within an IPv6 one counts as IPv4.
    #[must_use]
    pub fn new(address: IpAddr, name: Option<&str>, ptr: PtrState) -> Self {
        let address = address.to_canonical();
        let written: Box<str> = written(address).into();
        let name = match (name, ptr) {
            (Some(name), PtrState::Verified) => name.trim_end_matches('.').to_ascii_lowercase(),
            _ => format!("[{written}]"),
        };
        Self { is_loopback: address.is_loopback(), address: written, name: name.into(), ptr }
    }

    /// A client of whom only the name is known, to be asked about.
    pub(super) fn named(name: &str) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase().into();
        Self { address: "".into(), name, ptr: PtrState::Verified, is_loopback: false }
    }

    /// The address as sendmail shows it: `192.0.2.7`, `IPv6:2001:db8:0:0:0:0:0:7`.
    pub(super) fn shown_address(&self) -> String {
        match self.address.strip_prefix("ipv6:") {
            Some(groups) => format!("IPv6:{groups}"),
            None => self.address.to_string(),
        }
    }
}

/// Folded, IPv6 with its eight groups (sendmail with `IPV6_FULL`, its default).
fn written(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:x}"));
            format!("ipv6:{}", groups.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_sendmail_writes_them() {
        for (address, written, shown) in [
            ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "ipv6:2001:db8:0:0:0:0:0:7", "IPv6:2001:db8:0:0:0:0:0:7"),
            ("::1", "ipv6:0:0:0:0:0:0:0:1", "IPv6:0:0:0:0:0:0:0:1"),
        ] {
            let client = Client::new(address.parse().unwrap(), None, PtrState::Failed);
            assert_eq!((&*client.address, &*client.shown_address()), (written, shown));
            assert_eq!(&*client.name, format!("[{written}]"));
        }
    }

    #[test]
    fn only_a_verified_name_is_a_name() {
        let name = |ptr| Client::new("192.0.2.7".parse().unwrap(), Some("Host.Test."), ptr).name;
        assert_eq!(&*name(PtrState::Verified), "host.test");
        for ptr in [PtrState::Forged, PtrState::Failed, PtrState::Later, PtrState::NotAsked] {
            assert_eq!(&*name(ptr), "[192.0.2.7]");
        }
    }
}
