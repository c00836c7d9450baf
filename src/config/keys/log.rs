//! `[log]`: where log lines go, and which.

use super::{Choice, Form, Key, Kind, Section};
use crate::ops::log::{Format, Level, Target};

pub(super) const SECTION: Section = Section {
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
                Choice { name: "syslog", set: |config| config.log.target = Target::Syslog },
            ]),
            default: Some("\"auto\""),
            text: "Where they go: \"stderr\" with time and level, \"journal\" with the priorities \
                   that systemd reads from standard error; \"auto\" is \"journal\" where standard \
                   error is connected to it; \"syslog\" is the host's syslog daemon, which is where \
                   lines go when it is started as saslauthd without -d.",
        },
        Key {
            name: "format",
            kind: Kind::Choice(&[
                Choice { name: "text", set: |config| config.log.format = Format::Text },
                Choice { name: "json", set: |config| config.log.format = Format::Json },
            ]),
            default: Some("\"text\""),
            text: "What they look like: \"text\" in the words of saslauthd and sendmail, which \
                   fail2ban and log analyzers know, \"json\" one object a line with the same \
                   facts, for log shippers.",
        },
    ],
};
