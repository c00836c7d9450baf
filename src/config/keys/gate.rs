//! `[gate]`, `[[gate.listener]]`, `[[gate.backend]]`: the submission gate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::bounds::LONGEST;
use super::limits;
use super::{Choice, Form, Key, Kind, Repeated, Section};
use crate::config::Config;
use crate::config::forms::{self, account, address, auth_source, host_name, listen, optional_path};
use crate::gate::{AuthSource, BackendTls, BareNewlines, ListenerSettings, TlsMode};

pub(super) const SECTION: Section = Section {
    name: "gate",
    form: Form::Once,
    text: "The SMTP submission gate in front of an MTA. It needs a certificate (section [tls]) \
           and an MTA that listens for it (section [[gate.backend]]).",
    keys: &[
        Key {
            name: "hostname",
            kind: Kind::Text {
                form: forms::HOSTNAME,
                set: |config, text| {
                    host_name(text).map(|name| {
                        if let Some(name) = name {
                            config.gate.hostname = name;
                        }
                    })
                },
            },
            default: Some("\"\""),
            text: "Name in the greeting, in EHLO and in Received lines. Empty is the full name of \
                   this host. Should be a name that the certificate covers.",
        },
        Key {
            name: "user",
            kind: Kind::Text {
                form: forms::ACCOUNT,
                set: |config, text| account(text).map(|user| config.gate_user = user),
            },
            default: Some("\"\""),
            text: "Account that the gate becomes once it has bound its ports and read its key, \
                   where it is started as root. Empty is to stay as started, which is right under \
                   systemd. The key must be readable for this account if a reload is to take a \
                   new one.",
        },
        Key {
            name: "watch_config",
            kind: Kind::Flag { set: |config, is_on| config.gate_watch_config = is_on },
            default: Some("true"),
            text: "Read this file again when it has changed, as after SIGHUP. A file with a \
                   mistake changes nothing, and the log says where it is. Certificates are read \
                   again in any case.",
        },
        Key {
            name: "auth",
            kind: Kind::Text {
                form: forms::AUTH_SOURCE,
                set: |config, text| {
                    auth_source(text).map(|path| config.gate.auth = AuthSource::Saslauthd(path))
                },
            },
            default: Some("\"saslauthd:/run/saslauthd/mux\""),
            text: "Who checks passwords: \"saslauthd:\" and the socket of saslgate authd, or of a \
                   Cyrus saslauthd. Change it together with authd.socket.",
        },
        Key {
            name: "mechanisms",
            kind: Kind::List {
                least: 1,
                expected: "\"PLAIN\" and \"LOGIN\"",
                words: &["PLAIN", "LOGIN"],
                check: |_| Ok(()),
                set: |config, names| config.gate.mechanisms = names,
            },
            default: Some("[\"PLAIN\", \"LOGIN\"]"),
            text: "Mechanisms offered in AUTH, after TLS only. LOGIN is for old Outlooks and \
                   scripts; everything else knows PLAIN.",
        },
        Key {
            name: "bare_newlines",
            kind: Kind::Choice(&[
                Choice {
                    name: "reject",
                    set: |config| config.gate.bare_newlines = BareNewlines::Reject,
                },
                Choice {
                    name: "normalize",
                    set: |config| config.gate.bare_newlines = BareNewlines::Normalize,
                },
            ]),
            default: Some("\"reject\""),
            text: "What happens to a message with a CR or LF that stands alone, or a NUL, which no \
                   proper mail program sends and which SMTP smuggling is made of: \"reject\" \
                   answers 554, \"normalize\" makes a lone LF a CRLF, a lone CR a blank, and drops \
                   NULs. Choose \"normalize\" for old devices and scripts.",
        },
        limits::MAX_MESSAGE,
        limits::MAX_RECIPIENTS,
        limits::MAX_LINE,
        limits::MAX_ERRORS,
        limits::MAX_AUTH_FAILURES,
        limits::MAX_COMMANDS,
        limits::MAX_SESSIONS,
        limits::MAX_SESSIONS_PER_ADDRESS,
        limits::COMMAND_TIMEOUT,
        limits::DATA_TIMEOUT,
        limits::HANDSHAKE_TIMEOUT,
        limits::AUTH_TIMEOUT,
        limits::CONNECT_TIMEOUT,
        limits::REPLY_TIMEOUT,
        limits::DATA_INIT_TIMEOUT,
        limits::DATA_FINAL_TIMEOUT,
        limits::SESSION_TIMEOUT,
    ],
};

