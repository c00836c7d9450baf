//! `[pam]`: verification through libpam.

use std::path::PathBuf;

use super::bounds::{LONGEST, LONGEST_LOCAL, SHORTEST};
use super::{Choice, Form, Key, Kind, Section};
use crate::backend::pam::UserForm;
use crate::config::forms::{self, optional_path, optional_socket};

pub(super) const SECTION: Section = Section {
    name: "pam",
    form: Form::Once,
    text: "The \"pam\" backend. libpam and its modules run in worker processes of saslgate-pam, \
           one login at a time each; a worker that hangs or crashes is killed and replaced, and \
           the login is answered as unavailable.",
    keys: &[
        Key {
            name: "socket",
            kind: Kind::Text {
                form: forms::OPTIONAL_SOCKET,
                set: |config, text| optional_socket(text).map(|path| config.pam.socket = path),
            },
            default: Some("\"\""),
            text: "Socket of a saslgate-pam that runs as a service of its own, so that authd needs \
                   no root. Empty: authd starts one itself.",
        },
        Key {
            name: "services",
            kind: Kind::List {
                least: 1,
                expected: "PAM service names, lower case",
                words: &[],
                check: check_service,
                set: |config, names| config.pam.services = names,
            },
            default: Some(
                "[\"smtp\", \"smtpd\", \"smtps\", \"submission\", \"lmtp\", \"imap\", \"imaps\", \
                 \"pop\", \"pop3\", \"pop3s\", \"sieve\", \"managesieve\", \"mail\", \"mupdate\", \
                 \"csync\", \"nntp\", \"ldap\", \"http\", \"https\", \"websvc\", \"lhttp\", \
                 \"nginx\", \"squid\", \"proxy\", \"caldav\", \"carddav\", \"svn\", \
                 \"memcached\", \"mongodb\", \"couchbase\", \"xmpp\", \"jabberd\", \"libvirt\", \
                 \"qemu\", \"vnc\", \"spice\", \"qpidd\", \"amqp\", \"znc\", \"ftp\", \
                 \"openvpn\", \"sogo\", \"horde\", \"saslauthd\", \"saslgate\"]",
            ),
            text: "PAM services (files in /etc/pam.d) that may be asked. The client names the \
                   service in its request, so this list is what keeps a local user from naming one \
                   that accepts root without a password, such as su: those are refused here too. \
                   Add the name your client sends if its logins are refused as a service that is \
                   not allowed.",
        },
        Key {
            name: "user",
            kind: Kind::Choice(&[
                Choice { name: "local", set: |config| config.pam.user = UserForm::Local },
                Choice { name: "full", set: |config| config.pam.user = UserForm::Full },
                Choice { name: "claimed", set: |config| config.pam.user = UserForm::Claimed },
            ]),
            default: Some("\"local\""),
            text: "What PAM gets as user name: \"local\" is alice, whatever the realm, as \
                   saslauthd did; \"full\" is alice@realm, with the default realm where the client \
                   named none, for modules that know several domains; \"claimed\" is alice@realm \
                   where the client named one, else alice, as saslauthd -r did.",
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST_LOCAL,
                set: |config, time| config.pam.timeout = time,
            },
            default: Some("\"30s\""),
            text: "Deadline of one login, the wait for a free worker included. After it the worker \
                   is killed and the client gets \"unavailable\". Raise it for modules that wait \
                   for a person, such as a push message to a phone.",
        },
        Key {
            name: "max_workers",
            kind: Kind::Count {
                min: 1,
                max: 1024,
                set: |config, count| config.pam.max_workers = count as usize,
            },
            default: Some("96"),
            text: "Worker processes at most. They are started when needed. Where several services \
                   may be asked, one alone gets three quarters of them, so that modules that hang \
                   or are slow harm only their own service: with 96 and modules that take 0.2 s \
                   that is 360 logins a second. Raise it for slower modules (LDAP, RADIUS) under \
                   load; lower it on a host with little memory whose modules hash (a hash of \
                   yescrypt takes 16 MiB while it is made).",
        },
        Key {
            name: "max_waiting",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.pam.max_waiting = count as usize,
            },
            default: Some("1024"),
            text: "Logins that may wait for a worker, dealt out as the workers are. More are \
                   answered as unavailable at once, so that a flood does not grow without bound.",
        },
        Key {
            name: "idle_timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST,
                set: |config, time| config.pam.idle_timeout = time,
            },
            default: Some("\"1m\""),
            text: "A worker that had nothing to do for this long ends and gives its memory back.",
        },
        Key {
            name: "requests_per_worker",
            kind: Kind::Count {
                min: 1,
                max: 1_000_000,
                set: |config, count| config.pam.requests_per_worker = count,
            },
            default: Some("1000"),
            text: "A worker is replaced after this many logins, because many PAM modules leak \
                   memory. 1 gives every login a fresh process.",
        },
        Key {
            name: "service_dir",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.pam.service_dir = path),
            },
            default: Some("\"\""),
            text: "Directory with PAM service files to use instead of /etc/pam.d. Empty: the \
                   host's own. For tests and for setups that keep mail logins apart.",
        },
        Key {
            name: "watched_files",
            kind: Kind::List {
                least: 0,
                expected: "absolute paths",
                words: &[],
                check: |text| forms::path(text).map(drop),
                set: |config, paths| {
                    config.pam.watched_files = paths.into_iter().map(PathBuf::from).collect();
                },
            },
            default: Some("[\"/etc/passwd\", \"/etc/shadow\"]"),
            text: "Files that your PAM modules decide by. With [cache] on, a change of one (it is \
                   written, replaced, made or removed) has every login through PAM checked anew, \
                   so that an old password fails on its first try. Name the database of \
                   pam_userdb (with its .db) or pam_pwdfile, and what else locks somebody out, \
                   such as /etc/nologin. The directory of the service files is always looked at: \
                   it shows files that come, go or are replaced; one that is edited in place shows \
                   if it is named here, or with a reload. Each costs a cached login half a \
                   microsecond. authd's account must be able to search the directories above, but \
                   need not read the files.",
        },
    ],
};

/// Services whose usual stack lets root through, or everybody, without a
/// password (pam_rootok, pam_permit). The worker is root: it would pass for any user.
const PASSWORDLESS: &[&str] = &[
    "chage",
    "chfn",
    "chgpasswd",
    "chpasswd",
    "chsh",
    "config-util",
    "gdm-autologin",
    "gdm-launch-environment",
    "groupadd",
    "groupdel",
    "groupmems",
    "groupmod",
    "halt",
    "lightdm-autologin",
    "lightdm-greeter",
    "newusers",
    "poweroff",
    "reboot",
    "runuser",
    "runuser-l",
    "sddm-autologin",
    "sddm-greeter",
    "su",
    "su-l",
    "useradd",
    "userdel",
    "usermod",
];

/// Longest name of a service file that is accepted.
const SERVICE_BYTES: usize = 64;

fn check_service(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > SERVICE_BYTES {
        return Err(format!("a service name has 1 to {SERVICE_BYTES} bytes"));
    }
    // No slash and no leading dot: libpam opens a file of this name.
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    if let Some(odd) = name.chars().find(|c| !is_plain(*c)) {
        return Err(format!("{odd:?} cannot be in a service name"));
    }
    if name.starts_with('.') {
        return Err("a service name does not begin with a dot".to_owned());
    }
    if PASSWORDLESS.contains(&name) {
        return Err(
            "this service accepts root (which asks) without a password, so any login would pass"
                .to_owned(),
        );
    }
    Ok(())
}
