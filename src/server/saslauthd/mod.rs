//! The saslauthd socket: accepts, reads one request, answers once.
//!
//! Called by `daemon`; the accept loop is `listen`'s, the bytes are
//! `wire::saslauthd`'s, the judgement is `auth::Authenticator`'s. Here is what
//! the protocol adds: deadlines on slow peers, the words of the original for
//! each outcome (`wording`), and one event for each request.
//!
//! A request that is there when its connection is accepted, and that can be
//! judged without waiting, is answered inside the accept loop.

mod session;
mod settings;
#[cfg(test)]
mod tests;
mod wording;

use std::io;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Authenticator;
use crate::listen::{Permit, Slots, UnixSocket, serve_unix};
pub use settings::{Settings, UnavailableReply};

/// Serves the saslauthd protocol.
pub struct Server {
    authenticator: Arc<Authenticator>,
    manners: ArcSwap<Manners>,
    slots: Arc<Slots>,
}

/// How peers are treated; can change under running connections.
#[derive(Debug, Clone, Copy)]
struct Manners {
    request_timeout: Duration,
    unavailable: UnavailableReply,
}

impl From<&Settings> for Manners {
    fn from(settings: &Settings) -> Self {
        Self { request_timeout: settings.request_timeout, unavailable: settings.unavailable }
    }
}

impl Server {
    /// A server that has `authenticator` judge what it reads.
    #[must_use]
    pub fn new(settings: &Settings, authenticator: Arc<Authenticator>) -> Arc<Self> {
        Arc::new(Self {
            authenticator,
            manners: ArcSwap::from_pointee(settings.into()),
            slots: Slots::new(
                settings.max_connections,
                NonZeroUsize::new(settings.max_connections_per_uid),
            ),
        })
    }

    /// Takes over what can change while it serves: the request timeout and the
    /// reply to an outage. The rest of `settings` needs a restart.
    pub fn reconfigure(&self, settings: &Settings) {
        self.manners.store(Arc::new(settings.into()));
    }

    /// Accepts on `socket` until `stop` is cancelled; what has to wait runs as tasks of `tasks`.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    pub async fn serve(
        self: Arc<Self>,
        socket: UnixSocket,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> io::Result<()> {
        let slots = Arc::clone(&self.slots);
        let begin = move |stream: UnixStream, permit: Permit| session::begin(&self, stream, permit);
        serve_unix(socket, slots, stop, tasks, begin).await
    }
}
