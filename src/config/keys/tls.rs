//! `[tls]`: the gate's certificate.

use super::{Choice, Form, Key, Kind, Section};
use crate::config::Config;
use crate::config::forms::{self, optional_path};
use crate::tls::MinimumVersion;

pub(super) const SECTION: Section = Section {
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

/// The `[tls]` part, made when its first key is set; the reader takes it away
/// again if no certificate is named.
fn tls(config: &mut Config) -> &mut crate::tls::Settings {
    config.tls.get_or_insert_with(|| crate::tls::Settings {
        certificate: std::path::PathBuf::new(),
        key: std::path::PathBuf::new(),
        minimum_version: MinimumVersion::Tls12,
    })
}
