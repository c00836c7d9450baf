//! What a supervisor is given, by `daemon::pam` or by the supervisor before it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use super::settings::Settings;

/// What a supervisor is given.
pub struct Duties {
    /// How PAM is asked.
    pub settings: Settings,
    /// Where authd connects.
    pub listener: UnixListener,
    /// Uids that may connect; others are turned away.
    pub peers: Vec<u32>,
    /// Write end of a pipe that the parent reads: an error there means that the
    /// parent has gone, and then the supervisor drains.
    pub parent: Option<OwnedFd>,
    /// Whether somebody starts us again when we were killed.
    pub succession: Succession,
    /// Reads the settings again at SIGHUP, or gives the problems as text;
    /// `None`: they were given once and for all.
    pub reread: Option<Reread>,
}

/// See [`Duties::reread`].
pub type Reread = Rc<dyn Fn() -> Result<Settings, String>>;

/// Who follows a supervisor that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// Another, started by the service manager or by authd.
    Outside,
    /// A [standby](super::Standby) of our own: authd is not root any more.
    Standby,
}
