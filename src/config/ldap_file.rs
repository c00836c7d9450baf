//! The original's `/etc/saslauthd.conf` as settings of the directory.
//!
//! Every key of saslauthd 2.1.28's ldap mechanism, with its other names and its
//! defaults. What cannot be done is refused with line and column; what has no
//! meaning here, or is not what it was meant to be, becomes a note for the log.
//! Where a key stands twice the last one counts, as there. Called when authd
//! opens the backend, and by `saslgate check`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::ldap::attribute;
use super::nearest::nearest;
use super::problem::{Problem, Problems};
use super::saslauthd_conf::{Entry, SaslauthdConf};
use super::{file, forms};
use crate::backend::ldap::{Address, Deref, Scope};
use crate::backend::ldap::{
    Group, InlinePassword, Method, Password, ServiceBind, Settings, StartTls, Template,
    TemplateError,
};
use crate::base::Secret;
use crate::tls::{Trust, Verification};

/// Longest time of one login that can be set, as in `[ldap]`.
const MAX_SECONDS: u32 = 600;

/// The settings of the directory: `native`, or with its `original` those of that file.
///
/// # Errors
/// Every problem of that file. Lines with a password are shown without it.
pub fn ldap_settings(native: &Settings) -> Result<Settings, Problems> {
    let Some(path) = &native.original else { return Ok(native.clone()) };
    let source = file::read(path).map_err(|problems| explained(path, &problems))?;
    read(path, &source, native)
        .map_err(|problems| Problems::new(path, &without_passwords(&source), problems))
}

/// A file that cannot be read, with what helps here.
fn explained(path: &Path, problems: &Problems) -> Problems {
    let explain = |problem: &Problem| {
        Problem::error(problem.title.clone()).help(
            "this is the file that ldap.config (saslauthd -O) names; the account of authd must be \
             able to read it, and nobody else should",
        )
    };
    Problems::new(path, "", problems.iter().map(explain).collect())
}

