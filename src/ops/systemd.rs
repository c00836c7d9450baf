//! Talks to the service manager: readiness, reload, watchdog, inherited sockets.
//!
//! sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). Without a service
//! manager everything here does nothing.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Says that the service serves; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that this process is the service, where another one was started.
pub fn main_process() {
    notify(&[NotifyState::MainPid(std::process::id())]);
}

/// Says that the configuration is being read again. [`ready`] must follow, also after a failure.
pub fn reloading() {
    // Type=notify-reload wants the time with it (sd_notify(3)).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// Says that the service ends.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager does not listen: {error}");
    }
}

/// Pings the watchdog at half its interval until `stop` is cancelled; ends at
/// once if none is wanted. Each ping waits for a task of its own, so that a
/// runtime that no longer runs tasks is noticed and restarted.
pub async fn feed_watchdog(stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    let pause = (interval / 2).max(Duration::from_millis(1));
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        if tokio::spawn(async {}).await.is_ok() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// The sockets that the service manager opened for us.
pub struct InheritedSockets {
    sockets: ListenFd,
    /// `FileDescriptorName=` of each, in order; shorter or empty where none were given.
    names: Vec<String>,
    /// How many have been taken.
    taken: usize,
}

impl InheritedSockets {
    /// Takes them from the environment (`LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`), once,
    /// and before the process has threads.
    #[must_use]
    pub fn from_environment() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        Self { names, sockets: ListenFd::from_env(), taken: 0 }
    }

    /// Takes the Unix stream listener called `name`; where a single socket was
    /// given, that one, whatever it is called.
    ///
    /// # Errors
    /// If the socket is not a Unix stream listener.
    pub fn take_unix(&mut self, name: &str) -> io::Result<Option<UnixListener>> {
        let only = (self.sockets.len() == 1).then_some(0);
        self.take(only.or_else(|| self.place(name)))
    }

    /// As [`take_unix`](Self::take_unix), but only one that is called `name`.
    ///
    /// # Errors
    /// If the socket is not a Unix stream listener.
    pub fn take_unix_called(&mut self, name: &str) -> io::Result<Option<UnixListener>> {
        self.take(self.place(name))
    }

    /// Takes every TCP listener with its name, in order; what is no TCP listener is left.
    ///
    /// # Errors
    /// If a socket cannot be made non-blocking.
    pub fn take_tcp(&mut self) -> io::Result<Vec<(String, TcpListener)>> {
        let mut taken = Vec::new();
        for place in 0..self.sockets.len() {
            let Ok(Some(socket)) = self.sockets.take_tcp_listener(place) else { continue };
            socket.set_nonblocking(true)?;
            self.taken += 1;
            taken.push((self.names.get(place).cloned().unwrap_or_default(), socket));
        }
        Ok(taken)
    }

    /// How many were given and not taken yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.sockets.len() - self.taken
    }

    fn take(&mut self, place: Option<usize>) -> io::Result<Option<UnixListener>> {
        let Some(place) = place else { return Ok(None) };
        let socket = self.sockets.take_unix_listener(place)?;
        self.taken += usize::from(socket.is_some());
        Ok(socket)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().take(self.sockets.len()).position(|known| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_nothing_without_a_service_manager() {
        let mut none = InheritedSockets::from_environment();
        assert!(none.take_unix("saslauthd").unwrap().is_none());
        assert_eq!(none.left(), 0);
    }
}
