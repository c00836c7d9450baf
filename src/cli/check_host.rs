//! What a configuration names on this host: files, directories, accounts.
//!
//! For `saslgate check`. Everything here is a warning: this may not be the
//! host, nor the account, that the service runs on and as.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use nix::unistd::{Group, User};

use super::check_unit;
use crate::backend::kerberos5;
use crate::backend::sasldb;
use crate::backend::store::{self, StoreError};
use crate::config::{Inspected, Problem, kerberos5_settings};
use crate::daemon::{access, gate_policy, policy_file, sender_map};
use crate::sys::host;
use crate::tls::{ServerTls, Stage};

/// Everything that a good configuration names and that does not look right here.
pub(super) fn warnings(file: &Inspected) -> Vec<Problem> {
    let mut found = Vec::new();
    found.extend(certificate(file));
    found.extend(authorities(file));
    found.extend(services(file));
    found.extend(watched_files(file));
    found.extend(password_store(file));
    found.extend(sasldb(file));
    found.extend(kerberos5(file));
    found.extend(senders(file));
    found.extend(socket(file));
    found.extend(accounts(file));
    found.extend(access(file));
    found.extend(unused(file));
    found.extend(check_unit::network(file));
    found
}

fn certificate(file: &Inspected) -> Vec<Problem> {
    let Some(tls) = &file.config.tls else { return Vec::new() };
    let (mut at_file, mut at_key) = ("tls.certificate", "tls.key");
    if file.sets_any_of(at_file) {
        (at_file, at_key) = ("tls.certificate.file", "tls.certificate.key");
    }
    let mut found = Vec::new();
    for pair in &tls.certificates {
        found.extend(unreadable(file, at_file, &pair.certificate));
        found.extend(unreadable(file, at_key, &pair.key));
        // Group may read it (a group of certificate users), nobody else anything.
        let is_open = |metadata: &Metadata| metadata.mode() & 0o037 != 0;
        if let Some(metadata) = fs::metadata(&pair.key).ok().filter(is_open) {
            let title = format!("the private key is open to others (mode {})", mode(&metadata));
            let help = format!("chmod 0600 {}", pair.key.display());
            found.push(file.warning(at_key, title, "the gate would refuse it").help(help));
        }
    }
    if !found.is_empty() {
        return found;
    }
    // All of it is there: is it of use, and for how long?
    let loaded = match ServerTls::load(tls) {
        Ok(loaded) => loaded,
        Err(error) => {
            let label = "the gate would not start with it";
            return vec![file.warning(at_file, error.to_string(), label)];
        }
    };
    let now = SystemTime::now();
    let ending = loaded.expiries().into_iter().filter(|expiry| expiry.stage(now) > Stage::Far);
    ending.map(|expiry| file.warning(at_file, expiry.sentence(now), "renew it")).collect()
}

/// Files of `[policy.access]` that cannot be read, and lines of the map that do not count.
fn access(file: &Inspected) -> Vec<Problem> {
    let settings = &file.config.access;
    let mut found = Vec::new();
    for (key, path) in [
        ("policy.access.map", &settings.map),
        ("policy.access.local_domains_file", &settings.local_domains_file),
        ("policy.access.relay_domains_file", &settings.relay_domains_file),
    ] {
        let Some(error) = path.as_ref().and_then(|path| policy_file::read(path).err()) else {
            continue;
        };
        found.push(file.warning(key, error.to_string(), "the gate would not start"));
    }
    let (Some(map), Ok(loaded)) = (&settings.map, access::load(settings, "")) else {
        return found;
    };
    found.extend(loaded.problems.into_iter().map(|problem| {
        let title = format!("{}:{}: {}", map.display(), problem.line, problem.text);
        file.warning("policy.access.map", title, "read from here")
    }));
    found
}

fn authorities(file: &Inspected) -> Option<Problem> {
    let mut files = file.config.gate.backends.iter().filter_map(|it| it.ca_file.as_deref());
    files.find_map(|path| unreadable(file, "gate.backend.ca_file", path))
}

fn services(file: &Inspected) -> Option<Problem> {
    let key = "pam.service_dir";
    let directory = file.config.pam.service_dir.as_deref()?;
    match fs::read_dir(directory) {
        Ok(_) => None,
        Err(error) => Some(cannot_read(file, key, directory, &error)),
    }
}

/// A name that was misspelt would be a file that never changes.
fn watched_files(file: &Inspected) -> Vec<Problem> {
    let config = &file.config;
    if !config.auth.cache.enabled || !config.auth.asks("pam") {
        return Vec::new();
    }
    let missing = config.pam.watched_files.iter().filter_map(|path| {
        let error = fs::metadata(path).err()?;
        let title = format!("{} cannot be watched: {error}", path.display());
        let help = "right only if the file comes and goes, as /etc/nologin does";
        Some(file.warning("pam.watched_files", title, "named here").help(help))
    });
    missing.collect()
}

