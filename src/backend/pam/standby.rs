//! The standby: a process that does nothing but wait for its supervisor to die,
//! and then takes its place.
//!
//! For the `saslgate-pam` of an authd that gave root up and cannot start another
//! one: the supervisor forks its own successor while it is root. The standby
//! reads a pipe whose other end only the supervisor holds, so that it hears of
//! every end, `kill -9` included. A standby that dies is reaped by its
//! supervisor, which forks another; one of the two is always there.
//!
//! Forked by `supervisor`, waited in by `daemon::pam`. Before the standby takes
//! over, the socket keeps its backlog, so requests wait instead of failing.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::warn;

use super::duties::Duties;

/// Pause before the duties are taken over: bounds what a supervisor costs that
/// dies as soon as it lives.
const PAUSE: Duration = Duration::from_millis(100);

/// The duties of a supervisor, and word of its end.
pub struct Standby {
    pub(super) duties: Duties,
    /// Reads end of file once the supervisor is no more.
    pub(super) alive: OwnedFd,
}

impl Standby {
    /// Waits for the end of the supervisor; gives its duties.
    #[must_use]
    pub fn take_over(self) -> Duties {
        let mut fds = [PollFd::new(self.alive.as_fd(), PollFlags::POLLIN)];
        while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
        thread::sleep(PAUSE);
        warn!("saslgate-pam was ended from outside: its standby takes over");
        self.duties
    }
}