pub(super) const LISTENER: Section = Section {
    name: "gate.listener",
    form: Form::Repeated(Repeated {
        most: 64,
        clear: |config| config.gate.listeners.clear(),
        begin: |config| config.gate.listeners.push(BLANK_LISTENER),
        defaults: &[
            "address = \"0.0.0.0:587\"\ntls = \"starttls\"",
            "address = \"[::]:587\"\ntls = \"starttls\"",
            "address = \"0.0.0.0:465\"\ntls = \"implicit\"",
            "address = \"[::]:465\"\ntls = \"implicit\"",
        ],
    }),
    text: "A socket that the gate listens on; repeat the section for each. Without any, the gate \
           listens on 587 and 465 of every address. IPv4 and IPv6 are listeners of their own.",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text {
                form: forms::LISTEN,
                set: |config, text| {
                    listen(text).map(|address| last_listener(config, |it| it.address = address))
                },
            },
            default: None,
            text: "Address and port. \"0.0.0.0\" is every IPv4 address, \"[::]\" every IPv6 \
                   address. Port 0 lets the kernel choose a port, which the log then names.",
        },
        Key {
            name: "tls",
            kind: Kind::Choice(&[
                Choice {
                    name: "starttls",
                    set: |config| last_listener(config, |it| it.tls = TlsMode::Starttls),
                },
                Choice {
                    name: "implicit",
                    set: |config| last_listener(config, |it| it.tls = TlsMode::Implicit),
                },
            ]),
            default: None,
            text: "How TLS starts: \"starttls\" begins in clear and offers STARTTLS (port 587), \
                   \"implicit\" speaks TLS from the first byte (port 465). AUTH is offered after \
                   TLS only in both.",
        },
    ],
};

pub(super) const BACKEND: Section = Section {
    name: "gate.backend",
    form: Form::Repeated(Repeated { most: 1, clear: |_| (), begin: |_| (), defaults: &[""] }),
    text: "The MTA that gets the mail; one for now. Its port must be closed to everybody else: \
           what the gate hands over has been authenticated, what others hand over has not.",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text {
                form: forms::ADDRESS,
                set: |config, text| {
                    address(text).map(|address| config.gate.backend.address = address)
                },
            },
            default: Some("\"127.0.0.1:10587\""),
            text: "Host and port of the MTA. For sendmail that is a DAEMON_OPTIONS line with \
                   Addr=127.0.0.1, Port=10587.",
        },
        Key {
            name: "tls",
            kind: Kind::Choice(&[
                Choice { name: "none", set: |config| config.gate.backend.tls = BackendTls::None },
                Choice {
                    name: "starttls",
                    set: |config| config.gate.backend.tls = BackendTls::Starttls,
                },
            ]),
            default: Some("\"none\""),
            text: "\"none\" sends in clear, which is refused unless address is loopback; \
                   \"starttls\" insists on STARTTLS with a certificate that can be verified, or \
                   hands nothing over.",
        },
        Key {
            name: "ca_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.gate.backend.ca_file = path)
                },
            },
            default: Some("\"\""),
            text: "PEM file with the authorities trusted for the MTA's certificate. Empty: those \
                   that the host trusts. With tls = \"starttls\" only.",
        },
        Key {
            name: "server_name",
            kind: Kind::Text {
                form: forms::SERVER_NAME,
                set: |config, text| {
                    host_name(text).map(|name| config.gate.backend.server_name = name)
                },
            },
            default: Some("\"\""),
            text: "Name that the MTA's certificate must carry. Empty: the host of address. With \
                   tls = \"starttls\" only.",
        },
        Key {
            name: "probe_interval",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: LONGEST,
                set: |config, time| config.gate.backend.probe_interval = time,
            },
            default: Some("\"30s\""),
            text: "Time between two looks at the MTA's EHLO, which tell what the gate can offer \
                   and whether the MTA is there.",
        },
    ],
};

/// What an entry is before its keys, which are all required, are read.
const BLANK_LISTENER: ListenerSettings = ListenerSettings {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    tls: TlsMode::Starttls,
};

fn last_listener(config: &mut Config, set: impl FnOnce(&mut ListenerSettings)) {
    if let Some(listener) = config.gate.listeners.last_mut() {
        set(listener);
    }
}
