//! How the MTA of a `[[gate.backend]]` learns whose mail the gate brings.

use super::gate::last_backend;
use super::{Choice, Key, Kind};
use crate::config::Config;
use crate::config::forms::{self, optional_path, optional_user};
use crate::gate::{IdentityWay, ServiceAccount};

pub(super) const IDENTITY: Key = Key {
    name: "identity",
    kind: Kind::Choice(&[
        Choice { name: "auto", set: |config| way(config, IdentityWay::Auto) },
        Choice { name: "handover", set: |config| way(config, IdentityWay::Handover) },
        Choice { name: "rules", set: |config| way(config, IdentityWay::Rules) },
        Choice { name: "xclient", set: |config| way(config, IdentityWay::Xclient) },
        Choice { name: "proxy", set: |config| way(config, IdentityWay::Proxy) },
        Choice { name: "proxy-v1", set: |config| way(config, IdentityWay::ProxyV1) },
        Choice { name: "login", set: |config| way(config, IdentityWay::Login) },
        Choice { name: "none", set: |config| way(config, IdentityWay::None) },
    ]),
    default: Some("\"auto\""),
    text: "How the MTA learns whose mail it gets. \"handover\" logs in to it as the user, with a \
           one-time token (see [authd.handover]); its authentication daemon must be saslgate \
           authd. \"rules\" tells user and address at each MAIL, for lines in sendmail.mc that \
           come with saslgate. \"xclient\" is for Postfix. \"proxy\" (version 2, Postfix and Exim) \
           and \"proxy-v1\" tell the address alone. \"login\" logs in as login_user. \"none\" tells \
           nothing. \"auto\" takes XCLIENT where the MTA offers it, else the handover where authd \
           gives a token and the MTA offers AUTH PLAIN, else nothing. All but the last two insist: \
           what cannot be told is not sent.",
};

pub(super) const LOGIN_USER: Key = Key {
    name: "login_user",
    kind: Kind::Text {
        form: forms::OPTIONAL_USER,
        set: |config, text| {
            optional_user(text).map(|user| account(config, |it| it.user = user.unwrap_or_default()))
        },
    },
    default: Some("\"\""),
    text: "The gate's own account at the MTA. With identity = \"login\" only.",
};

pub(super) const LOGIN_PASSWORD_FILE: Key = Key {
    name: "login_password_file",
    kind: Kind::Text {
        form: forms::OPTIONAL_PATH,
        set: |config, text| {
            optional_path(text)
                .map(|path| account(config, |it| it.password_file = path.unwrap_or_default()))
        },
    },
    default: Some("\"\""),
    text: "File with its password, which nobody but the gate's account may read. With identity = \
           \"login\" only.",
};

fn way(config: &mut Config, way: IdentityWay) {
    last_backend(config, |it| it.identity = way);
}

/// Sets a part of the account; one without any part is none.
fn account(config: &mut Config, set: impl FnOnce(&mut ServiceAccount)) {
    last_backend(config, |backend| {
        let blank = ServiceAccount { user: String::new(), password_file: Default::default() };
        let mut account = backend.account.take().unwrap_or_else(|| blank.clone());
        set(&mut account);
        backend.account = (account != blank).then_some(account);
    });
}
