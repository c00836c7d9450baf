//! `[metrics]`: where Prometheus reads what was counted.

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, metrics_place, mode};

pub(super) const SECTION: Section = Section {
    name: "metrics",
    form: Form::Once,
    text: "What the services have counted, at /metrics over HTTP, as Prometheus reads it. Each \
           service has a place of its own; without one it tells nobody.",
    keys: &[
        Key {
            name: "gate",
            kind: Kind::Text {
                form: forms::METRICS,
                set: |config, text| metrics_place(text).map(|place| config.metrics.gate = place),
            },
            default: Some("\"\""),
            text: "Where those of the gate are read: an address such as \"127.0.0.1:9587\", or \
                   the path of a socket. Empty is nowhere.",
        },
        Key {
            name: "authd",
            kind: Kind::Text {
                form: forms::METRICS,
                set: |config, text| metrics_place(text).map(|place| config.metrics.authd = place),
            },
            default: Some("\"\""),
            text: "Where those of authd are read. Its unit lets it open no Internet socket, so \
                   that under systemd this is a path such as \"/run/saslauthd/metrics\". Empty is \
                   nowhere.",
        },
        Key {
            name: "socket_mode",
            kind: Kind::Text {
                form: forms::MODE,
                set: |config, text| mode(text).map(|mode| config.metrics.socket_mode = mode),
            },
            default: Some("\"0600\""),
            text: "Permission bits of socket files; who reads metrics needs the w bit.",
        },
        Key {
            name: "allow_remote",
            kind: Kind::Flag { set: |config, is_on| config.metrics.is_remote_allowed = is_on },
            default: Some("false"),
            text: "Allow addresses that are not of loopback. Everybody who reaches them reads the \
                   metrics, names of users are not among them.",
        },
    ],
};
