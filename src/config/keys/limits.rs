//! Limits and timeouts of `[gate]`.

use super::bounds::{LONGEST, SHORTEST};
use super::{Key, Kind};

pub(super) const MAX_MESSAGE: Key = Key {
    name: "max_message",
    kind: Kind::Size {
        min: 64 << 10,
        max: 16 << 30,
        multiple: 1,
        set: |config, bytes| config.gate.limits.message_bytes = bytes,
    },
    default: Some("\"50MiB\""),
    text: "Largest message. The smaller one of this and the MTA's own limit is what SIZE announces. \
           Attachments grow by a third when they are encoded.",
};

pub(super) const MAX_RECIPIENTS: Key = Key {
    name: "max_recipients",
    kind: Kind::Count {
        min: 1,
        max: 100_000,
        set: |config, count| config.gate.limits.recipients = count as usize,
    },
    default: Some("1000"),
    text: "Recipients of one message; more get 452. RFC 5321 asks for at least 100.",
};

pub(super) const MAX_LINE: Key = Key {
    name: "max_line",
    kind: Kind::Size {
        min: 512,
        max: 64 << 10,
        multiple: 1,
        set: |config, bytes| {
            config.gate.limits.line_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        },
    },
    default: Some("2048"),
    text: "Longest command line with its CRLF; a longer one is refused with 500. RFC 5321 asks for \
           512, its extensions for some more. Message content has no such limit.",
};

pub(super) const MAX_ERRORS: Key = Key {
    name: "max_errors",
    kind: Kind::Count {
        min: 1,
        max: 10_000,
        set: |config, count| config.gate.limits.errors = count,
    },
    default: Some("10"),
    text: "Commands that the gate may answer with 5xx before it closes the session with 421. What \
           the MTA refuses does not count.",
};

pub(super) const MAX_AUTH_FAILURES: Key = Key {
    name: "max_auth_failures",
    kind: Kind::Count {
        min: 1,
        max: 100,
        set: |config, count| config.gate.limits.auth_failures = count,
    },
    default: Some("3"),
    text: "Failed logins before the session is closed with 421. A mail program with a wrong \
           password tries twice, someone who guesses tries for ever.",
};

pub(super) const MAX_COMMANDS: Key = Key {
    name: "max_commands",
    kind: Kind::Count {
        min: 10,
        max: 10_000_000,
        set: |config, count| config.gate.limits.commands = count,
    },
    default: Some("10000"),
    text: "Commands in one session before it is closed with 421. A message with 1000 recipients \
           takes about that many; raise it for programs that send a whole mailing over one \
           connection.",
};

pub(super) const MAX_SESSIONS: Key = Key {
    name: "max_sessions",
    kind: Kind::Count {
        min: 1,
        max: 100_000,
        set: |config, count| config.gate.limits.sessions = count as usize,
    },
    default: Some("1000"),
    text: "Sessions at once; more get 421. Each needs two file descriptors, and one connection \
           of the MTA once it sends mail.",
};

pub(super) const MAX_SESSIONS_PER_ADDRESS: Key = Key {
    name: "max_sessions_per_address",
    kind: Kind::Count {
        min: 1,
        max: 100_000,
        set: |config, count| config.gate.limits.sessions_per_address = count as usize,
    },
    default: Some("50"),
    text: "Sessions at once from one IPv4 address or one IPv6 /64; more get 421. Raise it if many \
           users come through one NAT gateway.",
};

pub(super) const COMMAND_TIMEOUT: Key = Key {
    name: "command_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.command = time,
    },
    default: Some("\"5m\""),
    text: "Wait for a client's next command, and for a client to read its replies. RFC 5321 asks \
           for at least five minutes.",
};

pub(super) const DATA_TIMEOUT: Key = Key {
    name: "data_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.data_block = time,
    },
    default: Some("\"3m\""),
    text: "Wait for the client's next piece of message content. RFC 5321 asks for three minutes.",
};

pub(super) const HANDSHAKE_TIMEOUT: Key = Key {
    name: "handshake_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.handshake = time,
    },
    default: Some("\"30s\""),
    text: "Limit on a TLS handshake, with the client and with the MTA.",
};

pub(super) const AUTH_TIMEOUT: Key = Key {
    name: "auth_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.auth = time,
    },
    default: Some("\"1m\""),
    text: "Limit on one answer of the password daemon; after it the client gets 454. Should be \
           longer than pam.timeout.",
};

pub(super) const CONNECT_TIMEOUT: Key = Key {
    name: "connect_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.connect = time,
    },
    default: Some("\"30s\""),
    text: "Limit on connecting to the MTA, its greeting included; after it the client gets 451. An \
           MTA with a greet pause needs more than that pause.",
};

pub(super) const REPLY_TIMEOUT: Key = Key {
    name: "reply_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.reply = time,
    },
    default: Some("\"5m\""),
    text: "Wait for the MTA's reply to MAIL, RCPT or RSET. RFC 5321 asks for five minutes, since \
           an MTA may look things up in DNS.",
};

pub(super) const DATA_INIT_TIMEOUT: Key = Key {
    name: "data_init_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.data_init = time,
    },
    default: Some("\"2m\""),
    text: "Wait for the MTA's 354 to DATA. RFC 5321 asks for two minutes.",
};

pub(super) const DATA_FINAL_TIMEOUT: Key = Key {
    name: "data_final_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.data_final = time,
    },
    default: Some("\"10m\""),
    text: "Wait for the MTA's reply to the end of the message. RFC 5321 asks for ten minutes: the \
           MTA may be filtering, and giving up early makes clients send the message twice.",
};

pub(super) const SESSION_TIMEOUT: Key = Key {
    name: "session_timeout",
    kind: Kind::Time {
        min: SHORTEST,
        max: LONGEST,
        set: |config, time| config.gate.timeouts.session = time,
    },
    default: Some("\"2h\""),
    text: "Limit on a whole session, so that nobody keeps one for ever by trickling. Must leave \
           time for the largest message over the slowest line: 50MiB at 64 kbit/s take nearly two \
           hours.",
};
