//! What the DNS says of a client: its verified name, and the block lists it is on.
//!
//! A name counts if it leads back to the address (RFC 8601 §2.7.3, "iprev"):
//! anybody may call his address what he likes. A list that cannot be asked
//! lists nobody; that it cannot be asked is told once, and once that it can again.
//! Look-ups are bounded in time and number, and remembered for as long as their
//! records say, within bounds. Called by the driver, which waits for the name at
//! the greeting and for the lists no sooner than at RCPT.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ops::event::gate as event;
use crate::policy::block_list::Zone;

/// Who is asked, about what, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSettings {
    /// The resolvers; empty is those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// For all look-ups of a kind about one client together.
    pub time_limit: Duration,
    /// Clients that look-ups go on about at once; for more there is no answer.
    pub clients: usize,
    /// Answers that are remembered.
    pub remembered: u32,
    /// Whether clients' names are looked up.
    pub client_names: bool,
    /// The block lists.
    pub zones: Vec<Zone>,
    /// Networks that no list is asked about.
    pub exempt: Vec<IpNet>,
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
#[error("no resolver: {0}")]
pub struct NamesError(#[from] NetError);

/// Asks the DNS about clients. Shared by all sessions.
pub struct Names {
    settings: NameSettings,
    resolver: TokioResolver,
    places: Arc<Semaphore>,
    /// By zone: it could not be asked last time.
    is_failing: Vec<AtomicBool>,
}

/// What is known of a client's name, in sendmail's words (`{client_resolve}`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClientName {
    /// This, and it leads back to the address. Lower case, at most 253 bytes of letters,
    /// digits, `-`, `_` and `.`.
    Verified(String),
    /// The address has a name that does not lead back to it.
    Forged,
    /// It has none, or nobody asked.
    #[default]
    None,
    /// The DNS did not say.
    Unknown,
}

/// Answers are asked for again after this, whatever they say.
const LONGEST_MEMORY: Duration = Duration::from_secs(3600);
/// And not before: a list is not to be asked about each of many connections.
const SHORTEST_MEMORY: Duration = Duration::from_secs(30);
/// Names of one address that are tried; some have dozens.
const MOST_NAMES: usize = 4;

impl Names {
    /// Builds a resolver. Nothing is asked yet.
    ///
    /// # Errors
    /// [`NamesError`]: `/etc/resolv.conf` cannot be read.
    pub fn new(settings: &NameSettings) -> Result<Self, NamesError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if settings.servers.is_empty() {
            Resolver::builder(provider)?
        } else {
            let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
            Resolver::builder_with_config(
                ResolverConfig::from_parts(None, Vec::new(), servers),
                provider,
            )
        };
        limit(builder.options_mut(), settings);
        Ok(Self {
            resolver: builder.build()?,
            places: Arc::new(Semaphore::new(settings.clients.min(Semaphore::MAX_PERMITS))),
            is_failing: settings.zones.iter().map(|_| AtomicBool::new(false)).collect(),
            settings: settings.clone(),
        })
    }

    /// True if it does what `settings` say, and can go on with what it remembers.
    #[must_use]
    pub fn fits(&self, settings: &NameSettings) -> bool {
        self.settings == *settings
    }

    /// The name of the client at `address`.
    pub async fn client_name(&self, address: IpAddr) -> ClientName {
        if !self.settings.client_names {
            return ClientName::None;
        }
        let Ok(_place) = self.places.try_acquire() else { return ClientName::Unknown };
        let verified = self.verified_name(address.to_canonical());
        match timeout(self.settings.time_limit, verified).await {
            Ok(Ok(name)) => name,
            Ok(Err(error)) if error.is_no_records_found() => ClientName::None,
            Ok(Err(_)) | Err(_) => ClientName::Unknown,
        }
    }

    async fn verified_name(&self, address: IpAddr) -> Result<ClientName, NetError> {
        let names = self.resolver.reverse_lookup(address).await?;
        let names: Vec<String> = names
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::PTR(name) => host_name(&name.0.to_ascii()),
                _ => None,
            })
            .take(MOST_NAMES)
            .collect();
        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let mut trouble = None;
        for name in &names {
            match self.resolver.lookup(format!("{name}."), kind).await {
                Ok(found) => {
                    if found.answers().iter().any(|it| it.data.ip_addr() == Some(address)) {
                        return Ok(ClientName::Verified(name.clone()));
                    }
                }
                Err(error) if error.is_no_records_found() => {}
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) => Err(error),
            None if names.is_empty() => Ok(ClientName::None),
            None => Ok(ClientName::Forged),
        }
    }

    /// True if there is a list that would be asked about the client at `address`.
    #[must_use]
    pub fn has_lists_for(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.settings.zones.is_empty()
            && !self.settings.exempt.iter().any(|network| network.contains(&address))
    }

    /// The lists that the client at `address` is on, in the order of the settings.
    pub async fn listings(self: &Arc<Self>, address: IpAddr) -> Vec<String> {
        if !self.has_lists_for(address) {
            return Vec::new();
        }
        let Ok(_place) = self.places.try_acquire() else { return Vec::new() };
        let mut asked = JoinSet::new();
        for number in 0..self.settings.zones.len() {
            let names = Arc::clone(self);
            asked.spawn(async move { names.is_listed(number, address).await.then_some(number) });
        }
        let mut listed = Vec::new();
        // Each ends in time by itself, so that what a list says counts, whoever is silent.
        while let Some(answer) = asked.join_next().await {
            listed.extend(answer.ok().flatten());
        }
        listed.sort_unstable();
        let zones = listed.into_iter().filter_map(|number| self.settings.zones.get(number));
        zones.map(|zone| zone.name().to_owned()).collect()
    }

    async fn is_listed(&self, number: usize, address: IpAddr) -> bool {
        let (Some(zone), Some(is_failing)) =
            (self.settings.zones.get(number), self.is_failing.get(number))
        else {
            return false;
        };
        let look_up = self.resolver.lookup(zone.question(address), RecordType::A);
        let outcome = match timeout(self.settings.time_limit, look_up).await {
            Ok(Ok(found)) => Ok(found.answers().iter().any(|record| match &record.data {
                RData::A(answer) => zone.means_listed(answer.0),
                _ => false,
            })),
            Ok(Err(error)) if error.is_no_records_found() => Ok(false),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let was_failing = is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(why) if !was_failing => event::block_list_down(zone.name(), why),
            Ok(_) if was_failing => event::block_list_up(zone.name()),
            _ => {}
        }
        outcome.unwrap_or(false)
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn limit(options: &mut ResolverOpts, settings: &NameSettings) {
    options.ndots = 0;
    // A second try, in the same time.
    options.timeout = settings.time_limit / 2;
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = settings.remembered.into();
    options.positive_min_ttl = Some(SHORTEST_MEMORY);
    options.negative_min_ttl = Some(SHORTEST_MEMORY);
    options.positive_max_ttl = Some(LONGEST_MEMORY);
    options.negative_max_ttl = Some(LONGEST_MEMORY);
    options.case_randomization = true;
}

/// A name as a log line, a header and an access map may carry it; `None` for others.
fn host_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_good = (1..=253).contains(&name.len()) && name.bytes().all(is_part);
    is_good.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_forge_a_line_is_none() {
        assert_eq!(host_name("Mail.Example.Org.").as_deref(), Some("mail.example.org"));
        for name in ["", ".", "a b", "a\\010b", "a,b", "a)b", "j\u{f6}rg", &"a.".repeat(130)] {
            assert_eq!(host_name(name), None, "{name:?}");
        }
    }
}
