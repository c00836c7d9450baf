//! `[authd]`: the saslauthd socket, and how attempts are judged.

use std::time::Duration;

use super::bounds::{LONGEST_LOCAL, SHORTEST};
use super::{Choice, Form, Key, Kind, Section};
use crate::config::forms::{self, account, mode, owner, realm, socket, some_account};
use crate::server::saslauthd::UnavailableReply;

/// The backends there are, for every key that names some.
pub(super) const BACKENDS: Backends = Backends {
    words: &[
        "store",
        "pam",
        "shadow",
        "getpwent",
        "sasldb",
        "ldap",
        "kerberos5",
        "rimap",
        "httpform",
    ],
    expected: "backends in the order they are asked: \"store\", \"pam\", \"shadow\", \
               \"getpwent\", \"sasldb\", \"ldap\", \"kerberos5\", \"rimap\", \"httpform\"",
};

/// Names of backends, and how they are asked for.
pub(super) struct Backends {
    /// Each name.
    pub(super) words: &'static [&'static str],
    /// To be read behind "expected a list of".
    pub(super) expected: &'static str,
}

pub(super) const SECTION: Section = Section {
    name: "authd",
    form: Form::Once,
    text: "The daemon that verifies passwords: the socket on which sendmail, Postfix, Exim, slapd \
           and everything else with libsasl2 asks, and who is asked behind it. An empty file is a \
           working one: it asks PAM, as saslauthd -a pam does.",
    keys: &[
        Key {
            name: "backends",
            kind: Kind::List {
                least: 1,
                expected: BACKENDS.expected,
                words: BACKENDS.words,
                check: |_| Ok(()),
                set: |config, names| config.auth.backends = names,
            },
            default: Some("[\"pam\"]"),
            text: "Who is asked, in this order. A backend that does not know the user passes on to \
                   the next; one that knows the user decides. Put \"store\" in front to manage mail \
                   users with saslpasswd2 beside the accounts of the host. \"sasldb\" asks the \
                   database of Cyrus SASL as it is.",
        },
        Key {
            name: "socket",
            kind: Kind::Text {
                form: forms::SOCKET,
                set: |config, text| socket(text).map(|path| config.saslauthd.socket = path),
            },
            default: Some("\"/run/saslauthd/mux\""),
            text: "The socket file, which libsasl2 calls saslauthd_path. Fedora's libsasl2 looks \
                   for this one, Debian's for the same one under /var/run. For a chrooted Postfix \
                   put it under /var/spool/postfix.",
        },
        Key {
            name: "socket_mode",
            kind: Kind::Text {
                form: forms::MODE,
                set: |config, text| mode(text).map(|mode| config.saslauthd.socket_mode = mode),
            },
            default: Some("\"0777\""),
            text: "Permission bits of the socket file. Whoever may write to it can try passwords. \
                   \"0777\" is what saslauthd has always used, because its clients run as many \
                   users: the directory is what keeps others out. \"0660\" with socket_owner is \
                   stricter.",
        },
        Key {
            name: "socket_owner",
            kind: Kind::Text {
                form: forms::OWNER,
                set: |config, text| owner(text).map(|owner| config.saslauthd.socket_owner = owner),
            },
            default: Some("\"\""),
            text: "Owner of the socket file: \"user\", \"user:group\" or \":group\". Empty leaves \
                   it to the account that the daemon is started as.",
        },
        Key {
            name: "directory_mode",
            kind: Kind::Text {
                form: forms::MODE,
                set: |config, text| mode(text).map(|mode| config.saslauthd.directory_mode = mode),
            },
            default: Some("\"0755\""),
            text: "Permission bits of the socket's directory where it has to be created. One that \
                   exists is left as it is. \"0710\" with a group keeps other local users from \
                   trying passwords.",
        },
        Key {
            name: "allowed_users",
            kind: Kind::List {
                least: 0,
                expected: forms::ACCOUNTS,
                words: &[],
                check: some_account,
                set: |config, names| config.saslauthd.allowed_users = names,
            },
            default: Some("[]"),
            text: "Accounts, by name or number, whose processes may ask at this socket; the kernel \
                   vouches for who they are. Others are told NO without anybody being asked. Root \
                   is not implied. Empty: whoever can connect.",
        },
        Key {
            name: "max_connections",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.saslauthd.max_connections = count as usize,
            },
            default: Some("2000"),
            text: "Connections served at once on each socket. More wait in the backlog of the socket until one \
                   ends. Every connection is one login that is being checked, so this is far above \
                   what a busy host needs.",
        },
        Key {
            name: "max_connections_per_uid",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.saslauthd.max_connections_per_uid = count as usize,
            },
            default: Some("1000"),
            text: "Connections of one user of this host that may wait, for the rest of their \
                   request or for a verdict. More are told that nobody can be asked. Keep it \
                   below max_connections, so that no user of the host can keep the others waiting.",
        },
        Key {
            name: "request_timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST_LOCAL,
                set: |config, time| config.saslauthd.request_timeout = time,
            },
            default: Some("\"10s\""),
            text: "A client must have sent its whole request within this time, or the connection \
                   is closed. Clients send it at once: this bounds broken ones only.",
        },
        Key {
            name: "unavailable",
            kind: Kind::Choice(&[
                Choice {
                    name: "close",
                    set: |config| config.saslauthd.unavailable = UnavailableReply::Close,
                },
                Choice {
                    name: "no",
                    set: |config| config.saslauthd.unavailable = UnavailableReply::No,
                },
            ]),
            default: Some("\"close\""),
            text: "What a client sees when nobody could be asked. \"close\" ends the connection \
                   without a reply, which libsasl2 reports as a temporary failure: Postfix answers \
                   454 and the mail program tries again. \"no\" says NO as saslauthd did, and mail \
                   programs then ask their user for another password.",
        },
        Key {
            name: "default_realm",
            kind: Kind::Text {
                form: forms::REALM,
                set: |config, text| {
                    realm(text).map(|realm| {
                        if let Some(realm) = realm {
                            config.auth.default_realm = realm;
                        }
                    })
                },
            },
            default: Some("\"\""),
            text: "Realm of a login that names none: alice becomes alice@REALM. Empty is the full \
                   name of this host. Set it to your mail domain if users log in without one.",
        },
        Key {
            name: "floor",
            kind: Kind::Time {
                min: Duration::ZERO,
                max: Duration::from_secs(5),
                set: |config, time| config.auth.floor = time,
            },
            default: Some("\"100ms\""),
            text: "A refusal takes at least this long, whatever its cause, so that its duration \
                   does not tell whether the user exists. It should be longer than one password \
                   hash takes. Accepted logins are not delayed.",
        },
        Key {
            name: "user",
            kind: Kind::Text {
                form: forms::ACCOUNT,
                set: |config, text| account(text).map(|user| config.authd_user = user),
            },
            default: Some("\"\""),
            text: "Account that authd becomes once it has what only root may open, where it is \
                   started as root. Empty: it stays what it was started as, which is right under \
                   the systemd units that come with saslgate.",
        },
        Key {
            name: "watch_config",
            kind: Kind::Flag { set: |config, is_on| config.authd_watch_config = is_on },
            default: Some("true"),
            text: "Read this file again when it has changed, as after SIGHUP. A file with a \
                   mistake changes nothing, and the log says where it is. Changes of accounts and \
                   passwords need no reload in any case.",
        },
    ],
};
