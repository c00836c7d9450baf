//! Settings of the IMAP backend.

use std::path::PathBuf;
use std::time::Duration;

use crate::backend::pam::UserForm;

/// Which IMAP server is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name or address, without brackets; empty where none is named, and then the backend
    /// cannot start.
    pub host: String,
    /// Port; `None` is 993 for implicit TLS, 143 else.
    pub port: Option<u16>,
    /// How the connection becomes private.
    pub security: Security,
    /// Passwords may leave the host in clear.
    pub is_clear_allowed: bool,
    /// Authorities trusted for the certificate, PEM; `None`: those of the host.
    pub ca_file: Option<PathBuf>,
    /// Name the certificate must carry; `None`: that of the server.
    pub server_name: Option<String>,
    /// What the server gets as user name.
    pub user: UserForm,
    /// Deadline of one login, the wait for a connection included.
    pub timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Logins that may wait for one; more are refused as unavailable.
    pub max_waiting: usize,
}

/// How the connection becomes private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It does not.
    None,
    /// By STARTTLS, or there is no login.
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

impl Settings {
    /// The port to connect to.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        let usual = if self.security == Security::Implicit { 993 } else { 143 };
        self.port.unwrap_or(usual)
    }
}
