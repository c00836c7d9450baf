//! What this host is called (the default realm, and the gate's name in SMTP),
//! and whether we may speak to others.
//!
//! Asks the kernel and `/etc/hosts`, never DNS: a start must not hang on a resolver.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// The name of `gethostname(2)` as it is; `localhost` if there is none.
#[must_use]
pub fn name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The fully qualified name of this host, lower case, without a trailing dot.
///
/// The name of `gethostname(2)` if it has a dot; else the first dotted name
/// beside it in `/etc/hosts`; else the short name; `localhost` if there is none.
#[must_use]
pub fn fqdn() -> String {
    let short = name();
    if short.contains('.') {
        return tidy(&short);
    }
    canonical_name(&short).map_or_else(|| tidy(&short), |name| tidy(&name))
}

/// True if this process can make a socket of the Internet. `RestrictAddressFamilies=` of
/// systemd forbids it, and nothing else than trying tells.
#[must_use]
pub fn has_internet_sockets() -> bool {
    [AddressFamily::Inet, AddressFamily::Inet6]
        .into_iter()
        .any(|family| socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).is_ok())
}

fn tidy(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The first dotted name that `/etc/hosts` lists beside `short`. DNS is not
/// asked: a start must not hang on a resolver.
fn canonical_name(short: &str) -> Option<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    dotted_alias(&hosts, short)
}

fn dotted_alias(hosts: &str, short: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let names: Vec<&str> =
            line.split('#').next().unwrap_or("").split_whitespace().skip(1).collect();
        let is_ours = names.iter().any(|name| name.eq_ignore_ascii_case(short));
        is_ours.then(|| names.into_iter().find(|name| name.contains('.')).map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_dotted_name_in_hosts() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tmx.example.org mx # this host\n";
        assert_eq!(dotted_alias(hosts, "mx").as_deref(), Some("mx.example.org"));
        assert_eq!(dotted_alias(hosts, "localhost"), None);
        assert_eq!(dotted_alias("# 1.2.3.4 mx.example.org mx", "mx"), None);
    }
}
