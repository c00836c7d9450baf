//! `[tls]` and `[[tls.certificate]]`: the gate's certificates, and those of its clients.

use super::{Choice, Form, Key, Kind, Repeated, Section};
use crate::config::Config;
use crate::config::forms::{self, optional_path, path, served_name};
use crate::tls::{ClientCertificates, Demand, MinimumVersion, Pair};

pub(super) const SECTION: Section = Section {
    name: "tls",
    form: Form::Once,
    text: "The certificate of the gate, and what it wants of its clients. The gate does not start \
           without a certificate, since no password goes in clear. Every file is read again when \
           it changes, and sessions go on; what cannot be used changes nothing, and is said.",
    keys: &[
        Key {
            name: "certificate",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text)
                        .map(|path| only(config).certificate = path.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "PEM file with the certificate chain, the gate's own certificate first \
                   (fullchain.pem of Let's Encrypt). For several certificates write \
                   [[tls.certificate]] sections in place of this, key and staple.",
        },
        Key {
            name: "key",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| only(config).key = path.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "PEM file with the private key of that certificate. It must belong to root or \
                   to the gate's account, and others must not be able to read it (0600; 0640 for \
                   a group).",
        },
        Key {
            name: "staple",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| only(config).staple = path),
            },
            default: Some("\"\""),
            text: "File with an OCSP response in DER that is sent with the certificate (OCSP \
                   stapling), as `openssl ocsp -respout` writes it. A timer has to renew it.",
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
        Key {
            name: "client_certificates",
            kind: Kind::Choice(&[
                Choice { name: "none", set: |config| clients(config).demand = Demand::None },
                Choice { name: "request", set: |config| clients(config).demand = Demand::Request },
                Choice { name: "require", set: |config| clients(config).demand = Demand::Require },
            ]),
            default: Some("\"none\""),
            text: "Whether clients are asked for a certificate of their own. \"request\": who has \
                   one shows it, what it is worth is recorded (verify=OK, FAIL or NO), and the \
                   handshake goes on in any case, as with sendmail. \"require\": no session \
                   without a certificate that passes.",
        },
        Key {
            name: "client_ca_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| clients(config).ca_file = path),
            },
            default: Some("\"\""),
            text: "PEM file with the authorities that issue certificates of clients. Clients are \
                   told their names, so that they can choose a certificate (sendmail's \
                   CACertFile).",
        },
        Key {
            name: "client_ca_directory",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| clients(config).ca_dir = path),
            },
            default: Some("\"\""),
            text: "Directory with further such files; the certificates of all of them count, \
                   hashed names (c_rehash) or not. Clients are not told of these (sendmail's \
                   CACertPath).",
        },
        Key {
            name: "client_crl_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| clients(config).crl_file = path),
            },
            default: Some("\"\""),
            text: "PEM file with revocation lists (sendmail's CRLFile). With it, a certificate \
                   only passes if the list of its issuer is here, is in force and does not name \
                   it; so does every authority between it and a trusted one.",
        },
    ],
};

pub(super) const CERTIFICATE: Section = Section {
    name: "tls.certificate",
    form: Form::Repeated(Repeated {
        most: 1000,
        clear: |config| tls(config).certificates.clear(),
        begin: |config| tls(config).certificates.push(Pair::default()),
        defaults: &[],
    }),
    text: "Several certificates: each client is shown the one for the name it asks for (SNI). \
           The first is for clients that ask for none, or for a name that nobody has. Two for \
           the same names, such as an ECDSA and an RSA one, are chosen by what the client can \
           verify, the first one being preferred.",
    keys: &[
        Key {
            name: "file",
            kind: Kind::Text {
                form: forms::PATH,
                set: |config, text| path(text).map(|path| last(config).certificate = path),
            },
            default: None,
            text: "As tls.certificate.",
        },
        Key {
            name: "key",
            kind: Kind::Text {
                form: forms::PATH,
                set: |config, text| path(text).map(|path| last(config).key = path),
            },
            default: None,
            text: "As tls.key.",
        },
        Key {
            name: "names",
            kind: Kind::List {
                least: 0,
                expected: forms::SERVED_NAMES,
                words: &[],
                check: served_name,
                set: |config, names| last(config).names = names,
            },
            default: Some("[]"),
            text: "Names that it is shown for; `*.example.org` is every name with one label more. \
                   Empty: the DNS names that the certificate carries.",
        },
        Key {
            name: "staple",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| last(config).staple = path),
            },
            default: Some("\"\""),
            text: "As tls.staple.",
        },
    ],
};

/// The `[tls]` part, made when its first key is set; the reader takes it away
/// again if no certificate is named.
fn tls(config: &mut Config) -> &mut crate::tls::Settings {
    config.tls.get_or_insert_with(|| crate::tls::Settings {
        certificates: Vec::new(),
        minimum_version: MinimumVersion::Tls12,
        clients: ClientCertificates::default(),
    })
}

fn clients(config: &mut Config) -> &mut ClientCertificates {
    &mut tls(config).clients
}

/// The one certificate of `[tls]`. That no entries stand beside it is a rule's affair.
fn only(config: &mut Config) -> &mut Pair {
    let pairs = &mut tls(config).certificates;
    if pairs.is_empty() {
        pairs.push(Pair::default());
    }
    &mut pairs[0]
}

/// The entry that was begun.
fn last(config: &mut Config) -> &mut Pair {
    let pairs = &mut tls(config).certificates;
    if pairs.is_empty() {
        pairs.push(Pair::default());
    }
    let last = pairs.len() - 1;
    &mut pairs[last]
}
