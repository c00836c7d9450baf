//! One limit: of whom what is counted, over which time, and what beyond it happens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::gcra::Quota;
use crate::base::Origin;
use crate::policy::pattern::Pattern;

/// Whose use is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One login, wherever it comes from.
    Login,
    /// One client: an IPv4 address or an IPv6 /64.
    Address,
    /// An IPv4 /24 or an IPv6 /48.
    Network,
}

/// What is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// MAIL commands.
    Messages,
    /// RCPT commands.
    Recipients,
    /// Content, in bytes.
    Bytes,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Whose use.
    pub of: Scope,
    /// Of what; [`Limit::soft`] and its like are in MiB where it is bytes.
    pub count: Counted,
    /// The time; not zero.
    pub per: Duration,
    /// More are refused for now.
    pub soft: u32,
    /// More attempts are refused for good, and told to the administrator; `None` never.
    pub hard: Option<u32>,
    /// How many of `soft` may come at once; `None` all.
    pub burst: Option<u32>,
    /// The logins it is for; empty for all, and for those who have none.
    pub logins: Vec<Pattern>,
    /// The logins it is not for.
    pub except: Vec<Pattern>,
    /// The networks it is not for.
    pub exempt: Vec<IpNet>,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            of: Scope::Login,
            count: Counted::Messages,
            per: Duration::from_secs(3600),
            soft: 1,
            hard: None,
            burst: None,
            logins: Vec::new(),
            except: Vec::new(),
            exempt: Vec::new(),
        }
    }
}

impl Limit {
    /// True if it is for this client.
    pub(super) fn is_for(&self, login: Option<&str>, address: IpAddr) -> bool {
        let is_among = |patterns: &[Pattern]| {
            login.is_some_and(|login| patterns.iter().any(|pattern| pattern.matches(login)))
        };
        (self.of != Scope::Login || login.is_some())
            && (self.logins.is_empty() || is_among(&self.logins))
            && !is_among(&self.except)
            && !self.exempt.iter().any(|network| network.contains(&address))
    }

    pub(super) fn soft_quota(&self) -> Quota {
        let unit = self.unit();
        let burst = u64::from(self.burst.unwrap_or(self.soft).max(1)) * unit;
        Quota { count: u64::from(self.soft.max(1)) * unit, burst, per: self.per }
    }

    pub(super) fn hard_quota(&self) -> Option<Quota> {
        let count = u64::from(self.hard?.max(1)) * self.unit();
        Some(Quota { count, burst: count, per: self.per })
    }

    fn unit(&self) -> u64 {
        match self.count {
            Counted::Messages | Counted::Recipients => 1,
            Counted::Bytes => 1 << 20,
        }
    }
}

impl fmt::Display for Limit {
    /// `100 recipients an hour of this login`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.soft)?;
        f.write_str(match self.count {
            Counted::Messages if self.soft == 1 => "message",
            Counted::Messages => "messages",
            Counted::Recipients if self.soft == 1 => "recipient",
            Counted::Recipients => "recipients",
            Counted::Bytes => "MiB",
        })?;
        match self.per.as_secs() {
            60 => f.write_str(" a minute")?,
            3_600 => f.write_str(" an hour")?,
            86_400 => f.write_str(" a day")?,
            _ => write!(f, " in {}", InWords(self.per))?,
        }
        f.write_str(match self.of {
            Scope::Login => " for this login",
            Scope::Address => " for this address",
            Scope::Network => " for this network",
        })
    }
}

/// A time in words, rounded up, as one would tell somebody to wait: `40 seconds`,
/// `12 minutes`, `5 hours`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InWords(pub Duration);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = (self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)).max(1);
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7_200 => (seconds.div_ceil(60), "minute"),
            _ => (seconds.div_ceil(3_600), "hour"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// The network of an address that is counted as one: an IPv4 /24, an IPv6 /48.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// The address that use is counted under.
pub(super) fn place_of(scope: Scope, address: IpAddr) -> IpAddr {
    match scope {
        Scope::Network => network_of(address),
        Scope::Login | Scope::Address => Origin::block(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_as_a_sentence() {
        let limit = Limit { soft: 100, count: Counted::Recipients, ..Limit::default() };
        assert_eq!(limit.to_string(), "100 recipients an hour for this login");
        let limit = Limit { of: Scope::Network, per: Duration::from_secs(900), ..limit };
        assert_eq!(limit.to_string(), "100 recipients in 15 minutes for this network");
    }

    #[test]
    fn times_are_rounded_up() {
        let words = |millis| InWords(Duration::from_millis(millis)).to_string();
        assert_eq!(words(0), "1 second");
        assert_eq!(words(1_001), "2 seconds");
        assert_eq!(words(121_000), "3 minutes");
        assert_eq!(words(7_200_001), "3 hours");
    }

    #[test]
    fn a_client_cannot_multiply_itself_within_its_network() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let v6 = address("2001:db8:1:2:3::4");
        assert_eq!(place_of(Scope::Address, v6), address("2001:db8:1:2::"));
        assert_eq!(place_of(Scope::Network, v6), address("2001:db8:1::"));
        let mapped = address("::ffff:192.0.2.77");
        assert_eq!(place_of(Scope::Address, mapped), address("192.0.2.77"));
        assert_eq!(place_of(Scope::Network, mapped), address("192.0.2.0"));
    }

    #[test]
    fn logins_and_networks_can_be_chosen_and_excepted() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let patterns = |text: &str| vec![Pattern::parse(text).unwrap()];
        let limit = Limit { logins: patterns("@example.org"), ..Limit::default() };
        assert!(limit.is_for(Some("a@example.org"), address));
        assert!(!limit.is_for(Some("a@example.com"), address));
        assert!(!limit.is_for(None, address));
        let limit = Limit { except: patterns("news@example.org"), ..limit };
        assert!(!limit.is_for(Some("news@example.org"), address));
        let limit = Limit { of: Scope::Address, ..Limit::default() };
        assert!(limit.is_for(None, address));
        let limit = Limit { exempt: vec!["192.0.2.0/24".parse().unwrap()], ..limit };
        assert!(!limit.is_for(None, address));
    }
}
