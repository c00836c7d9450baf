//! `[tls]`: the gate's certificate; `[log]`: where log lines go.

use super::{Choice, Form, Key, Kind, Section};
use crate::config::Config;
use crate::config::forms::{self, optional_path};
use crate::ops::log::{Level, Target};
use crate::tls::MinimumVersion;

pub(super) const TLS: Section = Section {
    name: "tls",
    form: Form::Once,
    text: "The certificate of the gate. The gate does not start without one, since no password \
           goes in clear.",
    keys: &[
        Key {
            name: "certificate",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text)
                        .map(|path| tls(config).certificate = path.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "PEM file with the certificate chain, the gate's own certificate first \
                   (fullchain.pem of Let's Encrypt).",
        },
        Key {
            name: "key",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| tls(config).key = path.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "PEM file with the private key of that certificate. Others must not be able to \
                   read it.",
        },
        Key {
            name: "minimum_version",
            kind: Kind::Choice(&[
                Choice {
                    name: "1.2",
                    set: |config| tls(config).minimum_version = MinimumVersion::Tls12,
                },
                Choice {
                    name: "1.3",
                    set: |config| tls(config).minimum_version = MinimumVersion::Tls13,
                },
            ]),
            default: Some("\"1.2\""),
            text: "Oldest version of TLS that is accepted. \"1.3\" locks out mail programs from \
                   before 2019 or so. 1.0 and 1.1 are not on offer (RFC 8996).",
        },
    ],
};

pub(super) const LOG: Section = Section {
    name: "log",
    form: Form::Once,
    text: "Log lines. Every login and every message is logged once, whatever the level; the level \
           is for everything else.",
    keys: &[
        Key {
            name: "level",
            kind: Kind::Choice(&[
                Choice { name: "error", set: |config| config.log.level = Level::Error },
                Choice { name: "warn", set: |config| config.log.level = Level::Warn },
                Choice { name: "info", set: |config| config.log.level = Level::Info },
                Choice { name: "debug", set: |config| config.log.level = Level::Debug },
            ]),
            default: Some("\"info\""),
            text: "The least severe lines that are written: \"error\" is for what a person must \
                   act on, \"warn\" for what works worse than it should, \"info\" for start, stop \
                   and reload, \"debug\" for the rest. Passwords are in none of them.",
        },
        Key {
            name: "target",
            kind: Kind::Choice(&[
                Choice { name: "auto", set: |config| config.log.target = Target::Auto },
                Choice { name: "stderr", set: |config| config.log.target = Target::Stderr },
                Choice { name: "journal", set: |config| config.log.target = Target::Journal },
            ]),
            default: Some("\"auto\""),
            text: "Where they go: \"stderr\" with time and level, \"journal\" with the priorities \
                   that systemd reads from standard error; \"auto\" is \"journal\" where standard \
                   error is connected to it.",
        },
    ],
};

/// The `[tls]` part, made when its first key is set; the reader takes it away
/// again if no certificate is named.
fn tls(config: &mut Config) -> &mut crate::tls::Settings {
    config.tls.get_or_insert_with(|| crate::tls::Settings {
        certificate: std::path::PathBuf::new(),
        key: std::path::PathBuf::new(),
        minimum_version: MinimumVersion::Tls12,
    })
}
