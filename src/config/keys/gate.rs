//! `[gate]`, `[[gate.listener]]`, `[[gate.backend]]`: the submission gate.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::bounds::LONGEST;
use super::{Choice, Form, Key, Kind, Repeated, Section};
use super::{gate_listener, gate_transcript, identity, limits};
use crate::config::Config;
use crate::config::forms::{
    self, account, address, auth_source, backend_name, banner, host_name, listen, optional_path,
    optional_socket,
};
use crate::gate::{
    AuthSource, BackendSettings, BackendTls, BareNewlines, IdentityWay, ListenerKind,
    ListenerSettings, OwnLimits, PoolSettings,
};

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
            name: "control",
            kind: Kind::Text {
                form: forms::OPTIONAL_SOCKET,
                set: |config, text| {
                    optional_socket(text).map(|path| config.gate.control.socket = path)
                },
            },
            default: Some("\"/run/saslgate-gate/control\""),
            text: "The socket where `saslgate status` asks who is here, and `saslgate kick` ends \
                   sessions. Root and the gate's own account may. Empty is none; so is the \
                   default where its directory, which systemd makes, does not exist.",
        },
        Key {
            name: "control_group",
            kind: Kind::Text {
                form: forms::GROUP,
                set: |config, text| account(text).map(|name| config.gate.control.group = name),
            },
            default: Some("\"\""),
            text: "A group whose members may, too. The gate must be root or one of them when it \
                   starts.",
        },
        gate_transcript::TRANSCRIPT,
        gate_transcript::NETWORKS,
        gate_transcript::SIZE,
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
            "address = \"0.0.0.0:587\"\nkind = \"submission\"",
            "address = \"[::]:587\"\nkind = \"submission\"",
            "address = \"0.0.0.0:465\"\nkind = \"submissions\"",
            "address = \"[::]:465\"\nkind = \"submissions\"",
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
            name: "kind",
            kind: Kind::Choice(&[
                Choice {
                    name: "submission",
                    set: |config| last_listener(config, |it| it.kind = ListenerKind::Submission),
                },
                Choice {
                    name: "submissions",
                    set: |config| last_listener(config, |it| it.kind = ListenerKind::Submissions),
                },
                Choice {
                    name: "mta",
                    set: |config| last_listener(config, |it| it.kind = ListenerKind::Mta),
                },
            ]),
            default: None,
            text: "What it is for. \"submission\" (port 587) begins in clear, and takes mail after \
                   STARTTLS and AUTH only. \"submissions\" (port 465) speaks TLS from the first \
                   byte, and takes mail after AUTH only. \"mta\" (port 25) takes mail for the local \
                   domains from anybody, and mail for others from users who have logged in.",
        },
        Key {
            name: "hostname",
            kind: Kind::Text {
                form: forms::HOSTNAME,
                set: |config, text| {
                    host_name(text).map(|name| last_listener(config, |it| it.hostname = name))
                },
            },
            default: Some("\"\""),
            text: "Its name in the greeting, in EHLO replies and in Received lines. Empty: \
                   gate.hostname.",
        },
        Key {
            name: "banner",
            kind: Kind::Text {
                form: forms::BANNER,
                set: |config, text| {
                    banner(text).map(|text| last_listener(config, |it| it.banner = text))
                },
            },
            default: Some("\"\""),
            text: "What its greeting says behind \"220 hostname ESMTP\". Empty: \"saslgate\".",
        },
        Key {
            name: "mechanisms",
            kind: Kind::List {
                least: 0,
                expected: "\"PLAIN\" and \"LOGIN\"",
                words: &["PLAIN", "LOGIN"],
                check: |_| Ok(()),
                set: |config, names| {
                    let names = (!names.is_empty()).then_some(names);
                    last_listener(config, |it| it.mechanisms = names);
                },
            },
            default: Some("[]"),
            text: "Mechanisms it offers, where they are others than gate.mechanisms. Empty: those.",
        },
        gate_listener::SOCKET,
        gate_listener::PROXY_FROM,
        gate_listener::TRANSCRIPT,
        gate_listener::MAX_MESSAGE,
        gate_listener::MAX_RECIPIENTS,
        gate_listener::MAX_ERRORS,
        gate_listener::MAX_AUTH_FAILURES,
        gate_listener::MAX_COMMANDS,
        gate_listener::MAX_SESSIONS,
        gate_listener::MAX_SESSIONS_PER_ADDRESS,
    ],
};

