//! `[shadow]`: the accounts of this host by their hashes.

use super::bounds::{LONGEST_LOCAL, SHORTEST};
use super::{Form, Key, Kind, Section};

pub(super) const SECTION: Section = Section {
    name: "shadow",
    form: Form::Once,
    text: "The backends \"shadow\" and \"getpwent\", as saslauthd has them: accounts of this host, \
           found as nsswitch.conf says and checked against their crypt(3) hash ($1$, $5$, $6$, \
           $2b$, $y$), without PAM. Realm and service are not looked at. \"shadow\" needs to read \
           /etc/shadow: as root, or in its group. An empty password never fits; an expired or \
           locked account, and one that must change its password, is refused.",
    keys: &[
        Key {
            name: "threads",
            kind: Kind::Count {
                min: 0,
                max: 1024,
                set: |config, count| config.shadow.threads = count as usize,
            },
            default: Some("0"),
            text: "Threads that look accounts up and hash. 0 is one a core. Raise it where \
                   accounts come over the network.",
        },
        Key {
            name: "max_waiting",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.shadow.max_waiting = count as usize,
            },
            default: Some("1024"),
            text: "Logins that may wait for a thread. More are answered as unavailable at once, so \
                   that a flood does not grow without bound.",
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST_LOCAL,
                set: |config, time| config.shadow.timeout = time,
            },
            default: Some("\"30s\""),
            text: "Deadline of one login, the wait for a free thread included. After it the client \
                   gets \"unavailable\".",
        },
    ],
};
