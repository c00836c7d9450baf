//! What an accept error means: the peer's doing, ours, or the host's.
//!
//! For both accept loops. No accept error ends a service: one that would return
//! at once is waited out, and said once.

use std::io;
use std::time::Duration;

/// How long accepting pauses when the host is out of descriptors or memory.
/// Without a pause the loop would spin: the connection stays in the backlog.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// Who is at fault for a failed accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The peer was gone before we looked: nothing happened.
    Peer,
    /// Out of descriptors or memory: an administrator must raise a limit.
    Exhausted,
    /// Anything else, such as a socket that was shut down: said, and tried again.
    Other,
}

/// Sorts an error of `accept(2)`.
pub(super) fn fault(error: &io::Error) -> Fault {
    match error.raw_os_error() {
        // accept(2): pending network errors of the new socket are passed as
        // its own and are to be treated like EAGAIN.
        Some(
            libc::ECONNABORTED
            | libc::EPROTO
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::EINTR
            | libc::EPERM,
        ) => Fault::Peer,
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Fault::Exhausted,
        _ => Fault::Other,
    }
}

/// Logs accept errors without letting the network fill the log: what lasts is
/// said once, and once more when it is over.
#[derive(Default)]
pub(super) struct Complaints {
    is_broken: bool,
}

impl Complaints {
    /// Notes a failed accept on `place`, and waits where going on at once would spin.
    pub(super) async fn note(&mut self, place: &str, error: &io::Error) {
        let advice = match fault(error) {
            Fault::Peer => {
                tracing::debug!("accept on {place}: {error}");
                return;
            }
            Fault::Exhausted => {
                "; new connections wait: raise LimitNOFILE or lower the limit on sessions"
            }
            Fault::Other => "",
        };
        if !std::mem::replace(&mut self.is_broken, true) {
            tracing::error!("accept on {place}: {error}{advice}");
        }
        tokio::time::sleep(PAUSE).await;
    }

    /// Notes a connection that was accepted on `place`.
    pub(super) fn recovered(&mut self, place: &str) {
        if std::mem::take(&mut self.is_broken) {
            tracing::info!("accept on {place}: works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_peers_fault_from_ours() {
        let sorted = |code| fault(&io::Error::from_raw_os_error(code));
        assert_eq!(sorted(libc::ECONNABORTED), Fault::Peer);
        assert_eq!(sorted(libc::EMFILE), Fault::Exhausted);
        assert_eq!(sorted(libc::ENFILE), Fault::Exhausted);
        assert_eq!(sorted(libc::ENOMEM), Fault::Exhausted);
        assert_eq!(sorted(libc::EBADF), Fault::Other);
    }

    #[test]
    fn says_what_lasts_once_and_when_it_is_over() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let logged = crate::ops::log::capture::journal(crate::ops::log::Level::Info, || {
            let mut complaints = Complaints::default();
            for code in [libc::ECONNABORTED, libc::EMFILE, libc::EMFILE] {
                let error = io::Error::from_raw_os_error(code);
                runtime.block_on(complaints.note("mux", &error));
            }
            complaints.recovered("mux");
            complaints.recovered("mux");
        });
        let lines: Vec<&str> = logged.lines().collect();
        assert!(lines[0].starts_with("<3>accept on mux: Too many open files"), "{logged}");
        assert_eq!(lines[1..], ["<6>accept on mux: works again"]);
    }
}
