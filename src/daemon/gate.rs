//! Composes the gate: configuration to listeners, certificate, authenticator, backend, tasks.
//!
//! [`start`] is the gate as tasks of the running runtime, for the service and
//! for `saslgate try`; [`run`] is the service: signals, reload, the service manager.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Mechanisms;
use crate::backend::remote::Saslauthd;
use crate::config::Config;
use crate::gate::driver::{self, Gate};
use crate::gate::probe::{self, HealthBoard};
use crate::gate::relay::Route;
use crate::gate::session::Rules;
use crate::gate::{AuthSource, BackendTls, ListenerSettings, Settings, TlsMode};
use crate::listen::{Slots, bind_tcp, serve_tcp};
use crate::tls::{ClientTls, ServerTls, TlsError};

/// Why the gate cannot start or reload.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A gate without a certificate is no gate.
    #[error(
        "the gate needs a certificate: set tls.certificate and tls.key in the configuration file"
    )]
    NoCertificate,
    /// The certificate, the key or the CA file.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; another program has this port (see: ss -ltnp): \
             move the MTA's own submission port to loopback first"
        }
        std::io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE or an inherited socket"
        }
        _ => "",
    }
}

/// A gate at work.
pub struct Running {
    /// The bound addresses, in the order of the configuration.
    pub listeners: Vec<SocketAddr>,
    shared: Arc<ArcSwap<Gate>>,
    tasks: TaskTracker,
    /// Ends the probe; a reload starts another.
    probing: std::sync::Mutex<CancellationToken>,
    stop: CancellationToken,
}

/// Binds and serves, as tasks, until `stop` is cancelled.
///
/// # Errors
/// [`StartError`]; then nothing is left behind.
pub async fn start(config: &Config, stop: CancellationToken) -> Result<Running, StartError> {
    let sockets = config.gate.listeners.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    start_on(config, sockets, stop)
}

/// A listening socket and how TLS starts on it.
pub type Listening = (std::net::TcpListener, TlsMode);

/// Binds one listener of the configuration.
///
/// # Errors
/// [`StartError::Bind`].
pub fn bind(listener: &ListenerSettings) -> Result<Listening, StartError> {
    let address = listener.address;
    let socket = bind_tcp(address).map_err(|source| StartError::Bind { address, source })?;
    Ok((socket, listener.tls))
}

/// Serves on sockets that are bound already: by us, or by the service manager.
///
/// # Errors
/// [`StartError`].
pub fn start_on(
    config: &Config,
    sockets: Vec<Listening>,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    let tls_settings = config.tls.as_ref().ok_or(StartError::NoCertificate)?;
    let tls = ServerTls::load(tls_settings)?;
    warn_about(&tls);
    let health = HealthBoard::default();
    let gate = compose(&config.gate, tls, health)?;
    let limits = &config.gate.limits;
    let slots = Slots::new(limits.sessions, NonZeroUsize::new(limits.sessions_per_address));
    let shared = Arc::new(ArcSwap::from_pointee(gate));
    let tasks = TaskTracker::new();
    let mut listeners = Vec::new();
    for (socket, mode) in sockets {
        let address = socket.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let listener =
            TcpListener::from_std(socket).map_err(|source| StartError::Bind { address, source })?;
        listeners.push(address);
        let (shared, stop_session) = (Arc::clone(&shared), stop.clone());
        let serve = move |stream, peer, admission| {
            driver::serve(shared.load_full(), stream, peer, mode, admission, stop_session.clone())
        };
        tasks.spawn(serve_tcp(listener, Arc::clone(&slots), stop.clone(), tasks.clone(), serve));
    }
    let running = Running { listeners, shared, tasks, probing: Default::default(), stop };
    running.probe();
    Ok(running)
}

impl Running {
    /// Takes over what a new configuration changes: certificate, limits on
    /// sessions to come, authenticator, backend. Listeners stay as they are.
    ///
    /// # Errors
    /// [`StartError`]: nothing was changed.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let tls_settings = config.tls.as_ref().ok_or(StartError::NoCertificate)?;
        let old = self.shared.load_full();
        // Everything that can fail comes before anything that changes.
        let gate = compose(&config.gate, old.tls.clone(), old.health.clone())?;
        old.tls.reload(tls_settings)?;
        warn_about(&old.tls);
        self.shared.store(Arc::new(gate));
        self.probe();
        Ok(())
    }

    /// Listener addresses that a new configuration names and this gate does not have.
    #[must_use]
    pub fn needs_restart(&self, config: &Config) -> bool {
        let old = &self.shared.load().settings;
        old.listeners != config.gate.listeners
            || old.limits.sessions != config.gate.limits.sessions
            || old.limits.sessions_per_address != config.gate.limits.sessions_per_address
    }

    /// Waits until the backend was asked once, so that the first client gets the full offer.
    pub async fn backend_known(&self) {
        let health = self.shared.load().health.clone();
        health.known().await;
    }

    /// Waits for the sessions to end, `limit` at most. `stop` must have been cancelled.
    pub async fn drain(self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} sessions were cut off at the end of the drain", self.tasks.len());
        }
    }

    fn probe(&self) {
        let token = self.stop.child_token();
        let mut probing = self.probing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::replace(&mut *probing, token.clone()).cancel();
        let gate = self.shared.load_full();
        self.tasks.spawn(probe::run(Arc::clone(&gate.route), gate.health.clone(), token));
    }
}

fn compose(settings: &Settings, tls: ServerTls, health: HealthBoard) -> Result<Gate, StartError> {
    let mechanisms: Arc<dyn Mechanisms> = match &settings.auth {
        AuthSource::Saslauthd(path) => {
            Arc::new(Saslauthd::new(path.clone(), settings.timeouts.auth))
        }
    };
    let served = mechanisms.offered();
    let offered: Vec<String> =
        settings.mechanisms.iter().filter(|name| served.contains(name)).cloned().collect();
    let rules = |tls| {
        Arc::new(Rules {
            hostname: settings.hostname.clone(),
            mechanisms: offered.clone(),
            tls,
            limits: settings.limits.clone(),
        })
    };
    Ok(Gate {
        settings: settings.clone(),
        tls,
        mechanisms,
        route: Arc::new(route(settings)?),
        health,
        starttls_rules: rules(TlsMode::Starttls),
        implicit_rules: rules(TlsMode::Implicit),
    })
}

fn route(settings: &Settings) -> Result<Route, StartError> {
    let backend = settings.backend.clone();
    let tls = match backend.tls {
        BackendTls::None => None,
        BackendTls::Starttls => {
            let host = backend.server_name.as_deref().unwrap_or_else(|| host_of(&backend.address));
            Some(ClientTls::load(backend.ca_file.as_deref(), host)?)
        }
    };
    Ok(Route {
        settings: backend,
        tls,
        hostname: settings.hostname.clone(),
        timeouts: settings.timeouts.clone(),
    })
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

fn warn_about(tls: &ServerTls) {
    if let Some(problem) = tls.warning(SystemTime::now()) {
        tracing::warn!("{problem}");
    }
}
