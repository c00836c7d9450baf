//! The keys of `[gate]` about sessions that are written down.

use super::{Key, Kind};
use crate::config::forms::{self, network, optional_path};

pub(super) const TRANSCRIPT: Key = Key {
    name: "transcript",
    kind: Kind::Text {
        form: forms::OPTIONAL_PATH,
        set: |config, text| optional_path(text).map(|path| config.gate.transcript.file = path),
    },
    default: Some("\"\""),
    text: "File that sessions are written down in, line by line, as sendmail -X does; for finding \
           a fault, not for every day. What is secret is not in it: of responses within AUTH, of \
           lines that are no command and of content it tells the number of bytes. Under our unit \
           it must be below /var/log/saslgate-gate. Empty is none.",
};

pub(super) const NETWORKS: Key = Key {
    name: "transcript_networks",
    kind: Kind::List {
        least: 0,
        expected: forms::NETWORKS,
        words: &[],
        check: |text| network(text).map(drop),
        set: |config, texts| {
            let networks = texts.iter().filter_map(|text| network(text).ok());
            config.gate.transcript.networks = networks.collect();
        },
    },
    default: Some("[]"),
    text: "Clients whose sessions gate.transcript takes, on every listener. Empty: all.",
};

pub(super) const SIZE: Key = Key {
    name: "transcript_size",
    kind: Kind::Size {
        min: 64 << 10,
        max: 1 << 40,
        multiple: 1,
        set: |config, bytes| config.gate.transcript.limit_bytes = bytes,
    },
    default: Some("\"10MiB\""),
    text: "Size at which a transcript becomes PATH.1, in place of the one before, and a new one is \
           begun.",
};