/// What one line does.
type Take = fn(&mut Draft, &Entry<'_>) -> Result<(), Box<Problem>>;

/// Settings in the making.
struct Draft {
    settings: Settings,
    /// `ldap_filter`: what it is depends on the method.
    filter: Option<Text>,
    group_dn: Option<Text>,
    group_filter: Option<Text>,
    is_group_by_filter: bool,
    identity: (Option<PathBuf>, Option<PathBuf>),
    notes: Vec<(usize, String)>,
}

/// A value that is looked at when all is known.
struct Text {
    key: String,
    value: String,
    span: std::ops::Range<usize>,
}

fn read(path: &Path, source: &str, native: &Settings) -> Result<Settings, Vec<Problem>> {
    let conf = SaslauthdConf::parse(source)?;
    let mut draft = Draft::new(native);
    let mut problems = Vec::new();
    for entry in conf.entries() {
        match TABLE.iter().find(|(names, _)| names.contains(&entry.key.as_str())) {
            Some((_, take)) => problems.extend(take(&mut draft, entry).err().map(|it| *it)),
            None => draft.unknown(entry),
        }
    }
    problems.extend(draft.finish());
    if !problems.is_empty() {
        return Err(problems);
    }
    let line = |at: usize| source[..at].matches('\n').count() + 1;
    let note = |(at, text): &(usize, String)| format!("{}:{}: {text}", path.display(), line(*at));
    draft.settings.notes = draft.notes.iter().map(note).collect();
    Ok(draft.settings)
}

/// Every key of the original, with its names.
const TABLE: &[(&[&str], Take)] =
    &[
        (&["ldap_servers"], servers),
        (&["ldap_bind_dn"], |draft, entry| {
            entry.value.trim_end().clone_into(&mut draft.settings.bind_dn);
            Ok(())
        }),
        (&["ldap_bind_pw", "ldap_password"], password),
        (&["ldap_version"], |draft, entry| {
            if entry.number(2..=3)? == 2 {
                draft.note(entry, "LDAPv2 is no more: version 3 is spoken");
            }
            Ok(())
        }),
        (&["ldap_search_base"], |draft, entry| {
            draft.settings.base = template(entry)?;
            Ok(())
        }),
        (&["ldap_filter"], |draft, entry| {
            draft.filter = Some(Text::of(entry));
            Ok(())
        }),
        (&["ldap_password_attr"], |draft, entry| {
            draft.settings.password_attribute = attribute_name(entry)?;
            Ok(())
        }),
        (&["ldap_group_dn"], |draft, entry| {
            draft.group_dn = Some(Text::of(entry));
            Ok(())
        }),
        (&["ldap_group_attr"], |draft, entry| {
            draft.settings.group.attribute = attribute_name(entry)?;
            Ok(())
        }),
        (&["ldap_group_filter"], |draft, entry| {
            draft.group_filter = Some(Text::of(entry));
            Ok(())
        }),
        (&["ldap_group_search_base"], |draft, entry| {
            let parsed = Template::parse(entry.value.trim_end());
            draft.settings.group.base = parsed.map_err(|error| bad_template(entry, &error))?;
            Ok(())
        }),
        (&["ldap_group_scope"], |draft, entry| {
            draft.settings.group.scope = entry.word(SCOPES)?;
            Ok(())
        }),
        (&["ldap_group_match_method"], |draft, entry| {
            draft.is_group_by_filter = entry.word(&[("attr", false), ("filter", true)])?;
            Ok(())
        }),
        (&["ldap_default_realm", "ldap_default_domain"], |draft, entry| {
            let realm = forms::realm(entry.value.trim_end());
            draft.settings.default_realm =
                realm.map_err(|why| Box::new(entry.refused(&why)))?.unwrap_or_default();
            Ok(())
        }),
        (&["ldap_auth_method"], |draft, entry| {
            draft.settings.method = entry.word(&[
                ("bind", Method::Search),
                ("custom", Method::Custom),
                ("fastbind", Method::Template),
            ])?;
            Ok(())
        }),
        (&["ldap_timeout"], |draft, entry| {
            draft.settings.timeout = Duration::from_secs(entry.number(1..=MAX_SECONDS)?.into());
            Ok(())
        }),
        (&["ldap_size_limit"], |draft, entry| {
            // More than one is refused anyway, so a large limit is of no use.
            draft.settings.size_limit = entry.number(0..=i32::MAX as u32)?.min(2);
            Ok(())
        }),
        (&["ldap_time_limit"], |draft, entry| {
            let seconds = entry.number(0..=i32::MAX as u32)?.min(MAX_SECONDS);
            draft.settings.time_limit = Duration::from_secs(seconds.into());
            Ok(())
        }),
        (&["ldap_deref"], |draft, entry| {
            draft.settings.deref = entry.word(&[
                ("never", Deref::Never),
                ("search", Deref::Searching),
                ("find", Deref::Finding),
                ("always", Deref::Always),
            ])?;
            Ok(())
        }),
        (&["ldap_scope"], |draft, entry| {
            draft.settings.scope = entry.word(SCOPES)?;
            Ok(())
        }),
        (&["ldap_referrals"], |draft, entry| {
            if entry.switch()? {
                draft.note(
                entry,
                "referrals are not followed: a login whose entry is on another server is unknown; \
                 name the servers that hold the base",
            );
            }
            Ok(())
        }),
        // To go on after a signal is no question here.
        (&["ldap_restart"], |_, entry| entry.switch().map(|_| ())),
        (&["ldap_debug"], |draft, entry| {
            draft.note(entry, "has no meaning here: log.level = \"debug\" tells what is asked");
            Ok(())
        }),
        (&["ldap_use_sasl"], |_, entry| {
            if !entry.switch()? {
                return Ok(());
            }
            let problem = entry.refused("binds with SASL are not made");
            Err(Box::new(problem.help(
                "remove it: ldap_auth_method bind or fastbind checks passwords over TLS \
             (ldap_start_tls, ldaps://)",
            )))
        }),
        // Without ldap_use_sasl the original does not look at these either.
        (
            &[
                "ldap_id",
                "ldap_sasl_authc_id",
                "ldap_authz_id",
                "ldap_sasl_authz_id",
                "ldap_realm",
                "ldap_sasl_realm",
                "ldap_mech",
                "ldap_sasl_mech",
                "ldap_sasl_secprops",
            ],
            |_, _| Ok(()),
        ),
        (&["ldap_start_tls"], |draft, entry| {
            let is_on = entry.switch()?;
            draft.settings.start_tls = if is_on { StartTls::Always } else { StartTls::Never };
            Ok(())
        }),
        (&["ldap_tls_check_peer"], |draft, entry| {
            let is_on = entry.switch()?;
            draft.settings.trust.verification =
                if is_on { Verification::Full } else { Verification::Off };
            Ok(())
        }),
        (&["ldap_tls_cacert_file"], |draft, entry| {
            draft.settings.trust.ca_file = Some(absolute(entry)?);
            Ok(())
        }),
        (&["ldap_tls_cacert_dir"], |draft, entry| {
            draft.settings.trust.ca_dir = Some(absolute(entry)?);
            Ok(())
        }),
        (&["ldap_tls_ciphers"], |_, entry| {
            let problem = entry.refused("ciphers cannot be chosen");
            Err(Box::new(problem.help(
                "remove it: TLS 1.2 and 1.3 are spoken, with the ciphers that are good today",
            )))
        }),
        (&["ldap_tls_cert"], |draft, entry| {
            draft.identity.0 = Some(absolute(entry)?);
            Ok(())
        }),
        (&["ldap_tls_key"], |draft, entry| {
            draft.identity.1 = Some(absolute(entry)?);
            Ok(())
        }),
    ];

const SCOPES: &[(&str, Scope)] = &[("sub", Scope::Sub), ("one", Scope::One), ("base", Scope::Base)];

impl Draft {
    /// The defaults of the original; of `native` what it has no keys for.
    fn new(native: &Settings) -> Self {
        let parse = |text| Template::parse(text).unwrap_or_default();
        let settings = Settings {
            servers: Vec::new(),
            start_tls: StartTls::Never,
            trust: Trust::default(),
            service_bind: ServiceBind::Simple,
            bind_dn: String::new(),
            password: None,
            method: Method::Search,
            base: Template::default(),
            filter: parse("(uid=%u)"),
            scope: Scope::Sub,
            name: Template::default(),
            password_attribute: "userPassword".to_owned(),
            deref: Deref::Never,
            size_limit: 1,
            time_limit: Duration::from_secs(5),
            group: Group {
                name: Template::default(),
                attribute: "uniqueMember".to_owned(),
                filter: Template::default(),
                base: Template::default(),
                scope: Scope::Sub,
            },
            default_realm: String::new(),
            timeout: Duration::from_secs(5),
            ..native.clone()
        };
        Self {
            settings,
            filter: None,
            group_dn: None,
            group_filter: None,
            is_group_by_filter: false,
            identity: (None, None),
            notes: Vec::new(),
        }
    }

    fn note(&mut self, entry: &Entry<'_>, text: &str) {
        self.notes.push((entry.key_span.start, format!("{}: {text}", entry.key)));
    }

    /// The file is shared with other mechanisms; what none of them knows is a mistake.
    fn unknown(&mut self, entry: &Entry<'_>) {
        if entry.key.starts_with("krb5_") || entry.key.starts_with("httpform_") {
            return;
        }
        let known = TABLE.iter().flat_map(|(names, _)| names.iter().copied());
        match nearest(&entry.key, known) {
            Some(name) => self.note(entry, &format!("unknown and ignored; did you mean {name}?")),
            None => self.note(entry, "unknown and ignored"),
        }
    }

    /// What several lines mean together.
    fn finish(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.settings.servers.is_empty() {
            self.settings.servers.extend(Address::parse("ldap://localhost/"));
        }
        if self.settings.password.is_some() && self.settings.bind_dn.is_empty() {
            self.settings.password = None;
        } else if self.settings.password.is_none() && !self.settings.bind_dn.is_empty() {
            let title = "`ldap_bind_dn` is set without `ldap_bind_pw`";
            let help = "servers take a bind without a password for nobody's (RFC 4513 §5.1.2): \
                        add ldap_bind_pw, or remove ldap_bind_dn";
            problems.push(Problem::error(title).about("ldap_bind_dn").help(help));
        }
        match std::mem::take(&mut self.identity) {
            (Some(certificate), Some(key)) => {
                self.settings.trust.identity = Some((certificate, key));
            }
            (None, None) => {}
            _ => problems.push(
                Problem::error("`ldap_tls_cert` and `ldap_tls_key` are of use together only")
                    .help("add the other one, or remove this one"),
            ),
        }
        problems.extend(self.finish_filter().err().map(|it| *it));
        problems.extend(self.finish_group().err().map(|it| *it));
        problems
    }

    /// `ldap_filter` is a filter, or with fastbind the name to bind as.
    fn finish_filter(&mut self) -> Result<(), Box<Problem>> {
        let is_fastbind = self.settings.method == Method::Template;
        match &self.filter {
            Some(text) if is_fastbind => {
                self.settings.name = text.template(Template::without_name)?;
            }
            Some(text) => self.settings.filter = text.filter(Template::without_name)?,
            None if is_fastbind => {
                return Err(Box::new(
                    Problem::error("`ldap_auth_method: fastbind` needs `ldap_filter`")
                        .about("ldap_filter")
                        .help("it is the name to bind as: ldap_filter: uid=%u,ou=people,dc=..."),
                ));
            }
            None => {}
        }
        Ok(())
    }

    fn finish_group(&mut self) -> Result<(), Box<Problem>> {
        let missing = |what: &str, help: &str| Box::new(Problem::error(what).help(help));
        match (self.is_group_by_filter, &self.group_dn, &self.group_filter) {
            (_, None, None) => {}
            (false, Some(name), _) => self.settings.group.name = name.template(Template::parse)?,
            (true, _, Some(filter)) => {
                self.settings.group.filter = filter.filter(Template::parse)?;
            }
            (false, None, Some(_)) => {
                return Err(missing(
                    "`ldap_group_filter` has no effect without `ldap_group_match_method: filter`",
                    "add that line; saslauthd refused everybody here",
                ));
            }
            (true, Some(_), None) => {
                return Err(missing(
                    "`ldap_group_match_method: filter` needs `ldap_group_filter`",
                    "add it, or remove ldap_group_match_method to compare in ldap_group_dn",
                ));
            }
        }
        Ok(())
    }
}

impl Text {
    fn of(entry: &Entry<'_>) -> Self {
        let value = entry.value.trim_end().to_owned();
        Self { key: entry.key.clone(), value, span: entry.value_span.clone() }
    }

    fn template(
        &self,
        parse: fn(&str) -> Result<Template, TemplateError>,
    ) -> Result<Template, Box<Problem>> {
        parse(&self.value).map_err(|error| self.refused(&error))
    }

    fn filter(
        &self,
        parse: fn(&str) -> Result<Template, TemplateError>,
    ) -> Result<Template, Box<Problem>> {
        let template = self.template(parse)?;
        template.check_filter().map_err(|error| self.refused(&error))?;
        Ok(template)
    }

    fn refused(&self, error: &TemplateError) -> Box<Problem> {
        Box::new(
            Problem::error(format!("the value of `{}` is refused", self.key))
                .about(self.key.as_str())
                .at(self.span.clone(), error.to_string()),
        )
    }
}

fn servers(draft: &mut Draft, entry: &Entry<'_>) -> Result<(), Box<Problem>> {
    draft.settings.servers.clear();
    for text in entry.value.split_ascii_whitespace() {
        let address = Address::parse(text)
            .map_err(|error| Box::new(entry.refused(&format!("{text}: {error}"))))?;
        draft.settings.servers.push(address);
    }
    Ok(())
}

fn password(draft: &mut Draft, entry: &Entry<'_>) -> Result<(), Box<Problem>> {
    let secret = Secret::copied_from(entry.value.as_bytes());
    let secret = secret.map_err(|error| Box::new(entry.refused(&error.to_string())))?;
    draft.settings.password = Some(Password::Inline(InlinePassword::new(secret)));
    Ok(())
}

fn template(entry: &Entry<'_>) -> Result<Template, Box<Problem>> {
    Template::without_name(entry.value.trim_end()).map_err(|error| bad_template(entry, &error))
}

fn bad_template(entry: &Entry<'_>, error: &TemplateError) -> Box<Problem> {
    Box::new(entry.refused(&error.to_string()))
}

fn attribute_name(entry: &Entry<'_>) -> Result<String, Box<Problem>> {
    attribute(entry.value.trim_end()).map_err(|why| Box::new(entry.refused(&why)))
}

fn absolute(entry: &Entry<'_>) -> Result<PathBuf, Box<Problem>> {
    forms::path(entry.value.trim_end()).map_err(|why| Box::new(entry.refused(&why)))
}

/// The text for problems to be shown in, of the same length: passwords are asterisks.
fn without_passwords(source: &str) -> String {
    let hide = |line: &str| {
        let key = line.trim_start().to_ascii_lowercase();
        let is_password = key.starts_with("ldap_bind_pw")
            || (key.starts_with("ldap_password") && !key.starts_with("ldap_password_attr"));
        let is_key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let begin = line.len() - line.trim_start().len();
        let length = line.trim_end_matches(['\n', '\r']).len();
        match line[begin..].find(|c| !is_key(c)).filter(|_| is_password) {
            Some(at) if begin + at < length => {
                let hidden = "*".repeat(length - begin - at);
                format!("{}{hidden}{}", &line[..begin + at], &line[length..])
            }
            _ => line.to_owned(),
        }
    };
    source.split_inclusive('\n').map(hide).collect()
}

#[cfg(test)]
mod tests;
