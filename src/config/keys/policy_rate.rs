//! `[[policy.rate]]`, `[policy.account]`: how much may be sent, and accounts that look stolen.

use std::time::Duration;

use super::bounds::LONGEST;
use super::{Choice, Form, Key, Kind, Repeated, Section};
use crate::config::Config;
use crate::config::forms::{self, address_pattern, network};
use crate::policy::rate::{Counted, Limit, MOST_LIMITS, Scope};

pub(super) const RATE: Section = Section {
    name: "policy.rate",
    form: Form::Repeated(Repeated {
        most: MOST_LIMITS,
        clear: |config| config.gate.sending.rate.limits.clear(),
        begin: |config| config.gate.sending.rate.limits.push(Limit::default()),
        defaults: &[],
    }),
    text: "A limit on what may be sent through the gate; repeat the section for each, all of them \
           count. Without any there is none. A limit fills up evenly: after 100 messages at once \
           under \"100 an hour\" there is one every 36 seconds. What was counted is kept over a \
           reload that does not change these sections, and forgotten at a restart.",
    keys: &[
        Key {
            name: "of",
            kind: Kind::Choice(&[
                Choice { name: "login", set: |config| last(config, |it| it.of = Scope::Login) },
                Choice { name: "address", set: |config| last(config, |it| it.of = Scope::Address) },
                Choice { name: "network", set: |config| last(config, |it| it.of = Scope::Network) },
            ]),
            default: None,
            text: "Whose mail is added up: that of a \"login\", wherever it comes from; of an \
                   \"address\" (IPv4, or an IPv6 /64), whoever logs in there; or of a \"network\" \
                   (IPv4 /24, IPv6 /48).",
        },
        Key {
            name: "count",
            kind: Kind::Choice(&[
                Choice {
                    name: "messages",
                    set: |config| last(config, |it| it.count = Counted::Messages),
                },
                Choice {
                    name: "recipients",
                    set: |config| last(config, |it| it.count = Counted::Recipients),
                },
                Choice {
                    name: "mebibytes",
                    set: |config| last(config, |it| it.count = Counted::Bytes),
                },
            ]),
            default: None,
            text: "What is added up: \"messages\" (MAIL commands), \"recipients\" (RCPT commands), \
                   or \"mebibytes\" of content. Size is known when a message is through: it is \
                   the next one that is refused.",
        },
        Key {
            name: "limit",
            kind: Kind::Count {
                min: 1,
                max: 1_000_000_000,
                set: |config, count| last(config, |it| it.soft = count),
            },
            default: None,
            text: "How many in the time. Beyond it the client gets 451 with the limit and the time \
                   after which the next one is taken; mail programs try again by themselves, or \
                   show the text.",
        },
        Key {
            name: "per",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: Duration::from_secs(31 * 24 * 3600),
                set: |config, time| last(config, |it| it.per = time),
            },
            default: Some("\"1h\""),
            text: "The time: \"1m\", \"1h\", \"24h\".",
        },
        Key {
            name: "burst",
            kind: Kind::Count {
                min: 0,
                max: 1_000_000_000,
                set: |config, count| last(config, |it| it.burst = (count > 0).then_some(count)),
            },
            default: Some("0"),
            text: "How many may come at once, before the even rate counts. 0 is as many as the \
                   limit.",
        },
        Key {
            name: "hard",
            kind: Kind::Count {
                min: 0,
                max: 1_000_000_000,
                set: |config, count| last(config, |it| it.hard = (count > 0).then_some(count)),
            },
            default: Some("0"),
            text: "Attempts in the time, those that were refused included, beyond which the client \
                   gets 554. Where it is a login's, the account looks stolen (see \
                   [policy.account]). Should be several times the limit, since programs try again. \
                   0 is never.",
        },
        Key {
            name: "logins",
            kind: Kind::List {
                least: 0,
                expected: PATTERNS,
                words: &[],
                check: |text| address_pattern(text).map(drop),
                set: |config, texts| {
                    let patterns = texts.iter().filter_map(|text| address_pattern(text).ok());
                    last(config, |it| it.logins = patterns.collect());
                },
            },
            default: Some("[]"),
            text: "The logins that this limit is for, with their realm. Empty: all, and those who \
                   did not log in.",
        },
        Key {
            name: "except_logins",
            kind: Kind::List {
                least: 0,
                expected: PATTERNS,
                words: &[],
                check: |text| address_pattern(text).map(drop),
                set: |config, texts| {
                    let patterns = texts.iter().filter_map(|text| address_pattern(text).ok());
                    last(config, |it| it.except = patterns.collect());
                },
            },
            default: Some("[]"),
            text: "Logins that this limit is not for: a mailing list, which has a limit of its own.",
        },
        Key {
            name: "except_networks",
            kind: Kind::List {
                least: 0,
                expected: forms::NETWORKS,
                words: &[],
                check: |text| network(text).map(drop),
                set: |config, texts| {
                    let networks = texts.iter().filter_map(|text| network(text).ok());
                    last(config, |it| it.exempt = networks.collect());
                },
            },
            default: Some("[]"),
            text: "Networks and addresses that this limit is not for: a webmail host.",
        },
    ],
};

