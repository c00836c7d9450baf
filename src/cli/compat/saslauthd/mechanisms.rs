//! The mechanisms of `-a`: their names in the original, and what `-O` and `-r` mean for each.
//!
//! A name here is the name of the backend as well (`authd.backends`). A new
//! mechanism is a line in [`TABLE`], in the order in which the original lists
//! them for `-v`; what the original never had comes last.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::backend::ldap;
use crate::backend::pam::UserForm;
use crate::config::Config;

/// One mechanism.
pub(super) struct Mechanism {
    /// Its name, lower case.
    pub(super) name: &'static str,
    /// What `-O` means.
    option: Meaning,
    /// Makes `user@realm` of a login whose realm was named: `-r`. `None`: it knows realms
    /// anyway, or has no names with one.
    join: Option<fn(&mut Config)>,
    /// Whether, so configured, it reads what only root (or a group like shadow) may read.
    pub(super) needs_root: fn(&Config) -> bool,
}

/// What `-O` means for a mechanism.
enum Meaning {
    /// Nothing: the original does not look at it either.
    Ignored,
    /// What it sets; without it the second one does.
    Sets(fn(&mut Config, &str) -> Result<(), String>, fn(&mut Config)),
}

/// All of them.
pub(super) const TABLE: &[Mechanism] = &[
    Mechanism { name: "sasldb", option: Meaning::Ignored, join: None, needs_root: always },
    Mechanism { name: "getpwent", option: Meaning::Ignored, join: None, needs_root: always },
    Mechanism {
        name: "kerberos5",
        option: Meaning::Sets(kerberos_file, |config| {
            let file = Path::new(SASLAUTHD_CONF);
            if config.kerberos5.original.is_none() && file.exists() {
                config.kerberos5.original = Some(file.into());
            }
            kerberos_environment(config, |name| std::env::var_os(name));
        }),
        // A realm is part of a principal, and is there once, whatever is joined.
        join: None,
        // /etc/krb5.keytab is root's.
        needs_root: always,
    },
    Mechanism {
        name: "pam",
        option: Meaning::Ignored,
        join: Some(|config| config.pam.user = UserForm::Claimed),
        needs_root: never,
    },
    Mechanism {
        name: "rimap",
        option: Meaning::Sets(imap_server, |_| ()),
        join: Some(|config| config.rimap.user = UserForm::Claimed),
        needs_root: never,
    },
    Mechanism { name: "shadow", option: Meaning::Ignored, join: None, needs_root: always },
    Mechanism {
        name: "ldap",
        option: Meaning::Sets(directory_file, |config| {
            // Where there is none, our own file has the settings.
            if config.ldap.original.is_none() && Path::new(SASLAUTHD_CONF).exists() {
                config.ldap.original = Some(SASLAUTHD_CONF.into());
            }
        }),
        join: Some(|config| config.ldap.user = ldap::UserForm::Full),
        // The original's file holds a password, and is root's.
        needs_root: |config| config.ldap.original.is_some(),
    },
    Mechanism {
        name: "httpform",
        option: Meaning::Sets(form_file, |config| {
            if config.httpform.target.is_none() && config.httpform.config.is_none() {
                config.httpform.config = Some(SASLAUTHD_CONF.into());
            }
        }),
        join: None,
        needs_root: |config| config.httpform.config.is_some(),
    },
    Mechanism { name: "store", option: Meaning::Ignored, join: None, needs_root: never },
];

fn always(_: &Config) -> bool {
    true
}

fn never(_: &Config) -> bool {
    false
}

/// The mechanism called `name`.
pub(super) fn find(name: &str) -> Option<&'static Mechanism> {
    TABLE.iter().find(|mechanism| mechanism.name == name)
}

/// Their names as `-v` lists them.
pub(super) fn names() -> String {
    let names: Vec<&str> = TABLE.iter().map(|mechanism| mechanism.name).collect();
    names.join(" ")
}

impl Mechanism {
    /// Puts `-O` in its place; gives a line for the log where it means nothing.
    pub(super) fn apply(
        &self,
        option: &OsStr,
        config: &mut Config,
    ) -> Result<Option<String>, String> {
        match self.option {
            Meaning::Ignored => Ok(Some(format!(
                "-O {}: the mechanism {} has no option, it is ignored",
                option.display(),
                self.name
            ))),
            Meaning::Sets(set, _) => {
                let text = option.to_str().ok_or("-O is not UTF-8")?;
                set(config, text).map(|()| None)
            }
        }
    }

    /// What holds without `-O`.
    pub(super) fn apply_nothing(&self, config: &mut Config) {
        if let Meaning::Sets(_, otherwise) = self.option {
            otherwise(config);
        }
    }

