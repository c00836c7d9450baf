//! krb5.conf and the keytab: who is asked about a login, and with which key the KDC proves itself.
//!
//! Read for each login, so that a change counts at once; they are small, and a
//! login costs three messages and a password hash. Runs on a thread that may block.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::settings::Settings;
use crate::auth::{Attempt, RealmSource};
use crate::base::{Printable, Reason, ReasonCode};
use crate::wire::kerberos::keytab::{Keytab, ServiceKey};
use crate::wire::kerberos::krb5_conf::{self, Include, Krb5Conf, Reading, Realm};
use crate::wire::kerberos::{Name, Principal};

/// All that one login needs of the files.
pub(super) struct Login {
    /// Who is claimed.
    pub(super) client: Principal,
    /// The client's realm.
    pub(super) home: Realm,
    /// Whose key is in the keytab.
    pub(super) service: Principal,
    /// The service's realm; the same in almost every house.
    pub(super) away: Realm,
    /// The keys of the service: at least one.
    pub(super) keys: Vec<ServiceKey>,
}

/// Finds out whom to ask about `attempt`; `None` if there can be no such principal.
///
/// # Errors
/// An outage: a file is missing, damaged or lacks something.
pub(super) fn look_up(
    settings: &Settings,
    fqdn: &str,
    attempt: &Attempt,
) -> Result<Option<Login>, Reason> {
    let conf = read_conf(&settings.krb5_conf)?;
    // Before the realm is looked at: without a key nobody is told anything.
    let keytab = read_keytab(&settings.keytab)?;
    let Some(realm) = realm(settings, &conf, attempt)? else { return Ok(None) };
    let Some(name) = Name::of_login(attempt.identity.user()) else { return Ok(None) };
    let client = Principal { name, realm };
    let service = service(settings, &keytab, &service_name(settings, fqdn), &client)?;
    let home = with_kdcs(settings, &conf, &client.realm)?;
    let away = with_kdcs(settings, &conf, &service.realm)?;
    let mut keytab = keytab;
    keytab.retain(|key| key.principal == service);
    Ok(Some(Login { client, home, service, away, keys: keytab.into_keys() }))
}

/// Whether users of the default realm can be looked up.
///
/// # Errors
/// Why they cannot: what each of their logins would be told.
pub(super) fn check(settings: &Settings, fqdn: &str) -> Result<(), Reason> {
    let conf = read_conf(&settings.krb5_conf)?;
    let keytab = read_keytab(&settings.keytab)?;
    let realm = default_realm(settings, &conf)?;
    let client = Principal { name: Name::new(&["check"]), realm: realm.to_owned() };
    let service = service(settings, &keytab, &service_name(settings, fqdn), &client)?;
    with_kdcs(settings, &conf, realm)?;
    with_kdcs(settings, &conf, &service.realm).map(|_| ())
}

/// The realm as it is written in krb5.conf; `None` for one that is not there: a
/// client may name any.
fn realm(
    settings: &Settings,
    conf: &Krb5Conf,
    attempt: &Attempt,
) -> Result<Option<String>, Reason> {
    let ours = settings.realm.as_deref().or_else(|| conf.default_realm());
    if attempt.realm != RealmSource::Default {
        let named = attempt.identity.realm();
        if let Some(ours) = ours.filter(|ours| ours.eq_ignore_ascii_case(named)) {
            return Ok(Some(ours.to_owned()));
        }
        return Ok(conf.realm(named).map(|realm| realm.name.clone()));
    }
    default_realm(settings, conf).map(|realm| Some(realm.to_owned()))
}

fn default_realm<'a>(settings: &'a Settings, conf: &'a Krb5Conf) -> Result<&'a str, Reason> {
    settings.realm.as_deref().or_else(|| conf.default_realm()).ok_or_else(|| {
        damaged(format!(
            "{} has no default_realm in [libdefaults]: add it, or set kerberos5.realm",
            settings.krb5_conf.display()
        ))
    })
}

fn service_name(settings: &Settings, fqdn: &str) -> Name {
    Name::new(&[&settings.service, settings.server_name.as_deref().unwrap_or(fqdn)])
}

