//! `[ldap]`: a directory. Its connections are in `ldap_service`.

use std::path::PathBuf;

use super::{Choice, Form, Key, Kind, Section};
use crate::backend::ldap::{Address, Deref, Scope};
use crate::backend::ldap::{Method, Password, ServiceBind, StartTls, Template, UserForm};
use crate::config::Config;
use crate::config::forms::{self, TextForm, optional_path, realm};
use crate::tls::Verification;

use super::ldap_service::{
    IDLE_TIMEOUT, MAX_CONNECTIONS, MAX_WAITING, RETRY_AFTER, SIZE_LIMIT, TIME_LIMIT, TIMEOUT,
};

const NAME: TextForm = TextForm {
    name: "name",
    expected: "a distinguished name, in which %u and its like may stand, or \"\" for none",
};
const FILTER: TextForm =
    TextForm { name: "filter", expected: "a search filter such as \"(uid=%u)\"" };
const OPTIONAL_FILTER: TextForm = TextForm {
    name: "filter",
    expected: "a search filter such as \"(&(cn=mail)(member=%D))\", or \"\" for none",
};
const ATTRIBUTE: TextForm =
    TextForm { name: "attribute", expected: "the name of an attribute such as \"userPassword\"" };
const BIND_NAME: TextForm =
    TextForm { name: "name", expected: "a distinguished name, or \"\" for nobody" };

