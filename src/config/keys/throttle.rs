//! `[throttle]`: guessing.

use std::time::Duration;

use super::bounds::LONGEST;
use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, network};

pub(super) const SECTION: Section = Section {
    name: "throttle",
    form: Form::Once,
    text: "Slows down and then stops whoever guesses passwords. Wrong passwords and unknown users \
           are counted for a login from an address (an IPv4 address, an IPv6 /64), for a login \
           from anywhere, and for an address. The same wrong password of a login counts once. \
           Refusals are delayed, right passwords never; and a password that was accepted before \
           is asked about whatever others have guessed. Where clients name no address, which is \
           so with libsasl2 2.1.28, the login alone is counted.",
    keys: &[
        Key {
            name: "enabled",
            kind: Kind::Flag { set: |config, is_on| config.auth.throttle.enabled = is_on },
            default: Some("true"),
            text: "Whether guessing is stopped here.",
        },
        Key {
            name: "delay",
            kind: Kind::Time {
                min: Duration::ZERO,
                max: Duration::from_secs(3),
                set: |config, time| config.auth.throttle.delay = time,
            },
            default: Some("\"200ms\""),
            text: "Delay of the third refusal; it doubles with each further one. Whatever this \
                   is, the answer comes 3.5 s after the request at the latest, or when the \
                   backends have answered: Postfix waits 10 s, chasquid 5 s.",
        },
        Key {
            name: "limit",
            kind: Kind::Count {
                min: 3,
                max: 1_000_000,
                set: |config, count| config.auth.throttle.limit = count,
            },
            default: Some("20"),
            text: "Failures of one login from one address before it is refused at once from \
                   there, without asking anybody ([code=throttled]). Refusals to an address as a \
                   whole are delayed beyond as many.",
        },
        Key {
            name: "login_limit",
            kind: Kind::Count {
                min: 3,
                max: 1_000_000,
                set: |config, count| config.auth.throttle.login_limit = count,
            },
            default: Some("100"),
            text: "Failures of one login from anywhere before it is refused at once, unless its \
                   password was accepted before.",
        },
        Key {
            name: "half_life",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: LONGEST,
                set: |config, time| config.auth.throttle.half_life = time,
            },
            default: Some("\"15m\""),
            text: "All counts halve in this time.",
        },
        Key {
            name: "size",
            kind: Kind::Count {
                min: 100,
                max: 10_000_000,
                set: |config, count| config.auth.throttle.size = count as usize,
            },
            default: Some("100000"),
            text: "Entries of each table at most, about 150 bytes each. Beyond that, those go \
                   first that are rarely used.",
        },
        Key {
            name: "max_delayed",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.auth.throttle.max_delayed = count as usize,
            },
            default: Some("500"),
            text: "Refusals that may be waiting for their delay at once, each on a connection; \
                   more are told without one. Keep it below authd.max_connections_per_uid.",
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
                    config.auth.throttle.exempt = networks.collect();
                },
            },
            default: Some("[]"),
            text: "Networks and addresses whose logins are neither counted nor delayed: a webmail \
                   host, through which all users come.",
        },
    ],
};