    /// What `-r` does: joins the realm where names are without one, and never doubles it.
    pub(super) fn join_realm(&self, config: &mut Config) {
        if let Some(join) = self.join {
            join(config);
        }
    }
}

/// `host` or `host/port`, the port a number or a name, as the original reads it. The
/// original sends passwords in clear wherever that is, so here it may, too.
fn imap_server(config: &mut Config, text: &str) -> Result<(), String> {
    let (host, port) = match text.split_once('/') {
        None => (text, None),
        Some((host, "imap")) => (host, Some(143)),
        Some((host, "imaps")) => (host, Some(993)),
        Some((host, port)) => {
            let number = port.parse().ok().filter(|port| *port != 0);
            let number = number.ok_or_else(|| format!("-O {text}: {port} is no port"))?;
            (host, Some(number))
        }
    };
    if host.is_empty() {
        return Err(format!("-O {text}: the host is missing"));
    }
    host.clone_into(&mut config.rimap.host);
    config.rimap.port = port;
    config.rimap.is_clear_allowed = true;
    Ok(())
}

fn form_file(config: &mut Config, text: &str) -> Result<(), String> {
    config.httpform.target = None;
    config.httpform.config = Some(text.into());
    Ok(())
}

fn kerberos_file(config: &mut Config, text: &str) -> Result<(), String> {
    config.kerberos5.original = Some(text.into());
    kerberos_environment(config, |name| std::env::var_os(name));
    Ok(())
}

/// What libkrb5 looks for in the environment, which units of saslauthd set.
fn kerberos_environment(config: &mut Config, variable: impl Fn(&str) -> Option<OsString>) {
    // A list of files is separated by colons; the first one has the last word.
    let first = |name: &str| {
        let value = variable(name)?.into_string().ok()?;
        let value = value.strip_prefix("FILE:").unwrap_or(&value);
        value.split(':').next().filter(|path| path.starts_with('/')).map(PathBuf::from)
    };
    if let Some(path) = first("KRB5_CONFIG") {
        config.kerberos5.krb5_conf = path;
    }
    if let Some(path) = first("KRB5_KTNAME") {
        config.kerberos5.keytab = path;
    }
}

fn directory_file(config: &mut Config, text: &str) -> Result<(), String> {
    config.ldap.original = Some(text.into());
    Ok(())
}

/// Where the original looks without `-O`.
const SASLAUTHD_CONF: &str = "/etc/saslauthd.conf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_of_rimap_is_a_host_and_perhaps_a_port() {
        let taken = |text: &str| {
            let mut config = Config::with_defaults("mx.example.test");
            let rimap = find("rimap").unwrap();
            let outcome = rimap.apply(OsStr::new(text), &mut config);
            outcome.map(|_| (config.rimap.host.clone(), config.rimap.effective_port()))
        };
        let pair = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(taken("imap.test"), pair("imap.test", 143));
        assert_eq!(taken("imap.test/imap"), pair("imap.test", 143));
        assert_eq!(taken("::1/1143"), pair("::1", 1143));
        for text in ["", "/143", "host/", "host/0", "host/x", "host/70000"] {
            assert!(taken(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kerberos5_heeds_its_environment_and_its_file() {
        let mut config = Config::with_defaults("mx.example.test");
        find("kerberos5").unwrap().apply(OsStr::new("/x.conf"), &mut config).unwrap();
        assert_eq!(config.kerberos5.original, Some("/x.conf".into()));
        let set = |name: &str| match name {
            "KRB5_CONFIG" => Some("/a/krb5.conf:/b/krb5.conf".into()),
            _ => Some("FILE:/a/keytab".into()),
        };
        kerberos_environment(&mut config, set);
        assert_eq!(config.kerberos5.krb5_conf, Path::new("/a/krb5.conf"));
        assert_eq!(config.kerberos5.keytab, Path::new("/a/keytab"));
        kerberos_environment(&mut config, |_| Some("MEMORY:x".into()));
        assert_eq!(config.kerberos5.keytab, Path::new("/a/keytab"), "of no use here");
    }

    #[test]
    fn httpform_reads_the_file_of_the_original() {
        let mut config = Config::with_defaults("mx.example.test");
        let httpform = find("httpform").unwrap();
        httpform.apply_nothing(&mut config);
        assert_eq!(config.httpform.config, Some("/etc/saslauthd.conf".into()));
        httpform.apply(OsStr::new("/x.conf"), &mut config).unwrap();
        assert_eq!(config.httpform.config, Some("/x.conf".into()));
    }
}
