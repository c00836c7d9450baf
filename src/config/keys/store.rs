//! `[store]`: the password store.

use super::{Form, Key, Kind, Section};
use crate::backend::store::Scram;
use crate::config::forms::{self, path};

pub(super) const SECTION: Section = Section {
    name: "store",
    form: Form::Once,
    text: "The \"store\" backend: users and hashed passwords of saslgate's own, managed with \
           saslpasswd2 or saslgate user. Changed costs of hashing hold for passwords that are set \
           from then on; others are hashed anew when their users log in the next time.",
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
                   times this much is in use under load. At least 8KiB a lane. After a change each \
                   password is hashed anew at its next login: until then a refusal takes another \
                   time for its user than for names that do not exist, which only authd.floor \
                   hides. The same is true of imported hashes.",
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
                   grows with it. Passes times memory are at most 4GiB, some four seconds.",
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
        Key {
            name: "min_length",
            kind: Kind::Count {
                min: 1,
                max: 256,
                set: |config, count| config.store.policy.min_length = count as usize,
            },
            default: Some("1"),
            text: "Least length in characters of a password that is set with saslgate user or \
                   saslpasswd2. The default asks for nothing, as the original; 8 or more is good \
                   practice, 12 where min_score is 0. Imported passwords are not judged: they are \
                   in use.",
        },
        Key {
            name: "min_score",
            kind: Kind::Count {
                min: 0,
                max: 4,
                set: |config, count| {
                    config.store.policy.min_score = u8::try_from(count).unwrap_or(u8::MAX);
                },
            },
            default: Some("0"),
            text: "Least score, by zxcvbn, of a password that is set: 1 is guessed within some \
                   10^6 tries, 2 within 10^8, 3 within 10^10, 4 not even then; 0 does not ask. 3 is \
                   good practice. The name of the user counts as known. saslgate user passwd \
                   --generate makes one that passes.",
        },
        Key {
            name: "verifiers",
            kind: Kind::List {
                least: 1,
                expected: "\"argon2id\" and \"scram-sha-256\"",
                words: &["argon2id", "scram-sha-256"],
                check: |_| Ok(()),
                set: |config, names| {
                    let is_wanted = names.iter().any(|name| name == "scram-sha-256");
                    config.store.scram = if is_wanted { Scram::Made } else { Scram::Omitted };
                },
            },
            default: Some("[\"argon2id\"]"),
            text: "What is stored of a password that is set, or that is imported in clear text. \
                   PLAIN and LOGIN are checked against argon2id, which is always made. \
                   scram-sha-256 adds what a server needs for that mechanism, for passwords of \
                   printable ASCII; it is far cheaper to guess from a stolen file (10,000 rounds \
                   of SHA-256), so leave it out unless clients are to use it.",
        },
    ],
};
