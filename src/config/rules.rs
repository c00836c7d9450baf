//! What several keys mean together: combinations that cannot work are refused.
//!
//! Called by `reader` when every value has been read on its own. Each rule
//! speaks up only about values that stand in the file and were good by themselves.

mod authd;
mod gate;
mod metrics;
mod policy;
mod servers;
mod tls;

use std::net::IpAddr;
use std::path::Path;

use super::Config;
use super::forms::split_address;
use super::ldap_rules;
use super::problem::Problem;
use super::reading::Reading;
use crate::gate::AuthSource;
use crate::tls::Settings;

/// Runs every rule, then drops what must not stay (see [`settle`]).
pub(super) fn check(reading: &mut Reading) {
    let rules: &[fn(&Reading) -> Vec<Problem>] = &[
        tls::certificate_and_key,
        tls::one_form_of_certificates,
        tls::clients_have_authorities,
        gate::listeners_apart,
        gate::no_mail_loop,
        gate::clear_text_stays_here,
        gate::verification_needs_tls,
        metrics::metrics_stay_here,
        gate::accounts_are_whole,
        policy::somebody_may_send,
        policy::hard_is_beyond_soft,
        paths_apart,
        memory_for_lanes,
        work_of_a_hash,
        authd::routes_choose,
        authd::listeners_apart,
        authd::handover_sockets_exist,
        servers::passwords_stay_private,
        servers::certificates_need_tls,
        servers::one_source_of_the_form,
        ldap_rules::check,
    ];
    for rule in rules {
        let found = rule(reading);
        reading.problems.extend(found);
    }
    settle(&mut reading.config);
}

/// Takes TLS settings and certificates away that are not named, and names what has no name.
pub(super) fn settle(config: &mut Config) {
    let is_named = |tls: &Settings| {
        tls.certificates.first().is_some_and(|first| first.certificate != Path::new(""))
    };
    if !config.tls.as_ref().is_some_and(is_named) {
        config.tls = None;
    }
    for backend in config.gate.backends.iter_mut().filter(|backend| backend.name.is_empty()) {
        backend.name.clone_from(&backend.address);
    }
    ldap_rules::settle(&mut config.ldap);
}

/// True if a connection to `host:port` stays on this host. Names other than
/// localhost are not looked up.
#[must_use]
pub fn is_local(address: &str) -> bool {
    split_address(address).is_ok_and(|(host, _)| is_local_host(host))
}

fn is_local_host(host: &str) -> bool {
    is_loopback(host) || is_unspecified(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Connecting to the unspecified address is connecting to loopback on Linux.
fn is_unspecified(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

/// A problem for each of the keys that is set.
fn without_effect(
    reading: &Reading,
    entry: usize,
    keys: [(&'static str, bool); 2],
    help: &str,
) -> Vec<Problem> {
    keys.into_iter()
        .filter(|(_, is_set)| *is_set)
        .filter_map(|(path, _)| {
            let span = reading.site(path, entry)?;
            Some(
                Problem::error(format!("`{path}` has no effect without TLS"))
                    .about(path)
                    .at(span, "there is no certificate to verify")
                    .help(help),
            )
        })
        .collect()
}

/// Two things cannot be one file.
fn paths_apart(reading: &Reading) -> Vec<Problem> {
    let config = &reading.config;
    let AuthSource::Saslauthd(auth) = &config.gate.auth;
    let paths = [
        ("authd.socket", Some(config.saslauthd.socket.as_path())),
        ("pam.socket", config.pam.socket.as_deref()),
        ("store.path", Some(config.store.path.as_path())),
        ("gate.auth", Some(auth.as_path())),
    ];
    let mut problems = Vec::new();
    for (index, (path, file)) in paths.iter().enumerate() {
        let is_same = |taken: &Option<&Path>| taken.is_some() && taken == file;
        let earlier = paths[..index].iter().find(|(_, taken)| is_same(taken));
        let Some((other, _)) = earlier else { continue };
        // The gate is meant to ask at authd's socket.
        if (*other, *path) == ("authd.socket", "gate.auth") || reading.is_refused(&[other, path]) {
            continue;
        }
        let (at, and) = match (reading.site(path, 0), reading.site(other, 0)) {
            (Some(at), and) => (at, and),
            (None, Some(at)) => (at, None),
            (None, None) => continue,
        };
        let problem = Problem::error(format!("`{other}` and `{path}` are the same file"))
            .about(*path)
            .at(at, "both are this file")
            .help("give each its own path");
        problems.push(match and {
            Some(and) => problem.and(and, "and here"),
            None => problem,
        });
    }
    problems
}

/// RFC 9106 §3.1: at least 8 KiB a lane.
fn memory_for_lanes(reading: &Reading) -> Vec<Problem> {
    let store = &reading.config.store;
    if store.memory_kib >= 8 * store.lanes || reading.is_refused(&["store.memory", "store.lanes"]) {
        return Vec::new();
    }
    let Some(span) = reading.site("store.memory", 0).or_else(|| reading.site("store.lanes", 0))
    else {
        return Vec::new();
    };
    let least = 8 * store.lanes;
    vec![
        Problem::error("too little memory for the lanes")
            .about("store.memory")
            .at(span, format!("argon2id needs at least {least}KiB for {} lanes", store.lanes))
            .help("raise `memory` or lower `lanes` in [store]"),
    ]
}

/// One login must not keep a hash thread busy for long.
fn work_of_a_hash(reading: &Reading) -> Vec<Problem> {
    const MAX_KIB: u64 = 4 << 20;
    let store = &reading.config.store;
    let work = u64::from(store.memory_kib) * u64::from(store.iterations);
    if work <= MAX_KIB || reading.is_refused(&["store.memory", "store.iterations"]) {
        return Vec::new();
    }
    let site = reading.site("store.memory", 0).or_else(|| reading.site("store.iterations", 0));
    let Some(span) = site else { return Vec::new() };
    let text = format!("{} passes over this much take longer than a login may", store.iterations);
    vec![
        Problem::error("memory times iterations is more than 4GiB")
            .about("store.memory")
            .at(span, text)
            .help("lower `memory` or `iterations` in [store]"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_addresses_stay_on_the_host() {
        for address in
            ["127.0.0.1:25", "LocalHost:25", "[::1]:25", "127.8.0.1:25", "[::ffff:127.0.0.1]:25"]
        {
            assert!(is_local(address), "{address}");
        }
        for address in ["192.0.2.1:25", "mx.test:25", "[2001:db8::1]:25", "localhost", ""] {
            assert!(!is_local(address), "{address}");
        }
    }
}
