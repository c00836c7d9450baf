//! Whether the unit of authd lets its backends do what the configuration wants.
//!
//! For `saslgate check`, called by `check_host`. saslgate-authd.service knows this
//! host only; backends that ask a server need a drop-in. Looks at unit files as
//! text, since systemd need not run where a configuration is checked.

use std::fs;
use std::path::Path;

use crate::config::{Config, Inspected, Problem, ldap_settings};

/// A warning, if a backend asks a server and the unit that is installed forbids it.
pub(super) fn network(file: &Inspected) -> Option<Problem> {
    let names = file.config.auth.all_backends();
    let name = names.into_iter().find(|name| is_remote(name, &file.config))?;
    if !is_closed(FOLDERS.iter().map(Path::new)) {
        return None;
    }
    let title = format!("{name} asks a server, and {UNIT} may not");
    let help = format!(
        "copy authd-network.conf, which is beside saslgate.toml.example, to \
         /etc/systemd/system/{UNIT}.d/network.conf, then: systemctl daemon-reload"
    );
    Some(file.warning("authd.backends", title, "its users would be unavailable").help(help))
}

fn is_remote(backend: &str, config: &Config) -> bool {
    match backend {
        "ldap" => ldap_settings(&config.ldap).is_ok_and(|settings| settings.is_remote()),
        _ => matches!(backend, "kerberos5" | "rimap" | "httpform"),
    }
}

/// True if the unit is in one of `folders`, and neither it nor a drop-in of it names
/// a family of the Internet.
fn is_closed<'a>(folders: impl Iterator<Item = &'a Path>) -> bool {
    let (mut is_there, mut is_open) = (false, false);
    for folder in folders {
        if let Ok(text) = fs::read_to_string(folder.join(UNIT)) {
            is_there = true;
            is_open |= opens(&text);
        }
        let Ok(dropins) = fs::read_dir(folder.join(format!("{UNIT}.d"))) else { continue };
        let texts = dropins.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
        is_open |= texts.into_iter().any(|text| opens(&text));
    }
    is_there && !is_open
}

fn opens(text: &str) -> bool {
    let values = text.lines().filter_map(|line| line.trim().strip_prefix(FAMILIES));
    values.into_iter().any(|value| value.is_empty() || value.contains("AF_INET"))
}

const UNIT: &str = "saslgate-authd.service";
const FAMILIES: &str = "RestrictAddressFamilies=";

/// Where systemd looks for units (systemd.unit(5)).
const FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd");

    #[test]
    fn the_unit_that_comes_with_saslgate_is_closed_until_its_dropin_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let closed = || is_closed([folder.path()].into_iter());
        assert!(!closed(), "there is no unit to warn of");
        fs::copy(Path::new(OURS).join(UNIT), folder.path().join(UNIT)).unwrap();
        assert!(closed());
        let dropins = folder.path().join(format!("{UNIT}.d"));
        fs::create_dir(&dropins).unwrap();
        fs::write(dropins.join("debian.conf"), "[Service]\nGroup=sasl\n").unwrap();
        assert!(closed());
        let ours = Path::new(OURS).join("authd-network.conf");
        fs::copy(ours, dropins.join("network.conf")).unwrap();
        assert!(!closed());
    }
}
