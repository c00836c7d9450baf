//! `[[authd.route]]`: other backends for some logins.

use super::authd::BACKENDS;
use super::{Form, Key, Kind, Repeated, Section};
use crate::auth::Route;
use crate::config::Config;
use crate::config::forms;

pub(super) const SECTION: Section = Section {
    name: "authd.route",
    form: Form::Repeated(Repeated {
        most: 1000,
        clear: |config| config.auth.routes.clear(),
        begin: |config| config.auth.routes.push(Route::default()),
        defaults: &[],
    }),
    text: "Other backends for the logins of a realm or a service; repeat the section for each. \
           The first one that fits decides, in the order of the file, and authd.backends is for \
           the rest. A client chooses what it calls itself, so a route chooses who is asked and \
           keeps nobody out: for that, give a service a socket of its own.",
    keys: &[
        Key {
            name: "realm",
            kind: Kind::List {
                least: 0,
                expected: "realms such as \"example.org\", or \"*.example.org\" for all below it",
                words: &[],
                check: |text| forms::realm_pattern(text).map(drop),
                set: |config, texts| {
                    let realms = texts.iter().filter_map(|it| forms::realm_pattern(it).ok());
                    last(config, |route| route.realms = realms.collect());
                },
            },
            default: Some("[]"),
            text: "Realms of the logins that go this way; a login without one has default_realm. \
                   \"*.example.org\" stands for every realm below example.org, which itself is \
                   listed beside it where it is meant. Empty: any.",
        },
        Key {
            name: "service",
            kind: Kind::List {
                least: 0,
                expected: "services such as \"smtp\"",
                words: &[],
                check: service,
                set: |config, names| last(config, |route| route.services = names),
            },
            default: Some("[]"),
            text: "Services of the logins that go this way, as their clients call themselves: \
                   \"smtp\", \"imap\", \"ldap\". Empty: any.",
        },
        Key {
            name: "backends",
            kind: Kind::List {
                least: 1,
                expected: BACKENDS.expected,
                words: BACKENDS.words,
                check: |_| Ok(()),
                set: |config, names| last(config, |route| route.backends = names),
            },
            default: None,
            text: "Who is asked, in this order, instead of authd.backends.",
        },
    ],
};

fn service(name: &str) -> Result<(), String> {
    match crate::auth::Service::from_wire(name.as_bytes()) {
        Some(_) => Ok(()),
        None => Err("no client can call itself that".to_owned()),
    }
}

fn last(config: &mut Config, set: impl FnOnce(&mut Route)) {
    if let Some(route) = config.auth.routes.last_mut() {
        set(route);
    }
}
