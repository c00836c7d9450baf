//! `[httpform]`: verification by a form that a web application answers.

use super::bounds::{LONGEST_LOCAL, SHORTEST};
use super::{Form, Key, Kind, Section};
use crate::backend::httpform::{Target, Template};
use crate::config::forms::{self, TextForm, optional_path};

pub(super) const SECTION: Section = Section {
    name: "httpform",
    form: Form::Once,
    text: "The \"httpform\" backend, as saslauthd -a httpform: a web application is sent a form \
           (POST), and answers 200 or 204 for a right password, 401 or 403 for a wrong one. \
           Everything else, redirections included, is an outage. It does not say whether a user \
           exists, so put it last among the backends.",
    keys: &[
        Key {
            name: "config",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.httpform.config = path),
            },
            default: Some("\"\""),
            text: "The original's file, \"/etc/saslauthd.conf\", to take httpform_host, \
                   httpform_port, httpform_uri and httpform_data from instead of url and form. It \
                   is read by authd, and again on reload.",
        },
        Key {
            name: "url",
            kind: Kind::Text {
                form: URL,
                set: |config, text| {
                    let target = match text {
                        "" => None,
                        text => Some(Target::parse(text)?),
                    };
                    config.httpform.target = target;
                    Ok(())
                },
            },
            default: Some("\"\""),
            text: "Where the form is sent, http:// or https://. With http:// passwords travel in \
                   clear. Must be set, or config, where \"httpform\" is among the backends.",
        },
        Key {
            name: "form",
            kind: Kind::Text {
                form: FORM,
                set: |config, text| {
                    config.httpform.form = Template::parse(text)?;
                    Ok(())
                },
            },
            default: Some("\"user=%u&password=%p&realm=%r\""),
            text: "The form: %u is the user without realm, %p the password, %r the realm (empty \
                   where the client named none), %% a percent sign. Values are percent-encoded.",
        },
        Key {
            name: "ca_file",
            kind: Kind::Text {
                form: forms::OPTIONAL_PATH,
                set: |config, text| optional_path(text).map(|path| config.httpform.ca_file = path),
            },
            default: Some("\"\""),
            text: "PEM file with the authorities trusted for the certificate of an https:// \
                   server. Empty: those that the host trusts.",
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                min: SHORTEST,
                max: LONGEST_LOCAL,
                set: |config, time| config.httpform.timeout = time,
            },
            default: Some("\"30s\""),
            text: "Deadline of one login, the wait for a connection included. After it the client \
                   gets \"unavailable\".",
        },
        Key {
            name: "max_connections",
            kind: Kind::Count {
                min: 1,
                max: 4096,
                set: |config, count| config.httpform.max_connections = count as usize,
            },
            default: Some("64"),
            text: "Connections at once. They are kept for the next login for a second.",
        },
        Key {
            name: "max_waiting",
            kind: Kind::Count {
                min: 1,
                max: 65_536,
                set: |config, count| config.httpform.max_waiting = count as usize,
            },
            default: Some("1024"),
            text: "Logins that may wait for a connection. More are answered as unavailable at \
                   once.",
        },
    ],
};

const URL: TextForm = TextForm {
    name: "URL",
    expected: "a URL such as \"https://login.example.org/check\", or \"\" for none",
};
const FORM: TextForm =
    TextForm { name: "form", expected: "a form with %u and %p such as \"user=%u&password=%p\"" };
