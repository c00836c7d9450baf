//! Settings of the Kerberos backend.

use std::path::PathBuf;
use std::time::Duration;

/// How passwords are checked against a KDC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The original's file, which gives keytab, service and server name; `None`: they stand here.
    pub original: Option<PathBuf>,
    /// The file that says where the KDCs are.
    pub krb5_conf: PathBuf,
    /// The file with the key of this host.
    pub keytab: PathBuf,
    /// First part of the principal whose key is in the keytab: `host`.
    pub service: String,
    /// Second part of it; `None`: the full name of this host.
    pub server_name: Option<String>,
    /// Realm of logins that name none; `None`: the default realm of `krb5_conf`.
    pub realm: Option<String>,
    /// Threads that read files and make keys of passwords; 0 is one a core.
    pub threads: usize,
    /// Logins under way at once; more are refused as unavailable.
    pub max_waiting: usize,
    /// Deadline of one login.
    pub timeout: Duration,
}
