//! What several keys mean together: combinations that cannot work are refused.
//!
//! Called by `reader` when every value has been read on its own. Each rule
//! speaks up only about values that stand in the file and were good by themselves.

mod authd;
mod servers;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::Config;
use super::forms::split_address;
use super::ldap_rules;
use super::problem::Problem;
use super::reading::Reading;
use crate::gate::{AuthSource, BackendTls};
use crate::tls::Settings;

/// Runs every rule, then drops what must not stay (see [`settle`]).
pub(super) fn check(reading: &mut Reading) {
    let rules: &[fn(&Reading) -> Vec<Problem>] = &[
        tls::certificate_and_key,
        tls::one_form_of_certificates,
        tls::clients_have_authorities,
        listeners_apart,
        no_mail_loop,
        clear_text_stays_here,
        verification_needs_tls,
        paths_apart,
        memory_for_lanes,
        work_of_a_hash,
        authd::routes_choose,
        authd::listeners_apart,
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

/// Takes TLS settings and certificates away that are not named.
pub(super) fn settle(config: &mut Config) {
    let is_named = |tls: &Settings| {
        tls.certificates.first().is_some_and(|first| first.certificate != Path::new(""))
    };
    if !config.tls.as_ref().is_some_and(is_named) {
        config.tls = None;
    }
    ldap_rules::settle(&mut config.ldap);
}

fn listeners_apart(reading: &Reading) -> Vec<Problem> {
    let path = "gate.listener.address";
    let listeners = &reading.config.gate.listeners;
    let mut problems = Vec::new();
    for (later, listener) in listeners.iter().enumerate() {
        let Some(span) = reading.site(path, later) else { continue };
        let earlier = listeners[..later].iter().enumerate().find_map(|(earlier, other)| {
            collide(other.address, listener.address).then(|| reading.site(path, earlier))?
        });
        if let Some(other) = earlier {
            problems.push(
                Problem::error("two listeners want the same address")
                    .about(path)
                    .at(span, "the kernel would refuse this one")
                    .and(other, "taken here")
                    .help("remove one of the two, or give it another port"),
            );
        }
    }
    problems
}

/// True if the kernel would not let both listen: the same port of the same
/// address, or of one address and all of its family (IPv6 ones take no IPv4).
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same_family = one.is_ipv4() == other.is_ipv4();
    let is_wide = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port()
        && one.port() != 0
        && is_same_family
        && (is_wide || one.ip() == other.ip())
}

fn no_mail_loop(reading: &Reading) -> Vec<Problem> {
    let path = "gate.backend.address";
    let gate = &reading.config.gate;
    if reading.is_refused(&[path]) {
        return Vec::new();
    }
    let Ok((host, port)) = split_address(&gate.backend.address) else { return Vec::new() };
    let is_ours = |listener: &SocketAddr| listener.port() == port && reaches(host, *listener);
    let Some(index) = gate.listeners.iter().position(|listener| is_ours(&listener.address)) else {
        return Vec::new();
    };
    let backend = reading.site(path, 0);
    let listener = reading.site("gate.listener.address", index);
    let problem = Problem::error("the gate would hand mail to itself").about(path);
    let help = "give `address` in [[gate.backend]] the port on which the MTA listens";
    let problem = match (backend, listener) {
        (Some(backend), Some(listener)) => problem
            .at(backend, "the backend is one of the gate's own listeners")
            .and(listener, "this one"),
        (Some(backend), None) => {
            problem.at(backend, "the gate listens there itself, on its default listeners")
        }
        (None, Some(listener)) => {
            problem.at(listener, format!("the backend is {} by default", gate.backend.address))
        }
        (None, None) => return Vec::new(),
    };
    vec![problem.help(help)]
}

/// True if a connection to `host` ends at a listener on `address`, ports being
/// equal. Names other than localhost are not looked up.
fn reaches(host: &str, address: SocketAddr) -> bool {
    let listener = address.ip();
    let is_home = listener.is_unspecified()
        || listener == IpAddr::V4(Ipv4Addr::LOCALHOST)
        || listener == IpAddr::V6(Ipv6Addr::LOCALHOST);
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_unspecified() => is_home,
        Ok(ip) if listener.is_unspecified() => {
            ip.is_loopback() && ip.is_ipv4() == listener.is_ipv4()
        }
        Ok(ip) => ip == listener,
        Err(_) => is_home && is_loopback(host),
    }
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

fn clear_text_stays_here(reading: &Reading) -> Vec<Problem> {
    let (address, tls) = ("gate.backend.address", "gate.backend.tls");
    let backend = &reading.config.gate.backend;
    if backend.tls == BackendTls::Starttls || reading.is_refused(&[address, tls]) {
        return Vec::new();
    }
    let is_leaving = !is_local(&backend.address);
    let Some(span) = reading.site(address, 0).filter(|_| is_leaving) else { return Vec::new() };
    let problem = Problem::error("mail would leave this host in clear")
        .about(tls)
        .at(span, "not a loopback address")
        .help("set `tls = \"starttls\"` in [[gate.backend]]");
    vec![match reading.site(tls, 0) {
        Some(other) => problem.and(other, "without encryption"),
        None => problem,
    }]
}

fn verification_needs_tls(reading: &Reading) -> Vec<Problem> {
    let backend = &reading.config.gate.backend;
    if backend.tls == BackendTls::Starttls || reading.is_refused(&["gate.backend.tls"]) {
        return Vec::new();
    }
    let set = [
        ("gate.backend.ca_file", backend.ca_file.is_some()),
        ("gate.backend.server_name", backend.server_name.is_some()),
    ];
    without_effect(reading, set, "set `tls = \"starttls\"` in [[gate.backend]], or remove this")
}

/// A problem for each of the keys that is set.
fn without_effect(reading: &Reading, keys: [(&'static str, bool); 2], help: &str) -> Vec<Problem> {
    keys.into_iter()
        .filter(|(_, is_set)| *is_set)
        .filter_map(|(path, _)| {
            let span = reading.site(path, 0)?;
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
