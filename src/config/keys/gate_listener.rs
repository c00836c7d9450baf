//! What one `[[gate.listener]]` has for itself: its socket, its proxies, its limits.

use super::gate::last_listener;
use super::{Key, Kind};
use crate::config::forms::{self, network, optional_path, socket_name};

pub(super) const SOCKET: Key = Key {
    name: "socket",
    kind: Kind::Text {
        form: forms::SOCKET_NAME,
        set: |config, text| {
            socket_name(text).map(|name| last_listener(config, |it| it.socket = name))
        },
    },
    default: Some("\"\""),
    text: "FileDescriptorName= of the systemd socket unit that opens it. Empty: an inherited \
           socket is known by its address, and where there is none, the gate opens its own. A \
           name is needed where the unit listens on another address than this one, such as IPv4 \
           and IPv6 in one.",
};

pub(super) const TRANSCRIPT: Key = Key {
    name: "transcript",
    kind: Kind::Text {
        form: forms::OPTIONAL_PATH,
        set: |config, text| {
            optional_path(text).map(|path| last_listener(config, |it| it.transcript = path))
        },
    },
    default: Some("\"\""),
    text: "File that its sessions are written down in, as by gate.transcript.",
};

pub(super) const PROXY_FROM: Key = Key {
    name: "proxy_from",
    kind: Kind::List {
        least: 0,
        expected: forms::NETWORKS,
        words: &[],
        check: |text| network(text).map(drop),
        set: |config, texts| {
            let networks = texts.iter().filter_map(|text| network(text).ok()).collect();
            last_listener(config, |it| it.proxy_from = networks);
        },
    },
    default: Some("[]"),
    text: "Load balancers in front of it. Whoever connects from here must begin with a PROXY \
           header, version 1 or 2, and the client named there counts for limits, rules and logs. \
           Headers of others are not believed.",
};

pub(super) const MAX_MESSAGE: Key = Key {
    name: "max_message",
    kind: Kind::Size {
        min: 0,
        max: 16 << 30,
        multiple: 1,
        set: |config, bytes| {
            last_listener(config, |it| it.limits.message_bytes = (bytes > 0).then_some(bytes));
        },
    },
    default: Some("0"),
    text: "Largest message here. 0: gate.max_message.",
};

pub(super) const MAX_RECIPIENTS: Key = Key {
    name: "max_recipients",
    kind: Kind::Count {
        min: 0,
        max: 100_000,
        set: |config, count| last_listener(config, |it| it.limits.recipients = own(count)),
    },
    default: Some("0"),
    text: "Recipients of one message here. 0: gate.max_recipients.",
};

pub(super) const MAX_ERRORS: Key = Key {
    name: "max_errors",
    kind: Kind::Count {
        min: 0,
        max: 10_000,
        set: |config, count| {
            last_listener(config, |it| it.limits.errors = (count > 0).then_some(count));
        },
    },
    default: Some("0"),
    text: "Commands in error before a session here is closed. 0: gate.max_errors.",
};

pub(super) const MAX_AUTH_FAILURES: Key = Key {
    name: "max_auth_failures",
    kind: Kind::Count {
        min: 0,
        max: 100,
        set: |config, count| {
            last_listener(config, |it| it.limits.auth_failures = (count > 0).then_some(count));
        },
    },
    default: Some("0"),
    text: "Failed logins before a session here is closed. 0: gate.max_auth_failures.",
};

pub(super) const MAX_COMMANDS: Key = Key {
    name: "max_commands",
    kind: Kind::Count {
        min: 0,
        max: 10_000_000,
        set: |config, count| {
            last_listener(config, |it| it.limits.commands = (count > 0).then_some(count));
        },
    },
    default: Some("0"),
    text: "Commands in one session here. 0: gate.max_commands.",
};

pub(super) const MAX_SESSIONS: Key = Key {
    name: "max_sessions",
    kind: Kind::Count {
        min: 0,
        max: 100_000,
        set: |config, count| last_listener(config, |it| it.limits.sessions = own(count)),
    },
    default: Some("0"),
    text: "Sessions at once here. A listener that sets this or max_sessions_per_address counts \
           its sessions for itself, so that a flood on port 25 takes no place from users on 587. \
           0: gate.max_sessions.",
};

pub(super) const MAX_SESSIONS_PER_ADDRESS: Key = Key {
    name: "max_sessions_per_address",
    kind: Kind::Count {
        min: 0,
        max: 100_000,
        set: |config, count| {
            last_listener(config, |it| it.limits.sessions_per_address = own(count));
        },
    },
    default: Some("0"),
    text: "Sessions at once here from one IPv4 address or one IPv6 /64. 0: \
           gate.max_sessions_per_address.",
};

/// `None` for 0: as the gate has it.
fn own(count: u32) -> Option<usize> {
    (count > 0).then_some(count as usize)
}
