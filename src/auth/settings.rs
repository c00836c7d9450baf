//! Settings of the authenticator.

use std::time::Duration;

use super::cache::CacheSettings;

/// How attempts are judged, whoever brings them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Names of the backends, in the order they are asked. Never empty.
    pub backends: Vec<String>,
    /// Realm of a login that names none; the host's FQDN unless set.
    pub default_realm: String,
    /// A refusal takes at least this long, whatever caused it. Acceptance is not delayed.
    pub floor: Duration,
    /// What is remembered of accepted logins.
    pub cache: CacheSettings,
}
