//! Settings of PAM verification, read by authd and by saslgate-pam.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::auth::{Attempt, RealmSource};

/// How PAM is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Socket of a running saslgate-pam; `None`: authd starts one itself.
    pub socket: Option<PathBuf>,
    /// PAM services that may be asked for, lower case. A client names the
    /// service, so `su` or `chsh` (pam_rootok) must never be in here.
    pub services: Vec<String>,
    /// What PAM gets as user name.
    pub user: UserForm,
    /// Deadline of one request, waiting for a worker included.
    pub timeout: Duration,
    /// Worker processes at most.
    pub max_workers: usize,
    /// Requests that may wait for a worker; more are refused as unavailable.
    pub max_waiting: usize,
    /// A worker that had nothing to do for this long ends.
    pub idle_timeout: Duration,
    /// A worker is replaced after this many requests: modules leak.
    pub requests_per_worker: u32,
    /// Directory of service files instead of `/etc/pam.d` (`pam_start_confdir`).
    pub service_dir: Option<PathBuf>,
    /// Files that modules decide by: a change of one ends all logins that are
    /// remembered of PAM. Read by authd alone.
    pub watched_files: Vec<PathBuf>,
}

impl Settings {
    /// All that a change of ends what is remembered: the watched files, and
    /// the directory of the service files.
    pub(super) fn rests_on(&self) -> Vec<PathBuf> {
        let services = self.service_dir.as_deref().unwrap_or(Path::new("/etc/pam.d"));
        let mut paths = self.watched_files.clone();
        paths.push(services.to_owned());
        paths
    }
}

/// What PAM, or an IMAP server, gets as user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserForm {
    /// The part before the `@`, as the original saslauthd did.
    Local,
    /// `user@realm`.
    Full,
    /// `user@realm` where the login or the realm field named a realm, else `user`,
    /// as `saslauthd -r` did.
    Claimed,
}

impl UserForm {
    /// The name of whom `attempt` claims, in this form.
    #[must_use]
    pub fn name_of(self, attempt: &Attempt) -> String {
        match (self, attempt.realm) {
            (Self::Local, _) | (Self::Claimed, RealmSource::Default) => {
                attempt.identity.user().to_owned()
            }
            (Self::Full | Self::Claimed, _) => attempt.identity.to_string(),
        }
    }
}
