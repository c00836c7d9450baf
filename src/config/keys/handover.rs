//! `[authd.handover]`: gates that log in to the mail server as their users.

use std::time::Duration;

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, listener_name, some_account};

pub(super) const SECTION: Section = Section {
    name: "authd.handover",
    form: Form::Once,
    text: "Tokens with which the gate logs in to the mail server behind it as the user who logged \
           in to the gate (identity = \"handover\" in [[gate.backend]]). A token comes with the OK \
           to the gate, and is good once, for that user, at the socket that the mail server asks.",
    keys: &[
        Key {
            name: "gates",
            kind: Kind::List {
                least: 0,
                expected: forms::ACCOUNTS,
                words: &[],
                check: some_account,
                set: |config, names| config.auth.handover.gates = names,
            },
            default: Some("[]"),
            text: "Accounts of gates, such as \"saslgate-gate\". Their processes, and no others, \
                   are given a token with an OK, if they ask for one. Empty: nobody is.",
        },
        Key {
            name: "mail_servers",
            kind: Kind::List {
                least: 1,
                expected: forms::ACCOUNTS,
                words: &[],
                check: some_account,
                set: |config, names| config.auth.handover.mail_servers = names,
            },
            default: Some("[\"root\"]"),
            text: "Accounts as which mail servers ask about logins: \"root\" for sendmail, unless \
                   it has RunAsUser. Tokens of others are refused.",
        },
        Key {
            name: "sockets",
            kind: Kind::List {
                least: 1,
                expected: "names of listeners, and \"default\" for authd.socket",
                words: &[],
                check: |text| listener_name(text).map(drop),
                set: |config, names| config.auth.handover.sockets = names,
            },
            default: Some("[\"default\"]"),
            text: "Sockets at which tokens are good: \"default\" is authd.socket, others are named \
                   as their [[authd.listener]].",
        },
        Key {
            name: "lifetime",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: Duration::from_secs(600),
                set: |config, time| config.auth.handover.lifetime = time,
            },
            default: Some("\"30s\""),
            text: "For how long a token is good. The gate uses it at once; this must be longer \
                   than the mail server takes to greet and to encrypt.",
        },
    ],
};
