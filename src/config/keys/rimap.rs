//! `[rimap]`: verification by a login to an IMAP server.

use super::bounds::{LONGEST_LOCAL, SHORTEST};
use super::{Choice, Form, Key, Kind, Section};
use crate::backend::pam::UserForm;
use crate::backend::rimap::Security;
use crate::config::forms::{self, host_name, optional_path, server};

pub(super) const SECTION: Section = Section {
    name: "rimap",
    form: Form::Once,
    text: "The \"rimap\" backend, as saslauthd -a rimap: a password is right if an IMAP server \
           lets it log in. The server says NO to a wrong password and to an unknown user alike, \
           so put it last among the backends.",
    keys: &[
        Key {
            name: "server",
            kind: Kind::Text {
                form: forms::SERVER,
                set: |config, text| {
                    server(text).map(|(host, port)| {
                        config.rimap.host = host;
                        config.rimap.port = port;
                    })
                },
            },
            default: Some("\"\""),
            text: "The IMAP server, with its port if that is not 143 (993 for tls = \"implicit\"). \
                   Its name is looked up for each login, and every address is tried. Must be set \
                   where \"rimap\" is among the backends.",
        },
        Key {
            name: "tls",
            kind: Kind::Choice(&[
                Choice { name: "none", set: |config| config.rimap.security = Security::None },
                Choice {
                    name: "starttls",
                    set: |config| config.rimap.security = Security::Starttls,
                },
                Choice {
                    name: "implicit",
                    set: |config| config.rimap.security = Security::Implicit,
                },
            ]),
            default: Some("\"none\""),
            text: "\"none\" sends passwords in clear, which is refused unless the server is on \
                   this host; \"starttls\" and \"implicit\" insist on a certificate that can be \
                   verified, or nobody is asked.",
        },
        Key {
            name: "allow_clear_text",
            kind: Kind::Flag { set: |config, is_on| config.rimap.is_clear_allowed = is_on },
            default: Some("false"),
            text: "With tls = \"none\": passwords may leave this host in clear, as saslauthd sent \
                   them. Everybody on the way can read them.",
        },
        Key {
            name: "ca_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.rimap.ca_file = path),
            },
            default: Some("\"\""),
            text: "PEM file with the authorities trusted for the server's certificate. Empty: \
                   those that the host trusts. With TLS only.",
        },
        Key {
            name: "server_name",
            kind: Kind::Text {
                form: forms::SERVER_NAME,
                set: |config, text| host_name(text).map(|name| config.rimap.server_name = name),
            },
            default: Some("\"\""),
            text: "Name that the server's certificate must carry. Empty: the host of server. With \
                   TLS only.",
        },
        Key {
            name: "user",
            kind: Kind::Choice(&[
                Choice { name: "local", set: |config| config.rimap.user = UserForm::Local },
                Choice { name: "full", set: |config| config.rimap.user = UserForm::Full },
                Choice { name: "claimed", set: |config| config.rimap.user = UserForm::Claimed },
            ]),
            default: Some("\"local\""),
            text: "What the server gets as user name: \"local\" is alice, whatever the realm, as \
                   saslauthd did; \"full\" is alice@realm, with the default realm where the client \
                   named none; \"claimed\" is alice@realm where the client named one, else \
                   alice, as saslauthd -r did.",
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST_LOCAL,
                set: |config, time| config.rimap.timeout = time,
            },
            default: Some("\"30s\""),
            text: "Deadline of one login, the wait for a connection included. After it the client \
                   gets \"unavailable\". Servers delay the answer to a wrong password by some \
                   seconds.",
        },
        Key {
            name: "max_connections",
            kind: Kind::Count {
                min: 1,
                max: 4096,
                set: |config, count| config.rimap.max_connections = count as usize,
            },
            default: Some("64"),
            text: "Connections at once. Servers bound those of one client, Dovecot those of one \
                   user, and each login takes one.",
        },
        Key {
            name: "max_waiting",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.rimap.max_waiting = count as usize,
            },
            default: Some("1024"),
            text: "Logins that may wait for a connection. More are answered as unavailable at \
                   once.",
        },
    ],
};
