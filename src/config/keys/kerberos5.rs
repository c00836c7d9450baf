//! `[kerberos5]`: passwords checked against a KDC.

use super::bounds::{LONGEST_LOCAL, SHORTEST};
use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, host_name, optional_path, path};

pub(super) const SECTION: Section = Section {
    name: "kerberos5",
    form: Form::Once,
    text: "The \"kerberos5\" backend: a KDC (MIT, Heimdal, FreeIPA, Active Directory) says whether \
           a password is right, and proves with the key in our keytab that it is the KDC. A login \
           that names a realm is looked for in that realm, whose capitals are those of krb5.conf; \
           a realm that is not there is one that this backend does not know. Of krb5.conf only \
           default_realm and the kdc lines of [realms] count, with its includes: DNS is not asked \
           for KDCs, and they are asked over TCP. krb5.conf and keytab are read at each login. AES \
           keys only.",
    keys: &[
        Key {
            name: "config",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.kerberos5.original = path)
                },
            },
            default: Some("\"\""),
            text: "The file of the original saslauthd, /etc/saslauthd.conf, whose krb5_keytab, \
                   krb5_verify_principal and krb5_servername take the place of keytab, service and \
                   server_name.",
        },
        Key {
            name: "krb_conf",
            kind: Kind::Text {
                form: forms::PATH,
                set: |config, text| path(text).map(|path| config.kerberos5.krb5_conf = path),
            },
            default: Some("\"/etc/krb5.conf\""),
            text: "The file of krb5.conf(5) that names the default realm and the KDCs.",
        },
        Key {
            name: "keytab",
            kind: Kind::Text {
                form: forms::PATH,
                set: |config, text| path(text).map(|path| config.kerberos5.keytab = path),
            },
            default: Some("\"/etc/krb5.keytab\""),
            text: "The file with the key of this host, which the KDC has to know. The account of \
                   authd must be able to read it; the others had better not. While it is missing \
                   nobody can log in: all is unavailable, and the log says why.",
        },
        Key {
            name: "service",
            kind: Kind::Text {
                form: forms::KERBEROS_SERVICE,
                set: |config, text| {
                    forms::kerberos_service(text).map(|name| config.kerberos5.service = name)
                },
            },
            default: Some("\"host\""),
            text: "First part of the principal whose key is in the keytab: the host of host/mx.example.org.",
        },
        Key {
            name: "server_name",
            kind: Kind::Text {
                form: forms::HOSTNAME,
                set: |config, text| host_name(text).map(|name| config.kerberos5.server_name = name),
            },
            default: Some("\"\""),
            text: "Second part of that principal. Empty is the full name of this host.",
        },
        Key {
            name: "realm",
            kind: Kind::Text {
                form: forms::KERBEROS_REALM,
                set: |config, text| {
                    forms::kerberos_realm(text).map(|realm| config.kerberos5.realm = realm)
                },
            },
            default: Some("\"\""),
            text: "Kerberos realm of logins that name none, with its capitals. Empty is the \
                   default_realm of krb5.conf.",
        },
        Key {
            name: "threads",
            kind: Kind::Count {
                min: 0,
                max: 1024,
                set: |config, count| config.kerberos5.threads = count as usize,
            },
            default: Some("0"),
            text: "Threads that make keys of passwords, some milliseconds each. 0 is one a core.",
        },
        Key {
            name: "max_waiting",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.kerberos5.max_waiting = count as usize,
            },
            default: Some("1024"),
            text: "Logins that may be under way at the KDCs at once. More are answered as \
                   unavailable.",
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST_LOCAL,
                set: |config, time| config.kerberos5.timeout = time,
            },
            default: Some("\"10s\""),
            text: "Deadline of one login, with all KDCs that are asked. A KDC that is not the last \
                   one gets its share of what is left, 3 seconds at most; the one that answered is \
                   asked first from then on.",
        },
    ],
};
