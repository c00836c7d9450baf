//! `[sasldb]`: the user database of Cyrus SASL.

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, optional_path};

pub(super) const SECTION: Section = Section {
    name: "sasldb",
    form: Form::Once,
    text: "The \"sasldb\" backend: the users and passwords that Cyrus's saslpasswd2 writes, read in \
           place and never written. A change is seen by the next login. A login without a realm \
           is looked for in authd.default_realm, in the name of the host as gethostname tells it, \
           and in its full name. authd must be able to read the file: on Debian its group sasl \
           may, on Fedora type \"chgrp saslauth /etc/sasl2/sasldb2\" once. While the file is missing or cannot be read, its users are \
           unavailable, and the log says why.",
    keys: &[
        Key {
            name: "path",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.sasldb.path = path),
            },
            default: Some("\"\""),
            text: "The database: Berkeley DB, GDBM or LMDB, told by its content. Empty is \
                   /etc/sasldb2, or /etc/sasl2/sasldb2 where only that exists.",
        },
        Key {
            name: "max_size",
            kind: Kind::Size {
                min: 1 << 20,
                max: 1 << 30,
                multiple: 1,
                set: |config, bytes| config.sasldb.max_bytes = bytes,
            },
            default: Some("\"64MiB\""),
            text: "A larger file is not read. The file is read as a whole after each change, so \
                   this bounds memory and time; it holds some hundred thousand users.",
        },
    ],
};