/// The principal of this service: in the client's realm, if the keytab has it there.
fn service(
    settings: &Settings,
    keytab: &Keytab,
    name: &Name,
    client: &Principal,
) -> Result<Principal, Reason> {
    let found = keytab.keys_of(name).find(|key| key.principal.realm == client.realm);
    let found = found.or_else(|| keytab.keys_of(name).next());
    found.map(|key| key.principal.clone()).ok_or_else(|| {
        let there: Vec<String> =
            keytab.principals().iter().take(5).map(ToString::to_string).collect();
        let there = Printable::from(there.join(", ").as_str()).to_string();
        damaged(format!(
            "{} has no AES key of {name}, only {}: export one (kadmin: ktadd {name}), or \
             set kerberos5.service and kerberos5.server_name",
            settings.keytab.display(),
            if there.is_empty() { "nothing" } else { &there }
        ))
    })
}

/// The realm, which must have KDCs.
fn with_kdcs(settings: &Settings, conf: &Krb5Conf, realm: &str) -> Result<Realm, Reason> {
    let found = conf.realm(realm).filter(|found| !found.kdcs.is_empty());
    let Some(found) = found else {
        let realm = Printable::from(realm);
        return Err(damaged(format!(
            "{} has no line kdc = HOST for {realm} in [realms]; DNS is not asked for KDCs",
            settings.krb5_conf.display()
        )));
    };
    // Its name as the principals have it: [realms] was searched without regard to capitals.
    Ok(Realm { name: realm.to_owned(), kdcs: found.kdcs.clone() })
}

fn read_keytab(path: &Path) -> Result<Keytab, Reason> {
    let bytes = read(path, MAX_KEYTAB_BYTES).map_err(|error| {
        damaged(format!(
            "cannot read the keytab {}: {error}: without its key nobody can tell a KDC from \
             somebody who answers in its place; export it (kadmin: ktadd), readable for \
             the account of authd",
            path.display()
        ))
    })?;
    let bytes = zeroize::Zeroizing::new(bytes);
    Keytab::parse(&bytes)
        .map_err(|error| damaged(format!("{} is no keytab: {error}", path.display())))
}

fn read_conf(path: &Path) -> Result<Krb5Conf, Reason> {
    let mut reader = ConfReader { conf: Krb5Conf::default(), files: 0 };
    reader.file(path, 0)?;
    Ok(reader.conf)
}

/// Follows the includes of krb5.conf, bounded in number and depth.
struct ConfReader {
    conf: Krb5Conf,
    files: usize,
}

impl ConfReader {
    fn file(&mut self, path: &Path, depth: usize) -> Result<(), Reason> {
        self.files += 1;
        if self.files > MAX_FILES || depth > MAX_DEPTH {
            let path = path.display();
            return Err(damaged(format!("{path}: too many files are included, or in a circle")));
        }
        let bytes = read(path, MAX_CONF_BYTES)
            .map_err(|error| damaged(format!("cannot read {}: {error}", path.display())))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut reading = Reading::default();
        for (number, line) in text.lines().enumerate() {
            let include = self
                .conf
                .take(&mut reading, line)
                .map_err(|error| damaged(format!("{}:{}: {error}", path.display(), number + 1)))?;
            match include {
                Some(Include::File(name)) => self.file(Path::new(&name), depth + 1)?,
                Some(Include::Directory(name)) => self.directory(Path::new(&name), depth + 1)?,
                None => {}
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, depth: usize) -> Result<(), Reason> {
        let failed = |error: io::Error| {
            damaged(format!("cannot read the includedir {}: {error}", path.display()))
        };
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_some_and(krb5_conf::is_included) {
                files.push(entry.path());
            }
        }
        files.sort();
        files.iter().filter(|file| file.is_file()).try_for_each(|file| self.file(file, depth))
    }
}

/// Reads a file of at most `limit` bytes; one that is larger, or no file, is an error.
fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

fn damaged(detail: String) -> Reason {
    Reason::new(ReasonCode::Damaged, detail)
}

const MAX_CONF_BYTES: u64 = 256 * 1024;
const MAX_KEYTAB_BYTES: u64 = 1024 * 1024;
const MAX_FILES: usize = 64;
const MAX_DEPTH: usize = 8;