pub(super) const SECTION: Section = Section {
    name: "ldap",
    form: Form::Once,
    text: "The \"ldap\" backend: a directory (OpenLDAP, Active Directory, 389, FreeIPA). Every \
           check binds anew at the server, on connections that are kept open. In base, filter, \
           name and the keys about groups, %u is the login as the client sent it, %U its part \
           before the @, %d its domain or else the realm, %1 to %9 the labels of the domain from \
           the right, %r the realm, %R the realm with an @ in front, %s the service, %D the name \
           of the user's entry (groups only), and %% a percent sign; what they stand for is \
           escaped.",
    keys: &[
        Key {
            name: "config",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.ldap.original = path),
            },
            default: Some("\"\""),
            text: "The file of the original saslauthd, /etc/saslauthd.conf. It then gives all that \
                   it has keys for, with the original's defaults; only user, max_connections, \
                   max_waiting, idle_timeout and retry_after can stand here beside it. It is read \
                   by the account of authd.",
        },
        Key {
            name: "servers",
            kind: Kind::List {
                least: 1,
                expected: "URLs that begin with ldap://, ldaps:// or ldapi://",
                words: &[],
                check: |text| Address::parse(text).map(|_| ()).map_err(|error| error.to_string()),
                set: |config, texts| {
                    let parsed = texts.iter().filter_map(|text| Address::parse(text).ok());
                    config.ldap.servers = parsed.collect();
                },
            },
            default: Some("[\"ldap://localhost/\"]"),
            text: "Servers in the order they are asked. One that fails is passed over for \
                   retry_after. ldapi:// takes the path of a socket with %2F for each slash.",
        },
        Key {
            name: "start_tls",
            kind: Kind::Choice(&[
                Choice { name: "remote", set: |config| config.ldap.start_tls = StartTls::Remote },
                Choice { name: "always", set: |config| config.ldap.start_tls = StartTls::Always },
                Choice { name: "never", set: |config| config.ldap.start_tls = StartTls::Never },
            ]),
            default: Some("\"remote\""),
            text: "When a connection to ldap:// becomes TLS before anything else is said: with \
                   servers that are not on this host, with all, or never; then passwords cross the \
                   network in clear.",
        },
        Key {
            name: "ca_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.ldap.trust.ca_file = path)
                },
            },
            default: Some("\"\""),
            text: "PEM file with the authorities trusted for the certificates of servers. Empty, \
                   and ca_dir too: those that the host trusts.",
        },
        Key {
            name: "ca_dir",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.ldap.trust.ca_dir = path),
            },
            default: Some("\"\""),
            text: "Directory of such files; each is read, whatever its name.",
        },
        Key {
            name: "verify_certificate",
            kind: Kind::Flag {
                set: |config, is_on| {
                    config.ldap.trust.verification =
                        if is_on { Verification::Full } else { Verification::Off };
                },
            },
            default: Some("true"),
            text: "Whether a server's certificate must come from a trusted authority and carry its \
                   name. Without that, whoever sits in between reads every password.",
        },
        Key {
            name: "certificate",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| identity(config).0 = path.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "Our own certificate (PEM, with its chain), for servers that ask for one.",
        },
        Key {
            name: "key",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| identity(config).1 = path.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "Its private key (PEM, without a passphrase), which nobody else may read.",
        },
        Key {
            name: "bind",
            kind: Kind::Choice(&[
                Choice {
                    name: "simple",
                    set: |config| config.ldap.service_bind = ServiceBind::Simple,
                },
                Choice {
                    name: "external",
                    set: |config| config.ldap.service_bind = ServiceBind::External,
                },
            ]),
            default: Some("\"simple\""),
            text: "As whom entries are looked up: \"simple\" is bind_dn with its password, or \
                   nobody; \"external\" is whom the server sees in our certificate, or in the \
                   account of authd on ldapi:// (SASL EXTERNAL).",
        },
        Key {
            name: "bind_dn",
            kind: Kind::Text {
                form: BIND_NAME,
                set: |config, text| {
                    text.clone_into(&mut config.ldap.bind_dn);
                    Ok(())
                },
            },
            default: Some("\"\""),
            text: "Name to bind as for searches, where the directory does not let everybody search.",
        },
        Key {
            name: "bind_password_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| {
                    optional_path(text).map(|path| config.ldap.password = path.map(Password::File))
                },
            },
            default: Some("\"\""),
            text: "File with the password of bind_dn and nothing else, of mode 0600 or 0640. Read \
                   anew for each connection, so a changed password needs no reload.",
        },
        Key {
            name: "method",
            kind: Kind::Choice(&[
                Choice { name: "search", set: |config| config.ldap.method = Method::Search },
                Choice { name: "template", set: |config| config.ldap.method = Method::Template },
                Choice { name: "custom", set: |config| config.ldap.method = Method::Custom },
            ]),
            default: Some("\"search\""),
            text: "How a password is checked. \"search\" finds the entry of the user with base and \
                   filter, and binds as it. \"template\" binds as what name makes of the login, \
                   without a search (saslauthd calls it fastbind); a wrong password and an unknown \
                   user are then one to us, and no further backend is asked. \"custom\" finds the \
                   entry and compares with the hashes in password_attribute, which bind_dn must be \
                   able to read; locks and expiry of the directory do not count then.",
        },
        Key {
            name: "base",
            kind: Kind::Text {
                form: NAME,
                set: |config, text| template(text).map(|it| config.ldap.base = it),
            },
            default: Some("\"\""),
            text: "Where the search for the user begins, such as \"ou=people,dc=example,dc=org\" or \
                   \"ou=people,dc=%2,dc=%1\".",
        },
        Key {
            name: "filter",
            kind: Kind::Text {
                form: FILTER,
                set: |config, text| filter(text).map(|it| config.ldap.filter = it),
            },
            default: Some("\"(uid=%u)\""),
            text: "Which entry is the user's. If several fit, nobody is let in.",
        },
        Key {
            name: "scope",
            kind: Kind::Choice(&[
                Choice { name: "sub", set: |config| config.ldap.scope = Scope::Sub },
                Choice { name: "one", set: |config| config.ldap.scope = Scope::One },
                Choice { name: "base", set: |config| config.ldap.scope = Scope::Base },
            ]),
            default: Some("\"sub\""),
            text: "How far the search goes: base and all below, right below it, or base alone.",
        },
        Key {
            name: "name",
            kind: Kind::Text {
                form: NAME,
                set: |config, text| template(text).map(|it| config.ldap.name = it),
            },
            default: Some("\"\""),
            text: "For method \"template\": the name to bind as, such as \
                   \"uid=%u,ou=people,dc=example,dc=org\", or \"%U@example.org\" with Active \
                   Directory.",
        },
        Key {
            name: "password_attribute",
            kind: Kind::Text {
                form: ATTRIBUTE,
                set: |config, text| {
                    attribute(text).map(|name| config.ldap.password_attribute = name)
                },
            },
            default: Some("\"userPassword\""),
            text: "For method \"custom\": the attribute with hashes. {CRYPT}, {MD5}, {SMD5}, \
                   {SHA}, {SSHA}, the SHA-2 ones, {ARGON2} and clear text can be checked.",
        },
        Key {
            name: "deref",
            kind: Kind::Choice(&[
                Choice { name: "never", set: |config| config.ldap.deref = Deref::Never },
                Choice { name: "search", set: |config| config.ldap.deref = Deref::Searching },
                Choice { name: "find", set: |config| config.ldap.deref = Deref::Finding },
                Choice { name: "always", set: |config| config.ldap.deref = Deref::Always },
            ]),
            default: Some("\"never\""),
            text: "What the server does with aliases: follows none, those below the base, those on \
                   the way to it, or all. Referrals to other servers are never followed.",
        },
        SIZE_LIMIT,
        TIME_LIMIT,
        Key {
            name: "group_dn",
            kind: Kind::Text {
                form: NAME,
                set: |config, text| group_template(text).map(|it| config.ldap.group.name = it),
            },
            default: Some("\"\""),
            text: "An entry that must name the user's entry in group_attribute; whoever it does not \
                   name is refused with the right password, too. Not together with group_filter.",
        },
        Key {
            name: "group_attribute",
            kind: Kind::Text {
                form: ATTRIBUTE,
                set: |config, text| attribute(text).map(|name| config.ldap.group.attribute = name),
            },
            default: Some("\"uniqueMember\""),
            text: "Attribute of group_dn with the names of members; often \"member\".",
        },
        Key {
            name: "group_filter",
            kind: Kind::Text {
                form: OPTIONAL_FILTER,
                set: |config, text| group_filter(text).map(|it| config.ldap.group.filter = it),
            },
            default: Some("\"\""),
            text: "A filter that must find an entry below group_base. Whoever it finds nothing for \
                   is refused.",
        },
        Key {
            name: "group_base",
            kind: Kind::Text {
                form: NAME,
                set: |config, text| group_template(text).map(|it| config.ldap.group.base = it),
            },
            default: Some("\"\""),
            text: "Where that search begins. Empty: at base.",
        },
        Key {
            name: "group_scope",
            kind: Kind::Choice(&[
                Choice { name: "sub", set: |config| config.ldap.group.scope = Scope::Sub },
                Choice { name: "one", set: |config| config.ldap.group.scope = Scope::One },
                Choice { name: "base", set: |config| config.ldap.group.scope = Scope::Base },
            ]),
            default: Some("\"sub\""),
            text: "How far that search goes.",
        },
        Key {
            name: "default_realm",
            kind: Kind::Text {
                form: forms::OPTIONAL_REALM,
                set: |config, text| {
                    realm(text).map(|realm| config.ldap.default_realm = realm.unwrap_or_default())
                },
            },
            default: Some("\"\""),
            text: "What %r stands for where the client names no realm. authd.default_realm does not \
                   count here.",
        },
        Key {
            name: "user",
            kind: Kind::Choice(&[
                Choice { name: "local", set: |config| config.ldap.user = UserForm::Local },
                Choice { name: "full", set: |config| config.ldap.user = UserForm::Full },
            ]),
            default: Some("\"local\""),
            text: "What %u is for a login whose realm came apart from it, which is what libsasl2 \
                   makes of alice@example.org: \"local\" is alice, \"full\" is \
                   alice@example.org, as saslauthd -r. A login that came unsplit stays whole.",
        },
        TIMEOUT,
        MAX_CONNECTIONS,
        MAX_WAITING,
        IDLE_TIMEOUT,
        RETRY_AFTER,
    ],
};

/// The paths of our certificate and key; each is set by its own key.
fn identity(config: &mut Config) -> &mut (PathBuf, PathBuf) {
    config.ldap.trust.identity.get_or_insert_default()
}

fn template(text: &str) -> Result<Template, String> {
    Template::without_name(text).map_err(|error| error.to_string())
}

fn group_template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|error| error.to_string())
}

fn filter(text: &str) -> Result<Template, String> {
    let template = template(text)?;
    template.check_filter().map_err(|error| error.to_string())?;
    Ok(template)
}

fn group_filter(text: &str) -> Result<Template, String> {
    let template = group_template(text)?;
    if !template.is_empty() {
        template.check_filter().map_err(|error| error.to_string())?;
    }
    Ok(template)
}

/// An attribute description (RFC 4512 §2.5).
pub(in crate::config) fn attribute(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-;.".contains(c);
    match text.chars().find(|c| !is_name(*c)) {
        Some(odd) => Err(format!("{odd:?} cannot be in the name of an attribute")),
        None if text.is_empty() || text.len() > 128 => {
            Err("the name of an attribute has 1 to 128 characters".to_owned())
        }
        None => Ok(text.to_owned()),
    }
}
