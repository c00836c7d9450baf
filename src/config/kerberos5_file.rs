//! The original's `/etc/saslauthd.conf` as settings of the Kerberos backend.
//!
//! Three keys of saslauthd 2.1.28's kerberos5 mechanism; the first line with a
//! key counts, as there. Its keys about Kerberos 4 names are refused: they
//! change who is asked about. Called when authd opens the backend.

use super::file;
use super::forms::{self, Parsed};
use super::problem::{Problem, Problems};
use super::saslauthd_conf::{Entry, SaslauthdConf};
use crate::backend::kerberos5::Settings;

/// The settings: `native`, with what its `original` says instead.
///
/// # Errors
/// Every problem of that file.
pub fn kerberos5_settings(native: &Settings) -> Result<Settings, Problems> {
    let Some(path) = &native.original else { return Ok(native.clone()) };
    let source = file::read(path)?;
    read(&source, native).map_err(|problems| Problems::new(path, &source, problems))
}

fn read(source: &str, native: &Settings) -> Result<Settings, Vec<Problem>> {
    let conf = SaslauthdConf::parse(source)?;
    let mut settings = native.clone();
    let mut problems = Vec::new();
    if let Some(entry) = conf.first("krb5_keytab") {
        let name = entry.value.trim_end();
        let path = taken(entry, forms::path(name.strip_prefix("FILE:").unwrap_or(name)));
        problems.extend(path.map(|path| settings.keytab = path).err().map(|it| *it));
    }
    if let Some(entry) = conf.first("krb5_verify_principal") {
        let name = taken(entry, forms::kerberos_service(entry.value.trim_end()));
        problems.extend(name.map(|name| settings.service = name).err().map(|it| *it));
    }
    if let Some(entry) = conf.first("krb5_servername") {
        let name = taken(entry, forms::host_name(entry.value.trim_end()));
        problems.extend(name.map(|name| settings.server_name = name).err().map(|it| *it));
    }
    let is_refused = |entry: &&Entry<'_>| {
        let key = entry.key.as_str();
        key == "krb5_conv_krb4_instance" || (key.starts_with("krb5_") && key.ends_with("_instance"))
    };
    problems.extend(conf.entries().filter(is_refused).map(|entry| {
        Problem::error(format!("`{}` is not supported", entry.key))
            .about(entry.key.as_str())
            .at(entry.key_span.clone(), "it changes the principal that is asked about")
            .help("remove the line; users then log in with the name of their principal")
    }));
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn taken<T>(entry: &Entry<'_>, parsed: Parsed<T>) -> Result<T, Box<Problem>> {
    parsed.map_err(|why| Box::new(entry.refused(&why)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn settings(source: &str) -> Result<Settings, Vec<Problem>> {
        read(source, &crate::config::Config::with_defaults("mx.test").kerberos5)
    }

    #[test]
    fn three_keys_count_and_those_of_others_do_not() {
        let found = settings(
            "ldap_servers: ldap://x/\nkrb5_keytab: FILE:/x/keytab \nkrb5_keytab: /second\n\
             krb5_verify_principal: smtp\nkrb5_servername: mail.example.org\n",
        )
        .unwrap();
        assert_eq!(found.keytab, Path::new("/x/keytab"));
        assert_eq!(found.service, "smtp");
        assert_eq!(found.server_name.as_deref(), Some("mail.example.org"));
        let untouched = settings("# nothing\n").unwrap();
        assert_eq!(untouched.keytab, Path::new("/etc/krb5.keytab"));
        assert_eq!(untouched.service, "host");
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for bad in [
            "krb5_keytab: relative\n",
            "krb5_keytab: SRVTAB:/x\n",
            "krb5_verify_principal: a/b\n",
            "krb5_servername: a b\n",
            "krb5_conv_krb4_instance: yes\n",
            "krb5_smtp_instance: mail\n",
            "no line\n",
        ] {
            assert!(settings(bad).is_err(), "{bad}");
        }
    }
}
