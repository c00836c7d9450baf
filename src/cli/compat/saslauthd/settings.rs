//! From flags to a configuration: flags win, the file gives the rest.
//!
//! Called at start and at every reload. What has no meaning any more is
//! accepted and said, as a note for the log.

use std::time::Duration;

use super::flags::Flags;
use super::mechanisms::{self, Mechanism};
use crate::config::Config;

/// A configuration, and what the administrator should know about the flags.
#[derive(Debug, PartialEq)]
pub(super) struct Settled {
    pub(super) config: Config,
    /// Lines for the log.
    pub(super) notes: Vec<String>,
}

/// Applies `flags` to what the file says.
///
/// # Errors
/// The text of the original: an unknown mechanism, or one that lacks its option.
pub(super) fn settle(flags: &Flags, file: Config) -> Result<Settled, String> {
    let chosen = chosen(flags)?;
    let mut settled = Settled { config: file, notes: Vec::new() };
    settled.config.auth.backends = flags.mechanisms.clone();
    if let Some(directory) = &flags.directory {
        settled.config.saslauthd.socket = directory.join("mux");
    }
    for mechanism in &chosen {
        settled.take(flags, mechanism)?;
    }
    settled.stay_root_for(&chosen);
    settled.count(flags);
    settled.remember(flags);
    if flags.is_without_accept_lock {
        settled.note("-l: there is no accept lock that it could turn off");
    }
    if flags.is_verbose {
        settled.config.log.level = crate::ops::log::Level::Debug;
    }
    Ok(settled)
}

fn chosen(flags: &Flags) -> Result<Vec<&'static Mechanism>, String> {
    let find = |name: &String| {
        mechanisms::find(name).ok_or_else(|| format!("unknown authentication mechanism: {name}"))
    };
    flags.mechanisms.iter().map(find).collect()
}

impl Settled {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn take(&mut self, flags: &Flags, mechanism: &Mechanism) -> Result<(), String> {
        if flags.joins_realm {
            mechanism.join_realm(&mut self.config);
        }
        if flags.option.is_none() {
            mechanism.apply_nothing(&mut self.config);
        }
        if let Some(option) = &flags.option {
            let note = mechanism.apply(option, &mut self.config).map_err(|why| {
                format!("failed to initialize mechanism {}: {why}", mechanism.name)
            })?;
            self.notes.extend(note);
        }
        Ok(())
    }

    /// A mechanism that reads what only root may read would fail for all users.
    /// The file that `make install` puts there has an `authd.user`, and the
    /// original's files stay as they are. The store is that account's, and
    /// nobody else may open it: beside it the account must be let in by group.
    fn stay_root_for(&mut self, chosen: &[&Mechanism]) {
        if chosen.iter().any(|mechanism| mechanism.name == "store") {
            return;
        }
        let needs_root = |mechanism: &&&Mechanism| (mechanism.needs_root)(&self.config);
        let Some(needy) = chosen.iter().find(needs_root) else { return };
        if let Some(user) = self.config.authd_user.take() {
            let name = needy.name;
            self.note(format!(
                "-a {name} reads what only root may read: staying as started, not becoming {user} (authd.user)"
            ));
        }
    }

    /// `-n`: there is no pool that it could be the size of. Its nearest meaning
    /// is how many PAM conversations may run at once; fewer than usual would
    /// only bring back the waiting.
    fn count(&mut self, flags: &Flags) {
        let Some(wanted) = flags.processes else { return };
        let usual = self.config.pam.max_workers;
        let wanted_workers = usize::try_from(wanted).unwrap_or(usize::MAX).min(MOST_WORKERS);
        self.config.pam.max_workers = usual.max(wanted_workers);
        let workers = self.config.pam.max_workers;
        self.note(format!(
            "-n {wanted}: there is no fixed pool of processes; up to {workers} PAM workers are \
             started when they are needed (pam.max_workers)"
        ));
    }

    /// `-c`, `-s`, `-t`: the cache. Without `-t` it holds as long as the file says, which is
    /// minutes: eight hours, as there, is how long an old password would stay good with PAM.
    fn remember(&mut self, flags: &Flags) {
        let cache = &mut self.config.auth.cache;
        cache.enabled |= flags.is_caching;
        if let Some(kib) = flags.cache_kib {
            let bytes = u64::try_from(kib).unwrap_or(u64::MAX).saturating_mul(1024);
            let entries = usize::try_from(bytes / BUCKET_BYTES).unwrap_or(usize::MAX);
            cache.size = entries.clamp(1, MOST_ENTRIES);
        }
        if let Some(seconds) = flags.cache_seconds {
            let wanted = match u64::try_from(seconds) {
                Ok(seconds) => Duration::from_secs(seconds),
                // For ever, as the original takes it.
                Err(_) => Duration::MAX,
            };
            cache.ttl = wanted.min(LONGEST);
            if wanted > LONGEST {
                self.note(format!("-t {seconds}: logins are remembered for a day at most"));
            }
        }
    }
}

