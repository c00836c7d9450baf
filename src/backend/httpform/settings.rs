//! Settings of the web form backend.

use std::path::PathBuf;
use std::time::Duration;

use super::target::Target;
use super::template::Template;

/// Which web application is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The original's file, which then says where and what; `None`: the two below do.
    pub config: Option<PathBuf>,
    /// Where the form goes; `None` where none is named.
    pub target: Option<Target>,
    /// The form.
    pub form: Template,
    /// Authorities trusted for the certificate, PEM; `None`: those of the host.
    pub ca_file: Option<PathBuf>,
    /// Deadline of one login, the wait for a connection included.
    pub timeout: Duration,
    /// Connections at once.
    pub max_connections: usize,
    /// Logins that may wait for one; more are refused as unavailable.
    pub max_waiting: usize,
}