pub(super) const ACCOUNT: Section = Section {
    name: "policy.account",
    form: Form::Once,
    text: "The sessions of an account, and what happens when one looks stolen. That is \
           so when it goes beyond a hard limit of its login, or when its mail comes from several \
           networks that it has never sent from, within a short time. Then there is a warning in \
           the log (\"account: login=..., state=suspicious\"), and a lock if one is wanted. Locks \
           are the gate's alone and end by themselves, at a restart, and at a reload (systemctl \
           reload), which names each that it ends; to keep somebody out, use \
           \"saslgate user lock\".",
    keys: &[
        Key {
            name: "max_sessions",
            kind: Kind::Count {
                min: 0,
                max: 100_000,
                set: |config, count| {
                    config.gate.sending.sessions = (count > 0).then_some(count);
                },
            },
            default: Some("0"),
            text: "Sessions that one login may have at once; AUTH in one more gets 454. 0 is any \
                   number. For addresses there is gate.max_sessions_per_address.",
        },
        Key {
            name: "stolen_networks",
            kind: Kind::Count {
                min: 0,
                max: 30,
                set: |config, count| config.gate.sending.theft.networks = count as usize,
            },
            default: Some("0"),
            text: "Networks (IPv4 /24, IPv6 /48) that a login was never seen in and sends from \
                   within stolen_within, beyond which it looks stolen. A person has a phone, an \
                   office and a home; 5 is a good number. 0 is never. Which networks a login has \
                   used is forgotten at a restart.",
        },
        Key {
            name: "stolen_within",
            kind: Kind::Time {
                min: Duration::from_secs(60),
                max: LONGEST,
                set: |config, time| config.gate.sending.theft.within = time,
            },
            default: Some("\"1h\""),
            text: "The time for stolen_networks. A sign is told once in this time.",
        },
        Key {
            name: "lock",
            kind: Kind::Time {
                min: Duration::ZERO,
                max: Duration::from_secs(31 * 24 * 3600),
                set: |config, time| config.gate.sending.theft.lock = time,
            },
            default: Some("\"0s\""),
            text: "How long an account that looks stolen may send nothing: MAIL and RCPT get 554, \
                   which says so and for how long. \"0s\" is not at all: then there is the warning \
                   alone.",
        },
        Key {
            name: "size",
            kind: Kind::Count {
                min: 100,
                max: 10_000_000,
                set: |config, count| {
                    config.gate.sending.rate.size = count as usize;
                    config.gate.sending.theft.size = count as usize;
                },
            },
            default: Some("100000"),
            text: "Entries of the table of each limit, and of the table of networks, at most: about \
                   100 bytes each, and up to 1.5 KiB for a login's networks. Beyond that, those go \
                   first that are rarely used.",
        },
    ],
};

/// Of a list, to be read behind "expected a list of".
const PATTERNS: &str = "logins such as \"news@example.org\", \"@example.org\" or \"*@*.example\"";

fn last(config: &mut Config, set: impl FnOnce(&mut Limit)) {
    if let Some(limit) = config.gate.sending.rate.limits.last_mut() {
        set(limit);
    }
}