/// As the key `pam.max_workers` has it.
const MOST_WORKERS: usize = 1024;

/// What a login takes in the original's table; `-s` counts in KiB of those.
const BUCKET_BYTES: u64 = 96;

/// As the keys `cache.size` and `cache.ttl` have it.
const MOST_ENTRIES: usize = 10_000_000;
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::super::flags::{self, Wish};
    use super::*;
    use crate::backend::pam::UserForm;

    fn settled(line: &str) -> Result<Settled, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        let Ok(Wish::Serve(flags)) = flags::parse("saslauthd", words) else { panic!("{line}") };
        settle(&flags, Config::with_defaults("mx.example.org"))
    }

    #[test]
    fn flags_win_and_the_file_gives_the_rest() {
        let usual = Config::with_defaults("mx.example.org");
        let plain = settled("-a pam").unwrap();
        assert_eq!(plain, Settled { config: usual.clone(), notes: Vec::new() });
        let config = settled("-a store,pam -m /srv/sasl -r -V").unwrap().config;
        assert_eq!(config.auth.backends, ["store", "pam"]);
        assert_eq!(config.saslauthd.socket, PathBuf::from("/srv/sasl/mux"));
        assert_eq!(config.pam.user, UserForm::Claimed);
        assert_eq!(config.store, usual.store);
    }

    #[test]
    fn a_number_of_processes_never_makes_fewer_workers() {
        let usual = Config::with_defaults("mx.example.org").pam.max_workers;
        for (given, workers) in [("5", usual), ("0", usual), ("500", 500), ("99999", 1024)] {
            let settled = settled(&format!("-a pam -n {given}")).unwrap();
            assert_eq!(settled.config.pam.max_workers, workers, "-n {given}");
            assert_eq!(settled.notes.len(), 1);
            assert!(settled.notes[0].starts_with(&format!("-n {given}: ")), "{:?}", settled.notes);
        }
    }

    #[test]
    fn the_cache_is_as_large_and_as_old_as_that_of_the_original() {
        let cache = |line: &str| settled(line).unwrap().config.auth.cache;
        assert!(!cache("-a pam -s 1024 -t 60").enabled);
        assert!(cache("-a pam -c").enabled);
        assert_eq!(cache("-a pam -c -s 96 -t 60").size, 1024);
        assert_eq!(cache("-a pam -c -s -1").size, MOST_ENTRIES);
        assert_eq!(cache("-a pam -c -t 60").ttl, Duration::from_secs(60));
        assert_eq!(cache("-a pam -c -t -5").ttl, LONGEST);
        assert_eq!(settled("-a pam -c -t 90000").unwrap().notes.len(), 1);
    }

    #[test]
    fn what_has_no_meaning_is_said_once() {
        let notes = settled("-a pam -l -O x").unwrap().notes;
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn the_option_of_a_directory_is_the_originals_file() {
        let config = settled("-r -a ldap -O /etc/other.conf").unwrap().config;
        assert_eq!(config.ldap.original, Some(PathBuf::from("/etc/other.conf")));
        assert_eq!(config.ldap.user, crate::backend::ldap::UserForm::Full);
    }

    /// `make install` puts a file with `authd.user` there; the files of the original stay root's.
    #[test]
    fn who_reads_what_only_root_may_read_stays_root() {
        let user = |line: &str| {
            let words = line.split_whitespace().map(OsString::from).collect();
            let Ok(Wish::Serve(flags)) = flags::parse("saslauthd", words) else { panic!("{line}") };
            let mut file = Config::with_defaults("mx.example.org");
            file.authd_user = Some("saslgate".to_owned());
            let settled = settle(&flags, file).unwrap();
            let is_said = settled
                .notes
                .iter()
                .any(|note| note.contains("not becoming saslgate (authd.user)"));
            assert_eq!(is_said, settled.config.authd_user.is_none(), "{line}");
            settled.config.authd_user
        };
        for needy in
            ["sasldb", "shadow", "getpwent", "kerberos5", "ldap -O /x", "httpform", "pam,sasldb"]
        {
            assert_eq!(user(&format!("-a {needy}")), None, "{needy}");
        }
        for content in ["pam", "store", "rimap -O localhost", "store,sasldb"] {
            assert!(user(&format!("-a {content}")).is_some(), "{content}");
        }
    }

    #[test]
    fn an_unknown_mechanism_is_named_as_by_the_original() {
        let error = settled("-a pam,nosuch").unwrap_err();
        assert_eq!(error, "unknown authentication mechanism: nosuch");
    }
}
