//! `[cache]`: logins that were accepted.

use std::time::Duration;

use super::bounds::LONGEST;
use super::{Form, Key, Kind, Section};

pub(super) const SECTION: Section = Section {
    name: "cache",
    form: Form::Once,
    text: "Remembers accepted logins in memory, so that the next one costs neither a hash nor a \
           directory. Nothing but a keyed digest is kept of a password, and the key ends with the \
           process. A login is forgotten at once when the records of its user change in the \
           store or in an account file, and one through PAM when a file of pam.watched_files \
           changes; what only a server across the network knows is looked at again after ttl, or \
           when another password of the same user is accepted. A reload forgets everything.",
    keys: &[
        Key {
            name: "enabled",
            kind: Kind::Flag { set: |config, is_on| config.auth.cache.enabled = is_on },
            default: Some("false"),
            text: "Whether logins are remembered; saslauthd calls it -c. Leave it off where PAM \
                   decides by the client's address or the time of day: that is not looked at \
                   again.",
        },
        Key {
            name: "size",
            kind: Kind::Count {
                min: 1,
                max: 10_000_000,
                set: |config, count| config.auth.cache.size = count as usize,
            },
            default: Some("100000"),
            text: "Logins that are remembered at most; each takes about 300 bytes. Beyond that, \
                   those that are rarely used go first.",
        },
        Key {
            name: "ttl",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: LONGEST,
                set: |config, time| config.auth.cache.ttl = time,
            },
            default: Some("\"10m\""),
            text: "No login is remembered for longer. It is also how long an old password may \
                   still be good after it was changed where nobody here sees it (in a directory, \
                   or by PAM in a file that pam.watched_files does not name), unless the new one \
                   has been used.",
        },
    ],
};
