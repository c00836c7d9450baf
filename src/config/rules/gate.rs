//! What the keys of the gate mean together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::{is_local, is_loopback, without_effect};
use crate::config::forms::split_address;
use crate::config::problem::Problem;
use crate::config::reading::Reading;
use crate::gate::{BackendSettings, BackendTls, IdentityWay};

pub(super) fn listeners_apart(reading: &Reading) -> Vec<Problem> {
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

pub(super) fn no_mail_loop(reading: &Reading) -> Vec<Problem> {
    let path = "gate.backend.address";
    if reading.is_refused(&[path]) {
        return Vec::new();
    }
    let backends = reading.config.gate.backends.iter().enumerate();
    backends.filter_map(|(entry, backend)| loops_back(reading, entry, backend)).collect()
}

fn loops_back(reading: &Reading, entry: usize, backend: &BackendSettings) -> Option<Problem> {
    let path = "gate.backend.address";
    let (host, port) = split_address(&backend.address).ok()?;
    let is_ours = |listener: &SocketAddr| listener.port() == port && reaches(host, *listener);
    let mut listeners = reading.config.gate.listeners.iter();
    let index = listeners.position(|listener| is_ours(&listener.address))?;
    let backend_site = reading.site(path, entry);
    let listener = reading.site("gate.listener.address", index);
    let problem = Problem::error("the gate would hand mail to itself").about(path);
    let problem = match (backend_site, listener) {
        (Some(backend), Some(listener)) => problem
            .at(backend, "the backend is one of the gate's own listeners")
            .and(listener, "this one"),
        (Some(backend), None) => {
            problem.at(backend, "the gate listens there itself, on its default listeners")
        }
        (None, Some(listener)) => {
            problem.at(listener, format!("the backend is {} by default", backend.address))
        }
        (None, None) => return None,
    };
    Some(problem.help("give `address` in [[gate.backend]] the port on which the MTA listens"))
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

/// The entries of `[[gate.backend]]` without TLS, as far as they could be read.
fn clear(reading: &Reading) -> impl Iterator<Item = (usize, &BackendSettings)> {
    let is_known = !reading.is_refused(&["gate.backend.tls"]);
    let backends = reading.config.gate.backends.iter().enumerate();
    backends.filter(move |(_, backend)| is_known && backend.tls == BackendTls::None)
}

pub(super) fn clear_text_stays_here(reading: &Reading) -> Vec<Problem> {
    let (address, tls) = ("gate.backend.address", "gate.backend.tls");
    if reading.is_refused(&[address]) {
        return Vec::new();
    }
    let leaving = clear(reading).filter(|(_, backend)| !is_local(&backend.address));
    let problems = leaving.filter_map(|(entry, _)| {
        let problem = Problem::error("mail would leave this host in clear")
            .about(tls)
            .at(reading.site(address, entry)?, "not a loopback address")
            .help("set `tls = \"starttls\"` in [[gate.backend]]");
        Some(match reading.site(tls, entry) {
            Some(other) => problem.and(other, "without encryption"),
            None => problem,
        })
    });
    problems.collect()
}

pub(super) fn verification_needs_tls(reading: &Reading) -> Vec<Problem> {
    let help = "set `tls = \"starttls\"` in [[gate.backend]], or remove this";
    let problems = clear(reading).flat_map(|(entry, backend)| {
        let set = [
            ("gate.backend.ca_file", backend.ca_file.is_some()),
            ("gate.backend.server_name", backend.server_name.is_some()),
        ];
        without_effect(reading, entry, set, help)
    });
    problems.collect()
}

/// A service account has a name and a password, and is for `identity = "login"`.
pub(super) fn accounts_are_whole(reading: &Reading) -> Vec<Problem> {
    let paths =
        ["gate.backend.identity", "gate.backend.login_user", "gate.backend.login_password_file"];
    let [identity, user, file] = paths;
    if reading.is_refused(&paths) {
        return Vec::new();
    }
    let backends = reading.config.gate.backends.iter().enumerate();
    let problems = backends.filter_map(|(entry, backend)| {
        let is_login = backend.identity == IdentityWay::Login;
        let sites = [user, file].map(|path| reading.site(path, entry));
        let account = backend.account.as_ref();
        let has_user = account.is_some_and(|account| !account.user.is_empty());
        let has_file = account.is_some_and(|account| account.password_file != Path::new(""));
        if is_login && !(has_user && has_file) {
            let problem = Problem::error("the gate has no account to log in to the MTA with");
            let problem = problem.about(if has_user { file } else { user });
            let help = "set both `login_user` and `login_password_file`";
            return Some(problem.at(reading.site(identity, entry)?, "needs one").help(help));
        }
        let site = sites.into_iter().flatten().next().filter(|_| account.is_some() && !is_login)?;
        Some(
            Problem::error("an account at the MTA has no effect")
                .about(identity)
                .at(site, "nobody logs in with it")
                .help("set `identity = \"login\"`, or remove this"),
        )
    });
    problems.collect()
}
