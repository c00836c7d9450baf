//! `[[authd.listener]]`: sockets beside the default one.

use super::authd::BACKENDS;
use super::{Form, Key, Kind, Repeated, Section};
use crate::auth::Entrance;
use crate::config::Config;
use crate::config::forms::{self, mode, owner, socket, some_account};
use crate::server::saslauthd::ListenerSettings;

pub(super) const SECTION: Section = Section {
    name: "authd.listener",
    form: Form::Repeated(Repeated {
        most: 64,
        clear: |config| {
            config.saslauthd.listeners.clear();
            config.auth.entrances.clear();
        },
        begin: |config| {
            config.saslauthd.listeners.push(ListenerSettings {
                name: String::new(),
                socket: std::path::PathBuf::new(),
                socket_mode: 0,
                socket_owner: None,
                directory_mode: 0,
                allowed_users: Vec::new(),
            });
            config.auth.entrances.push(Entrance::default());
        },
        defaults: &[],
    }),
    text: "A socket beside authd.socket, for a service that is to have backends or permissions \
           of its own; repeat the section for each. It has its own max_connections, so that who \
           fills one socket keeps nobody from the others. A reload takes over backends and \
           allowed_users; the rest needs a restart.",
    keys: &[
        Key {
            name: "name",
            kind: Kind::Text { form: forms::LISTENER_NAME, set: set_name },
            default: None,
            text: "Its name in logs. Where systemd opens the socket, its unit says \
                   FileDescriptorName=saslauthd-NAME.",
        },
        Key {
            name: "socket",
            kind: Kind::Text {
                form: forms::SOCKET,
                set: |config, text| socket(text).map(|path| last(config, |it| it.socket = path)),
            },
            default: None,
            text: "The socket file. libsasl2 looks for \"mux\" in the directory that its clients \
                   call saslauthd_path, so give each service a directory.",
        },
        Key {
            name: "socket_mode",
            kind: Kind::Text {
                form: forms::MODE,
                set: |config, text| mode(text).map(|mode| last(config, |it| it.socket_mode = mode)),
            },
            default: Some("\"0777\""),
            text: "Permission bits of the socket file, as authd.socket_mode.",
        },
        Key {
            name: "socket_owner",
            kind: Kind::Text {
                form: forms::OWNER,
                set: |config, text| {
                    owner(text).map(|owner| last(config, |it| it.socket_owner = owner))
                },
            },
            default: Some("\"\""),
            text: "Owner of the socket file, as authd.socket_owner.",
        },
        Key {
            name: "directory_mode",
            kind: Kind::Text {
                form: forms::MODE,
                set: |config, text| {
                    mode(text).map(|mode| last(config, |it| it.directory_mode = mode))
                },
            },
            default: Some("\"0755\""),
            text: "Permission bits of its directory, as authd.directory_mode.",
        },
        Key {
            name: "allowed_users",
            kind: Kind::List {
                least: 0,
                expected: forms::ACCOUNTS,
                words: &[],
                check: some_account,
                set: |config, names| last(config, |it| it.allowed_users = names),
            },
            default: Some("[]"),
            text: "Who may ask here, as authd.allowed_users.",
        },
        Key {
            name: "backends",
            kind: Kind::List {
                least: 0,
                expected: BACKENDS.expected,
                words: BACKENDS.words,
                check: |_| Ok(()),
                set: set_backends,
            },
            default: Some("[]"),
            text: "Who is asked for its logins, in this order, whatever their realm and service. \
                   Empty: as [[authd.route]] and authd.backends say.",
        },
    ],
};

fn set_name(config: &mut Config, text: &str) -> Result<(), String> {
    let name = forms::listener_name(text)?;
    if let Some(entrance) = config.auth.entrances.last_mut() {
        entrance.name.clone_from(&name);
    }
    last(config, |listener| listener.name = name);
    Ok(())
}

fn set_backends(config: &mut Config, names: Vec<String>) {
    if let Some(entrance) = config.auth.entrances.last_mut() {
        entrance.backends = names;
    }
}

fn last(config: &mut Config, set: impl FnOnce(&mut ListenerSettings)) {
    if let Some(listener) = config.saslauthd.listeners.last_mut() {
        set(listener);
    }
}
