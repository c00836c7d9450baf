//! The keys of `[ldap]` about limits: how long, how many.

use std::time::Duration;

use super::bounds::{LONGEST, LONGEST_LOCAL, SHORTEST};
use super::{Key, Kind};

pub(super) const SIZE_LIMIT: Key = Key {
    name: "size_limit",
    kind: Kind::Count { min: 0, max: 60, set: |config, count| config.ldap.size_limit = count },
    default: Some("2"),
    text: "Entries that a server is asked for at most; 0 leaves it to the server. More than one \
           is refused anyway.",
};

pub(super) const TIME_LIMIT: Key = Key {
    name: "time_limit",
    kind: Kind::Time {
        min: Duration::ZERO,
        max: LONGEST_LOCAL,
        set: |config, time| config.ldap.time_limit = time,
    },
    default: Some("\"5s\""),
    text: "Longest that a server is asked to search, in whole seconds; \"0s\" leaves it to the \
           server.",
};

pub(super) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST_LOCAL,
        set: |config, time| config.ldap.timeout = time,
    },
    default: Some("\"5s\""),
    text: "Deadline of one login, with all servers that are asked and the wait for a free \
           connection. A server gets an equal share of what is left for it and those behind it. \
           After it the client gets \"unavailable\".",
};

pub(super) const MAX_CONNECTIONS: Key = Key {
    name: "max_connections",
    kind: Kind::Count {
        min: 1,
        max: 1024,
        set: |config, count| config.ldap.max_connections = count as usize,
    },
    default: Some("16"),
    text: "Logins that ask the directory at one time. Each has at most one connection for \
           searches and one for binds to a server, opened when needed.",
};

pub(super) const MAX_WAITING: Key = Key {
    name: "max_waiting",
    kind: Kind::Count {
        min: 1,
        max: 65_536,
        set: |config, count| config.ldap.max_waiting = count as usize,
    },
    default: Some("256"),
    text: "Logins that may wait for one of them to end. More are answered as unavailable at once.",
};

pub(super) const IDLE_TIMEOUT: Key = Key {
    name: "idle_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.ldap.idle_timeout = time,
    },
    default: Some("\"2m\""),
    text: "A connection that had nothing to do for this long is replaced instead of used. Keep it \
           below what the server or a firewall in between allows; one that was closed is noticed \
           and replaced, too.",
};

pub(super) const RETRY_AFTER: Key = Key {
    name: "retry_after",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.ldap.retry_after = time,
    },
    default: Some("\"30s\""),
    text: "A server that failed is asked after the others for this long; then one login tries it \
           again.",
};