fn password_store(file: &Inspected) -> Option<Problem> {
    let key = "store.path";
    let path = &file.config.store.path;
    if !file.config.auth.asks("store") {
        return None;
    }
    match store::inspect(path, service_uid(file, path)) {
        Ok(()) => None,
        Err(StoreError::Missing { .. }) => {
            let title = format!("the password store {} does not exist yet", path.display());
            let help = "`saslgate user add NAME` creates it with its first user";
            Some(file.warning(key, title, "no such file").help(help))
        }
        Err(StoreError::Denied { .. }) => {
            let denied = io::Error::from(io::ErrorKind::PermissionDenied);
            Some(cannot_read(file, key, path, &denied))
        }
        Err(error) => Some(file.warning(key, error.to_string(), "authd would refuse it")),
    }
}

fn sasldb(file: &Inspected) -> Option<Problem> {
    if !file.config.auth.asks("sasldb") {
        return None;
    }
    let error = sasldb::read_file(&file.config.sasldb.present_path()).err()?;
    Some(file.warning("sasldb.path", error.to_string(), "its users would be unavailable"))
}

fn senders(file: &Inspected) -> Option<Problem> {
    let settings = gate_policy::sending_settings(&file.config);
    let error = sender_map::read(settings.sender_map.as_deref()?, &settings.realm).err()?;
    let label = "the gate would not start";
    Some(file.warning("policy.sender.map", error.to_string(), label))
}

fn kerberos5(file: &Inspected) -> Option<Problem> {
    if !file.config.auth.asks("kerberos5") {
        return None;
    }
    let (key, label) = ("kerberos5.keytab", "its users would be unavailable");
    let trouble = match kerberos5_settings(&file.config.kerberos5) {
        Ok(settings) => kerberos5::trouble(&settings, &host::fqdn())?,
        Err(problems) => problems.to_string(),
    };
    Some(file.warning(key, trouble, label))
}

/// As whom authd will use the store: its account, or root where root asks.
/// Nobody else can tell, and then the owner of the store will be right.
fn service_uid(file: &Inspected, store: &Path) -> u32 {
    let named = file.config.authd_user.as_deref();
    let account = named.and_then(|name| User::from_name(name).ok().flatten());
    let us = nix::unistd::geteuid();
    match (account, fs::metadata(store)) {
        (Some(account), _) => account.uid.as_raw(),
        (None, Ok(metadata)) if !us.is_root() => metadata.uid(),
        (None, _) => us.as_raw(),
    }
}

/// authd creates the socket's directory, but nothing above it.
fn socket(file: &Inspected) -> Option<Problem> {
    let directory = file.config.saslauthd.socket.parent()?;
    let above = directory.parent()?;
    if directory.exists() || above.is_dir() {
        return None;
    }
    let title = format!("the directory of the socket, {}, cannot be made", directory.display());
    let label = format!("{} is not a directory", above.display());
    let help = format!("mkdir -p {}", directory.display());
    Some(file.warning("authd.socket", title, &label).help(help))
}

fn accounts(file: &Inspected) -> Vec<Problem> {
    let owner = file.config.saslauthd.socket_owner.as_deref().unwrap_or_default();
    let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
    let authd_user = file.config.authd_user.as_deref().unwrap_or_default();
    let gate_user = file.config.gate_user.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    for (key, name) in
        [("authd.socket_owner", user), ("authd.user", authd_user), ("gate.user", gate_user)]
    {
        if !name.is_empty() && matches!(User::from_name(name), Ok(None)) {
            let title = format!("there is no user {name:?} on this host");
            found.push(file.warning(key, title, "no such user"));
        }
    }
    if !group.is_empty() && matches!(Group::from_name(group), Ok(None)) {
        let title = format!("there is no group {group:?} on this host");
        found.push(file.warning("authd.socket_owner", title, "no such group"));
    }
    found
}

fn unused(file: &Inspected) -> Option<Problem> {
    if file.config.auth.asks("pam") || !file.sets_any_of("pam") {
        return None;
    }
    let title = "[pam] has no effect: \"pam\" is not among the backends".to_owned();
    Some(file.warning("authd.backends", title, "only these are asked"))
}

fn unreadable(file: &Inspected, key: &str, path: &Path) -> Option<Problem> {
    let error = match File::open(path).and_then(|opened| opened.metadata()) {
        Ok(metadata) if metadata.is_dir() => io::Error::from(io::ErrorKind::IsADirectory),
        Ok(_) => return None,
        Err(error) => error,
    };
    Some(cannot_read(file, key, path, &error))
}

fn cannot_read(file: &Inspected, key: &str, path: &Path, error: &io::Error) -> Problem {
    let title = format!("{} cannot be read: {error}", path.display());
    let problem = file.warning(key, title, "named here");
    if error.kind() == io::ErrorKind::PermissionDenied {
        let help = "this check ran without the rights of the service; run it as root to be sure";
        return problem.help(help);
    }
    problem
}

fn mode(metadata: &Metadata) -> String {
    format!("{:04o}", metadata.mode() & 0o7777)
}
