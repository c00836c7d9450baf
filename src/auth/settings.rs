//! Settings of the authenticator, and which backends they choose.

use std::time::Duration;

use super::cache::CacheSettings;
use super::handover::HandoverSettings;
use super::route::Route;
use super::throttle::ThrottleSettings;

/// How attempts are judged, whoever brings them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Names of the backends, in the order they are asked. Never empty.
    pub backends: Vec<String>,
    /// Other backends for some logins; the first one that fits decides.
    pub routes: Vec<Route>,
    /// Sockets beside the default one, and who is asked for them.
    pub entrances: Vec<Entrance>,
    /// Realm of a login that names none; the host's FQDN unless set.
    pub default_realm: String,
    /// A refusal takes at least this long, whatever caused it. Acceptance is not delayed.
    pub floor: Duration,
    /// What is remembered of accepted logins.
    pub cache: CacheSettings,
    /// What happens to whoever guesses.
    pub throttle: ThrottleSettings,
    /// Who may log in elsewhere as the users that logged in here.
    pub handover: HandoverSettings,
}

/// A socket with backends of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entrance {
    /// Its name.
    pub name: String,
    /// Names of its backends, in the order they are asked; empty: as the routes say.
    pub backends: Vec<String>,
}

impl Settings {
    /// Names of the backends that a login through the socket `entrance` (`None`: the
    /// default one) is asked of; `None` if there is no such socket.
    #[must_use]
    pub fn choose(&self, entrance: Option<&str>, realm: &str, service: &str) -> Option<&[String]> {
        self.chains().nth(self.number(entrance, realm, service)?)
    }

    /// Every chain: the default one, those of the routes, those of the entrances.
    pub(super) fn chains(&self) -> impl Iterator<Item = &[String]> {
        let default = std::iter::once(self.backends.as_slice());
        let routes = self.routes.iter().map(|route| route.backends.as_slice());
        let entrances = self.entrances.iter().map(|entrance| entrance.backends.as_slice());
        default.chain(routes).chain(entrances)
    }

    /// As [`choose`](Self::choose), the place of the chain among [`chains`](Self::chains).
    pub(super) fn number(
        &self,
        entrance: Option<&str>,
        realm: &str,
        service: &str,
    ) -> Option<usize> {
        if let Some(name) = entrance {
            let place = self.entrances.iter().position(|entrance| entrance.name == name)?;
            if !self.entrances[place].backends.is_empty() {
                return Some(1 + self.routes.len() + place);
            }
        }
        let route = self.routes.iter().position(|route| route.takes(realm, service));
        Some(route.map_or(0, |place| 1 + place))
    }

    /// Names of all backends that may be asked, each once, in the order they are first named.
    #[must_use]
    pub fn all_backends(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for name in self.chains().flatten() {
            if !all.contains(&name.as_str()) {
                all.push(name);
            }
        }
        all
    }

    /// True if anybody may ask the backend called `name`.
    #[must_use]
    pub fn asks(&self, name: &str) -> bool {
        self.all_backends().contains(&name)
    }
}

#[cfg(test)]
impl Settings {
    /// One chain, no delays, nothing remembered.
    pub(crate) fn for_tests(backends: &[&str]) -> Self {
        Self {
            backends: backends.iter().map(|name| (*name).to_owned()).collect(),
            routes: Vec::new(),
            entrances: Vec::new(),
            default_realm: "host.test".to_owned(),
            floor: Duration::ZERO,
            cache: CacheSettings { enabled: false, size: 1, ttl: Duration::ZERO },
            throttle: ThrottleSettings {
                enabled: false,
                delay: Duration::ZERO,
                limit: 3,
                login_limit: 3,
                half_life: Duration::from_secs(60),
                size: 100,
                max_delayed: 10,
                exempt: Vec::new(),
            },
            handover: HandoverSettings {
                gates: Vec::new(),
                mail_servers: Vec::new(),
                sockets: Vec::new(),
                lifetime: Duration::from_secs(30),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn settings() -> Settings {
        let route = |realms: &[&str], services: &[&str], backends: &[&str]| Route {
            realms: owned(realms),
            services: owned(services),
            backends: owned(backends),
        };
        let entrance = |name: &str, backends: &[&str]| Entrance {
            name: name.to_owned(),
            backends: owned(backends),
        };
        Settings {
            routes: vec![
                route(&["staff.ex.org"], &["imap"], &["ldap", "store"]),
                route(&["*.ex.org"], &[], &["ldap"]),
                route(&[], &["imap"], &["pam"]),
            ],
            entrances: vec![entrance("web", &[]), entrance("legacy", &["sasldb"])],
            ..Settings::for_tests(&["store"])
        }
    }

    #[test]
    fn the_first_route_that_fits_decides_else_the_default_chain() {
        for (realm, service, chosen) in [
            ("staff.ex.org", "imap", &["ldap", "store"][..]),
            ("staff.ex.org", "smtp", &["ldap"]),
            ("ex.org", "imap", &["pam"]),
            ("ex.org", "smtp", &["store"]),
        ] {
            let settings = settings();
            assert_eq!(settings.choose(None, realm, service), Some(&*owned(chosen)));
            assert_eq!(settings.choose(Some("web"), realm, service), Some(&*owned(chosen)));
            let legacy = settings.choose(Some("legacy"), realm, service);
            assert_eq!(legacy, Some(&*owned(&["sasldb"])));
            assert_eq!(settings.choose(Some("gone"), realm, service), None);
        }
    }

    #[test]
    fn all_that_may_be_asked_are_opened_once() {
        assert_eq!(settings().all_backends(), ["store", "ldap", "pam", "sasldb"]);
        assert!(settings().asks("sasldb") && !settings().asks("rimap"));
    }
}
