//! What several keys of `[ldap]` mean together. See `rules`.

use std::path::Path;

use super::problem::Problem;
use super::reading::Reading;
use crate::backend::ldap::{Method, ServiceBind, Settings};

/// Keys that stand beside `config`: the original's file has none for them.
const BESIDE_CONFIG: &[&str] =
    &["config", "user", "max_connections", "max_waiting", "idle_timeout", "retry_after"];

/// Runs the rules.
pub(super) fn check(reading: &Reading) -> Vec<Problem> {
    if reading.config.ldap.original.is_some() {
        return one_source(reading);
    }
    let rules: &[fn(&Reading) -> Option<Problem>] =
        &[password_and_name, certificate_and_key, name_for_template, one_group];
    rules.iter().filter_map(|rule| rule(reading)).collect()
}

/// Takes our certificate away where none is named.
pub(super) fn settle(settings: &mut Settings) {
    let is_unnamed = |paths: &(_, _)| *paths == (Path::new("").into(), Path::new("").into());
    settings.trust.identity.take_if(|paths| is_unnamed(paths));
}

fn one_source(reading: &Reading) -> Vec<Problem> {
    let is_beside =
        |path: &str| BESIDE_CONFIG.iter().any(|name| path.ends_with(&format!(".{name}")));
    let sites = reading.sites.iter().filter(|site| site.path.starts_with("ldap."));
    sites
        .filter(|site| site.is_good && !is_beside(&site.path))
        .map(|site| {
            let problem = Problem::error(format!("`{}` and `ldap.config` are both set", site.path))
                .about(&site.path)
                .at(site.value.clone(), "the file that `config` names decides this")
                .help("remove one of the two");
            match reading.site("ldap.config", 0) {
                Some(span) => problem.and(span, "named here"),
                None => problem,
            }
        })
        .collect()
}

fn password_and_name(reading: &Reading) -> Option<Problem> {
    let (name, file) = ("ldap.bind_dn", "ldap.bind_password_file");
    let ldap = &reading.config.ldap;
    if ldap.service_bind == ServiceBind::External || reading.is_refused(&[name, file, "ldap.bind"])
    {
        return None;
    }
    let (set, unset) = match (ldap.bind_dn.is_empty(), ldap.password.is_none()) {
        (false, true) => (name, file),
        (true, false) => (file, name),
        _ => return None,
    };
    alone(reading, set, unset)
}

fn certificate_and_key(reading: &Reading) -> Option<Problem> {
    let (certificate, key) = ("ldap.certificate", "ldap.key");
    if reading.is_refused(&[certificate, key]) {
        return None;
    }
    let paths = reading.config.ldap.trust.identity.as_ref()?;
    match (paths.0 == Path::new(""), paths.1 == Path::new("")) {
        (false, true) => alone(reading, certificate, key),
        (true, false) => alone(reading, key, certificate),
        _ => None,
    }
}

fn alone(reading: &Reading, set: &str, unset: &str) -> Option<Problem> {
    let span = reading.site(set, 0)?;
    Some(
        Problem::error(format!("`{set}` is set without `{unset}`"))
            .about(set)
            .at(span, "one is of no use without the other")
            .help(format!("add `{}` to [ldap]", unset.trim_start_matches("ldap."))),
    )
}

fn name_for_template(reading: &Reading) -> Option<Problem> {
    let ldap = &reading.config.ldap;
    if ldap.method != Method::Template
        || !ldap.name.is_empty()
        || reading.is_refused(&["ldap.name"])
    {
        return None;
    }
    let span = reading.site("ldap.method", 0)?;
    Some(
        Problem::error("the method \"template\" has no template")
            .about("ldap.method")
            .at(span, "binds as what `name` makes of the login, and that is empty")
            .help("add a line such as `name = \"uid=%u,ou=people,dc=example,dc=org\"` to [ldap]"),
    )
}

fn one_group(reading: &Reading) -> Option<Problem> {
    let group = &reading.config.ldap.group;
    if group.name.is_empty() || group.filter.is_empty() {
        return None;
    }
    let problem = Problem::error("two questions about groups")
        .about("ldap.group_filter")
        .at(reading.site("ldap.group_filter", 0)?, "asks by a search")
        .help("remove group_dn or group_filter");
    Some(match reading.site("ldap.group_dn", 0) {
        Some(span) => problem.and(span, "asks whether this entry has the user as a value"),
        None => problem,
    })
}
