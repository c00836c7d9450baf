//! `[policy.dns]`: what the DNS is asked about clients.

use std::time::Duration;

use super::bounds::SHORTEST;
use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, block_list, network, resolver};

pub(super) const SECTION: Section = Section {
    name: "policy.dns",
    form: Form::Once,
    text: "What the DNS is asked about clients of listeners with kind = \"mta\": their names, and \
           the block lists they are on. Nothing is asked about clients of other listeners. Answers \
           are remembered for as long as they say, at least 30 seconds and at most an hour.",
    keys: &[
        Key {
            name: "block_lists",
            kind: Kind::List {
                least: 0,
                expected: "zones such as \"zen.example.org\" or \"zen.example.org=127.0.0.[2..11]\"",
                words: &[],
                check: |text| block_list(text).map(drop),
                set: |config, texts| {
                    let zones = texts.iter().filter_map(|text| block_list(text).ok());
                    config.gate.names.zones = zones.collect();
                },
            },
            default: Some("[]"),
            text: "DNS block lists. A client that is on one gets 550 at RCPT, so that the log has \
                   sender and recipient; a user who has logged in is never refused for it. Behind \
                   = stand the answers that count, with ranges as Postfix writes them; without \
                   that, all in 127.0.0.0/8 but 127.255.255.0/24, by which lists say that they \
                   refuse your resolver. A list that cannot be asked lists nobody.",
        },
        Key {
            name: "exempt",
            kind: Kind::List {
                least: 0,
                expected: forms::NETWORKS,
                words: &[],
                check: |text| network(text).map(drop),
                set: |config, texts| {
                    let networks = texts.iter().filter_map(|text| network(text).ok());
                    config.gate.names.exempt = networks.collect();
                },
            },
            default: Some("[]"),
            text: "Networks and addresses that no list is asked about.",
        },
        Key {
            name: "client_names",
            kind: Kind::Flag { set: |config, is_on| config.gate.names.client_names = is_on },
            default: Some("true"),
            text: "Whether the names of clients are looked up, and looked up again to see whether \
                   they lead back to the address. The greeting waits for that. The name stands in \
                   the log and in the Received: line.",
        },
        Key {
            name: "servers",
            kind: Kind::List {
                least: 0,
                expected: "resolvers such as \"127.0.0.1\" or \"127.0.0.1:5353\"",
                words: &[],
                check: |text| resolver(text).map(drop),
                set: |config, texts| {
                    let servers = texts.iter().filter_map(|text| resolver(text).ok());
                    config.gate.names.servers = servers.collect();
                },
            },
            default: Some("[]"),
            text: "The resolvers that are asked. Empty: those of /etc/resolv.conf, as it is at the \
                   start. Large block lists refuse public resolvers: have one of your own.",
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: Duration::from_secs(60),
                set: |config, time| config.gate.names.time_limit = time,
            },
            default: Some("\"5s\""),
            text: "How long the name of a client may take, and all lists together. Then the client \
                   has no name, and is on no list that has not answered.",
        },
        Key {
            name: "max_clients",
            kind: Kind::Count {
                min: 1,
                max: 100_000,
                set: |config, count| config.gate.names.clients = count as usize,
            },
            default: Some("1000"),
            text: "Look-ups of names, and of lists, that may go on at once; a client beyond that \
                   has no name and is on no list.",
        },
        Key {
            name: "cache",
            kind: Kind::Count {
                min: 0,
                max: 10_000_000,
                set: |config, count| config.gate.names.remembered = count,
            },
            default: Some("10000"),
            text: "Answers that are remembered, about 300 bytes each.",
        },
    ],
};
