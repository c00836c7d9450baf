//! `[policy.access]`: sendmail's access map, and which domains are ours.

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, class_name, optional_path};

pub(super) const SECTION: Section = Section {
    name: "policy.access",
    form: Form::Once,
    text: "sendmail's access map, and the domains that are ours, for clients of every listener. \
           The files are sendmail's own, in its syntax; its .db files are not needed. They are \
           read at the start and at a reload: a file that cannot be read keeps the gate from \
           starting, and at a reload the old ones count on. A line of the map that is not \
           understood is left out and told of in the log. `saslgate check --access` says which \
           line decides about an address.",
    keys: &[
        Key {
            name: "map",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.access.map = path),
            },
            default: Some("\"\""),
            text: "The access map, for sendmail usually /etc/mail/access. Obeyed are Connect:, \
                   From:, To:, CERTIssuer:, CERTSubject:, TLS_Clt:, ClientRate:, ClientConn: and \
                   keys without a tag, with SKIP and with recipients, as sendmail's \
                   FEATURE(access_db, ..., skip) and FEATURE(blocklist_recipients) do.",
        },
        Key {
            name: "delay_checks",
            kind: Kind::Flag { set: |config, is_on| config.access.delay_checks = is_on },
            default: Some("false"),
            text: "As sendmail's FEATURE(delay_checks): clients and senders are refused at RCPT, \
                   so that the log has sender and recipient, and who has logged in is not refused \
                   for them. Without it, a network with REJECT cannot even log in.",
        },
        Key {
            name: "relay_loopback",
            kind: Kind::Flag { set: |config, is_on| config.access.relay_loopback = is_on },
            default: Some("true"),
            text: "Whether clients on 127.0.0.1 and ::1 may relay on listeners with kind = \
                   \"mta\", as sendmail lets them, whatever the map says. Set it to false where a \
                   proxy on this host brings clients that are not of this host.",
        },
        Key {
            name: "local_domains",
            kind: Kind::List {
                least: 0,
                expected: "domains such as \"example.org\"",
                words: &[],
                check: class_name,
                set: |config, names| config.access.local_domains = names,
            },
            default: Some("[]"),
            text: "Domains for which listeners with kind = \"mta\" take mail from anybody, beside \
                   gate.hostname and localhost (sendmail's class w).",
        },
        Key {
            name: "local_domains_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.access.local_domains_file = path)
                },
            },
            default: Some("\"\""),
            text: "A file with more of them, for sendmail usually /etc/mail/local-host-names: \
                   names parted by blanks or lines, comments from # on.",
        },
        Key {
            name: "relay_domains",
            kind: Kind::List {
                least: 0,
                expected: "domains such as \"example.org\", or networks such as \"192.0.2\"",
                words: &[],
                check: class_name,
                set: |config, names| config.access.relay_domains = names,
            },
            default: Some("[]"),
            text: "Domains that mail is taken for from anybody, those below them included, and \
                   clients, by name or by the whole octets of their networks, that may relay \
                   (sendmail's class R).",
        },
        Key {
            name: "relay_domains_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.access.relay_domains_file = path)
                },
            },
            default: Some("\"\""),
            text: "A file with more of them, for sendmail usually /etc/mail/relay-domains.",
        },
    ],
};
