//! `[store]`: the password store.

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, path};

pub(super) const SECTION: Section = Section {
    name: "store",
    form: Form::Once,
    text: "The \"store\" backend: users and hashed passwords of saslgate's own, managed with \
           saslpasswd2 or saslgate user. Changed costs of hashing hold for passwords that are set \
           from then on.",
    keys: &[
        Key {
            name: "path",
            kind: Kind::Text {
                form: forms::PATH,
                set: |config, text| path(text).map(|path| config.store.path = path),
            },
            default: Some("\"/var/lib/saslgate/users.db\""),
            text: "The database file (SQLite), with mode 0600 and owned by the account of authd, in a \
                   directory that only that account or root may write to; wider permissions are \
                   refused. Must be on a local disk, since its locks do not work over a network.",
        },
        Key {
            name: "memory",
            kind: Kind::Size {
                min: 8 << 10,
                max: 1 << 30,
                multiple: 1 << 10,
                set: |config, bytes| {
                    config.store.memory_kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
                },
            },
            default: Some("\"19456KiB\""),
            text: "Memory that one password hash takes (argon2id). The default is OWASP's. More \
                   makes guessing from a stolen file dearer, and every login too: hash_threads \
                   times this much is in use under load. At least 8KiB a lane. After a change, \
                   set the passwords anew: until then a refusal takes another time for users with \
                   the old cost than for names that do not exist, which only authd.floor hides.",
        },
        Key {
            name: "iterations",
            kind: Kind::Count {
                min: 1,
                max: 64,
                set: |config, count| config.store.iterations = count,
            },
            default: Some("2"),
            text: "Passes over that memory (argon2id). The default is OWASP's; the time of a login \
                   grows with it.",
        },
        Key {
            name: "lanes",
            kind: Kind::Count { min: 1, max: 16, set: |config, count| config.store.lanes = count },
            default: Some("1"),
            text: "Lanes (argon2id's parallelism). The default is OWASP's; with threads that are \
                   busy with other logins more lanes gain nothing.",
        },
        Key {
            name: "hash_threads",
            kind: Kind::Count {
                min: 0,
                max: 1024,
                set: |config, count| config.store.hash_threads = count as usize,
            },
            default: Some("0"),
            text: "Threads that hash. 0 is one a core. A core checks 50 to 85 passwords a second \
                   at the default cost.",
        },
        Key {
            name: "max_waiting",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.store.max_waiting = count as usize,
            },
            default: Some("1024"),
            text: "Logins that may wait for a thread that hashes. More are answered as unavailable \
                   at once, so that a flood does not grow without bound.",
        },
    ],
};
