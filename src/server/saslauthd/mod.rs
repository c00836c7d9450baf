//! The saslauthd socket: accepts, reads one request, answers once.
//!
//! Called by `daemon`; the accept loop is `listen`'s, the bytes are
//! `wire::saslauthd`'s, the judgement is `auth::Authenticator`'s. Here is what
//! the protocol adds: deadlines on slow peers, the words of the original for
//! each outcome (`wording`), and one event for each request.
//!
//! A request that is there when its connection is accepted, and that can be
//! judged without waiting, is answered inside the accept loop.

mod guests;
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
pub use guests::Guests;
pub use settings::{ListenerSettings, Settings, UnavailableReply};

/// Serves the saslauthd protocol on one socket.
pub struct Server {
    /// Its name, which is the entrance of its logins; `None`: the default socket.
    name: Option<String>,
    authenticator: Arc<Authenticator>,
    manners: ArcSwap<Manners>,
    slots: Arc<Slots>,
}

/// How peers are treated; can change under running connections.
#[derive(Debug)]
struct Manners {
    request_timeout: Duration,
    unavailable: UnavailableReply,
    guests: Guests,
}

impl Manners {
    fn new(settings: &Settings, guests: Guests) -> Self {
        let (request_timeout, unavailable) = (settings.request_timeout, settings.unavailable);
        Self { request_timeout, unavailable, guests }
    }
}

impl Server {
    /// A server for the socket called `name` (`None`: the default one), which has
    /// `authenticator` judge what its `guests` send. Sockets share no limits: who
    /// fills one keeps nobody from the others.
    #[must_use]
    pub fn new(
        settings: &Settings,
        name: Option<String>,
        guests: Guests,
        authenticator: Arc<Authenticator>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            authenticator,
            manners: ArcSwap::from_pointee(Manners::new(settings, guests)),
            slots: Slots::new(
                settings.max_connections,
                NonZeroUsize::new(settings.max_connections_per_uid),
            ),
        })
    }

    /// Its name; `None`: the default socket.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Takes over what can change while it serves: the request timeout, the
    /// reply to an outage, and who may ask. The rest of `settings` needs a restart.
    pub fn reconfigure(&self, settings: &Settings, guests: Guests) {
        self.manners.store(Arc::new(Manners::new(settings, guests)));
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