pub(super) const BACKEND: Section = Section {
    name: "gate.backend",
    form: Form::Repeated(Repeated {
        most: 64,
        clear: |config| config.gate.backends.clear(),
        begin: |config| config.gate.backends.push(blank_backend()),
        defaults: &[""],
    }),
    text: "An MTA that gets the mail; repeat the section for each. Its port must be closed to \
           everybody else: what the gate hands over has been authenticated, what others hand over \
           has not.",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Text {
                form: forms::ADDRESS,
                set: |config, text| {
                    address(text).map(|address| last_backend(config, |it| it.address = address))
                },
            },
            default: Some("\"127.0.0.1:10587\""),
            text: "Host and port of the MTA. For sendmail that is a DAEMON_OPTIONS line with \
                   Addr=127.0.0.1, Port=10587.",
        },
        Key {
            name: "tls",
            kind: Kind::Choice(&[
                Choice {
                    name: "none",
                    set: |config| last_backend(config, |it| it.tls = BackendTls::None),
                },
                Choice {
                    name: "starttls",
                    set: |config| last_backend(config, |it| it.tls = BackendTls::Starttls),
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
                    optional_path(text).map(|path| last_backend(config, |it| it.ca_file = path))
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
                    host_name(text).map(|name| last_backend(config, |it| it.server_name = name))
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
                set: |config, time| last_backend(config, |it| it.probe_interval = time),
            },
            default: Some("\"30s\""),
            text: "Time between two looks at the MTA's EHLO, which tell what the gate can offer \
                   and whether the MTA is there.",
        },
        Key {
            name: "name",
            kind: Kind::Text {
                form: forms::BACKEND_NAME,
                set: |config, text| {
                    backend_name(text).map(|name| last_backend(config, |it| it.name = name))
                },
            },
            default: Some("\"\""),
            text: "What logs call it. Empty: its address.",
        },
        Key {
            name: "pool_idle",
            kind: Kind::Count {
                min: 0,
                max: 10_000,
                set: |config, count| last_backend(config, |it| it.pool.idle = count as usize),
            },
            default: Some("64"),
            text: "Connections to it that are kept for the next session, so that the MTA needs no \
                   new process for each. 0 closes each with its session.",
        },
        Key {
            name: "pool_idle_time",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: LONGEST,
                set: |config, time| last_backend(config, |it| it.pool.idle_time = time),
            },
            default: Some("\"60s\""),
            text: "A kept connection that nobody has used for this long is closed. Keep it below \
                   the time after which the MTA closes it.",
        },
        Key {
            name: "pool_messages",
            kind: Kind::Count {
                min: 1,
                max: 1_000_000,
                set: |config, count| last_backend(config, |it| it.pool.messages = count),
            },
            default: Some("100"),
            text: "Messages after which a connection is not kept any longer.",
        },
        Key {
            name: "pool_age",
            kind: Kind::Time {
                min: Duration::from_secs(1),
                max: LONGEST,
                set: |config, time| last_backend(config, |it| it.pool.age = time),
            },
            default: Some("\"10m\""),
            text: "Age at which a connection is not kept any longer, so that an MTA that was \
                   reloaded gets new ones.",
        },
        identity::IDENTITY,
        identity::LOGIN_USER,
        identity::LOGIN_PASSWORD_FILE,
    ],
};

/// What an entry is before its keys, which are all required, are read.
const BLANK_LISTENER: ListenerSettings = ListenerSettings {
    address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    kind: ListenerKind::Submission,
    hostname: None,
    banner: None,
    mechanisms: None,
    socket: None,
    proxy_from: Vec::new(),
    transcript: None,
    limits: OwnLimits {
        message_bytes: None,
        recipients: None,
        errors: None,
        auth_failures: None,
        commands: None,
        sessions: None,
        sessions_per_address: None,
    },
};

pub(super) fn last_listener(config: &mut Config, set: impl FnOnce(&mut ListenerSettings)) {
    if let Some(listener) = config.gate.listeners.last_mut() {
        set(listener);
    }
}

fn blank_backend() -> BackendSettings {
    BackendSettings {
        name: String::new(),
        address: String::new(),
        tls: BackendTls::Starttls,
        ca_file: None,
        server_name: None,
        probe_interval: Duration::ZERO,
        pool: PoolSettings { idle: 0, idle_time: Duration::ZERO, messages: 0, age: Duration::ZERO },
        identity: IdentityWay::None,
        account: None,
    }
}

pub(super) fn last_backend(config: &mut Config, set: impl FnOnce(&mut BackendSettings)) {
    if let Some(backend) = config.gate.backends.last_mut() {
        set(backend);
    }
}
