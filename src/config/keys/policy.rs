//! `[policy]`: what the rules about clients and users have in common.

use super::{Form, Key, Kind, Section};
use crate::config::forms::{self, realm};

pub(super) const SECTION: Section = Section {
    name: "policy",
    form: Form::Once,
    text: "Who may send what through the gate. Without any of it, every user who has logged in \
           may send as whom and as much as he likes.",
    keys: &[Key {
        name: "realm",
        kind: Kind::Text {
            form: forms::OPTIONAL_REALM,
            set: |config, text| {
                realm(text).map(|realm| config.gate.sending.realm = realm.unwrap_or_default())
            },
        },
        default: Some("\"\""),
        text: "The realm of logins that name none, so that alice is alice@ and this realm in \
               [policy.sender] and in limits. Empty is authd.default_realm.",
    }],
};
