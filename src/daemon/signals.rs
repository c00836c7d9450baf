//! The signals a service lives by: stop, and read the configuration again.
//!
//! For `authd`, the gate and `saslgate try`. `saslgate-pam` forks, has no
//! runtime, and reads its signals from a descriptor of its own.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What an administrator or the service manager wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: finish what runs, then end.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Listens for them. Made before a service says it is ready, so that none is missed.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Installs the handlers; needs the runtime.
    ///
    /// # Errors
    /// Those of `sigaction(2)`.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }
}
