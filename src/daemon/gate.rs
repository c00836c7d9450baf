//! Composes the gate: configuration to listeners, certificate, authenticator, backend, tasks.
//!
//! [`start`] is the gate as tasks of the running runtime, for the service and
//! for `saslgate try`; [`run`] is the service: signals, reload, the service manager.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate_policy::{self, DeskError};
use super::gate_windows::Windows;
use super::signals::Signals;
use super::{certificates, service};
use crate::auth::Mechanisms;
use crate::backend::remote::Saslauthd;
use crate::config::Config;
use crate::gate::arrival::{self, Arrival};
use crate::gate::backends::Backend;
use crate::gate::driver::{self, Gate, Stop};
use crate::gate::names::NamesError;
use crate::gate::probe;
use crate::gate::relay::Route;
use crate::gate::session::Rules;
use crate::gate::transcript::{TranscriptError, Transcripts};
use crate::gate::{
    AuthSource, BackendSettings, BackendTls, ControlSettings, IdentityWay, Limits,
    ListenerSettings, OwnLimits, Settings,
};
use crate::listen::{Slots, bind_tcp, serve_tcp};
use crate::ops::log;
use crate::ops::systemd::InheritedSockets;
use crate::server::metrics::{self, MetricsError};
use crate::sys::limits;
use crate::sys::password_file::{self, PasswordFileError};
use crate::sys::privileges::{self, DropError};
use crate::sys::users::{self, UserError};
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
    /// A file of `[policy]`.
    #[error(transparent)]
    Policy(#[from] DeskError),
    /// `policy.dns`.
    #[error("policy.dns: {0}")]
    Names(#[from] NamesError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", advice(source))]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The sockets that the service manager gave us.
    #[error("a socket inherited from the service manager is of no use: {0}")]
    Inherited(std::io::Error),
    /// The service manager gave us a socket that is nobody's.
    #[error(
        "the socket {address} (FileDescriptorName={name}) is inherited from the service manager, \
         and no [[gate.listener]] has this address, or names it in `socket`"
    )]
    NoListener {
        /// Its name.
        name: String,
        /// Where it listens.
        address: String,
    },
    /// `login_password_file` of a backend.
    #[error(transparent)]
    Password(#[from] PasswordFileError),
    /// `gate.user`.
    #[error("gate.user: {0}")]
    Account(#[from] UserError),
    /// `gate.transcript`, or that of a listener.
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    /// `metrics.gate`.
    #[error("metrics.gate: {0}")]
    Metrics(#[from] MetricsError),
    /// Root would not go.
    #[error(transparent)]
    Privileges(#[from] DropError),
    /// Signal handlers cannot be installed.
    #[error("cannot install signal handlers: {0}")]
    Signals(std::io::Error),
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
    bound: Bound,
    tasks: TaskTracker,
    /// Tells the keeper of the certificates that others were loaded.
    certificates: Arc<Notify>,
    /// Ends the probe; a reload starts another.
    probing: std::sync::Mutex<CancellationToken>,
    stop: Stop,
}

/// What only a restart changes.
#[derive(Debug)]
struct Bound {
    listeners: Vec<(SocketAddr, Option<String>)>,
    /// Places of listeners that count for themselves.
    apart: Vec<Option<(usize, usize)>>,
    sessions: usize,
    sessions_per_address: usize,
    user: Option<String>,
    watch_config: bool,
    control: ControlSettings,
    metrics: metrics::Settings,
    log: log::Settings,
}

impl Bound {
    fn of(config: &Config) -> Self {
        let (limits, listeners) = (&config.gate.limits, &config.gate.listeners);
        let apart = |listener: &ListenerSettings| {
            let own = listener.limits.over(limits);
            listener.limits.counts_apart().then_some((own.sessions, own.sessions_per_address))
        };
        Self {
            listeners: listeners.iter().map(|it| (it.address, it.socket.clone())).collect(),
            apart: listeners.iter().map(apart).collect(),
            sessions: limits.sessions,
            sessions_per_address: limits.sessions_per_address,
            user: config.gate_user.clone(),
            watch_config: config.gate_watch_config,
            control: config.gate.control.clone(),
            metrics: config.metrics.clone(),
            log: config.log,
        }
    }

    /// The settings in which `new` differs.
    fn changes(&self, new: &Self) -> Vec<&'static str> {
        let per_address = self.sessions_per_address != new.sessions_per_address;
        let changes = [
            ("the addresses of [[gate.listener]]", self.listeners != new.listeners),
            ("max_sessions of [[gate.listener]]", self.apart != new.apart),
            ("gate.max_sessions", self.sessions != new.sessions),
            ("gate.max_sessions_per_address", per_address),
            ("gate.user", self.user != new.user),
            ("gate.watch_config", self.watch_config != new.watch_config),
            ("gate.control and gate.control_group", self.control != new.control),
            ("[metrics]", self.metrics != new.metrics),
            ("[log]", self.log != new.log),
        ];
        changes.into_iter().filter_map(|(name, has_changed)| has_changed.then_some(name)).collect()
    }
}

/// What only root may have, perhaps: ports below 1024, the private key.
pub struct Prepared {
    /// In the order of the configuration.
    sockets: Vec<std::net::TcpListener>,
    tls: ServerTls,
    windows: Windows,
}

/// Binds the listeners, reads certificate and key, and then becomes the
/// account in `gate.user`, if we are root and it names one. Call it before the
/// process has threads.
///
/// # Errors
/// [`StartError`].
pub fn prepare(config: &Config, inherited: &mut InheritedSockets) -> Result<Prepared, StartError> {
    let prepared = open(config, inherited.take_tcp().map_err(StartError::Inherited)?)?;
    let sessions = most_sessions(&config.gate);
    // A session is the client's connection and the backend's; beside them, listeners and logs.
    let needed = 2 * sessions as u64 + 64;
    if limits::raise_open_files().is_some_and(|limit| limit < needed) {
        tracing::warn!(
            "gate.max_sessions, with those of listeners, is {sessions}, more than the limit on \
             open files allows: raise LimitNOFILE"
        );
    }
    if config.gate_user.is_some() && !privileges::is_root() {
        tracing::warn!(
            "gate.user is set, but only root can become somebody else: staying as we are"
        );
    }
    if let Some(name) = config.gate_user.as_deref().filter(|_| privileges::is_root()) {
        privileges::become_account(&users::account(name)?)?;
    }
    Ok(prepared)
}

fn open(
    config: &Config,
    mut inherited: Vec<(String, std::net::TcpListener)>,
) -> Result<Prepared, StartError> {
    let settings = config.tls.as_ref().ok_or(StartError::NoCertificate)?;
    let tls = ServerTls::load(settings)?;
    let socket = |listener| match take(listener, &mut inherited) {
        Some(socket) => Ok(socket),
        None => bind(listener),
    };
    let sockets = config.gate.listeners.iter().map(socket).collect::<Result<_, _>>()?;
    if let Some((name, socket)) = inherited.first() {
        let address = socket.local_addr().map_or_else(|_| "?".to_owned(), |at| at.to_string());
        return Err(StartError::NoListener { name: name.clone(), address });
    }
    Ok(Prepared { sockets, tls, windows: Windows::bind(config)? })
}

/// The inherited socket of a listener: the one of its name where it asks for one,
/// else the one of its address.
fn take(
    listener: &ListenerSettings,
    inherited: &mut Vec<(String, std::net::TcpListener)>,
) -> Option<std::net::TcpListener> {
    let is_its = |(name, socket): &(String, std::net::TcpListener)| match &listener.socket {
        Some(wanted) => name == wanted,
        None => socket.local_addr().is_ok_and(|address| address == listener.address),
    };
    let place = inherited.iter().position(is_its)?;
    Some(inherited.remove(place).1)
}

/// Sessions that there may be at once on all listeners together.
fn most_sessions(settings: &Settings) -> usize {
    let own = |limits: &OwnLimits| limits.over(&settings.limits).sessions;
    let apart = settings.listeners.iter().map(|listener| &listener.limits);
    let apart: usize = apart.filter(|limits| limits.counts_apart()).map(own).sum();
    settings.limits.sessions + apart
}

fn bind(listener: &ListenerSettings) -> Result<std::net::TcpListener, StartError> {
    let address = listener.address;
    bind_tcp(address).map_err(|source| StartError::Bind { address, source })
}

/// Binds and serves, as tasks and as whoever we are, until `stop` is cancelled.
///
/// # Errors
/// [`StartError`]; then nothing is left behind.
pub fn start(config: &Config, stop: CancellationToken) -> Result<Running, StartError> {
    serve(config, open(config, Vec::new())?, stop)
}

fn serve(
    config: &Config,
    prepared: Prepared,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    let Prepared { sockets, tls, windows } = prepared;
    let gate = compose(config, tls.clone(), None)?;
    let limits = &config.gate.limits;
    let slots = places(limits);
    let shared = Arc::new(ArcSwap::from_pointee(gate));
    let tasks = TaskTracker::new();
    let sessions = Stop { soon: stop, now: CancellationToken::new() };
    let mut listeners = Vec::new();
    for (index, socket) in sockets.into_iter().enumerate() {
        let address = socket.local_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let listener =
            TcpListener::from_std(socket).map_err(|source| StartError::Bind { address, source })?;
        listeners.push(address);
        let slots = match config.gate.listeners.get(index) {
            Some(own) if own.limits.counts_apart() => places(&own.limits.over(limits)),
            _ => Arc::clone(&slots),
        };
        let (gates, places) = (Arc::clone(&shared), Arc::clone(&slots));
        let admit = move |address| arrival::admit(&gates.load(), index, &places, address);
        let (shared, stop_session) = (Arc::clone(&shared), sessions.clone());
        let serve = move |stream, peer, admission| {
            let slots = Arc::clone(&slots);
            let arrival = Arrival { stream, peer, listener: index, admission, slots };
            driver::serve(shared.load_full(), arrival, stop_session.clone())
        };
        tasks.spawn(serve_tcp(listener, admit, sessions.soon.clone(), tasks.clone(), serve));
    }
    windows.open(&shared, &sessions.soon, &tasks);
    let bound = Bound::of(config);
    let certificates = Arc::new(Notify::new());
    tasks.spawn(certificates::keep(tls, Arc::clone(&certificates), sessions.soon.clone()));
    let probing = std::sync::Mutex::default();
    let running =
        Running { listeners, shared, bound, tasks, certificates, probing, stop: sessions };
    running.probe();
    Ok(running)
}

fn places(limits: &Limits) -> Arc<Slots> {
    Slots::new(limits.sessions, NonZeroUsize::new(limits.sessions_per_address))
}

impl Running {
    /// Takes over what a new configuration changes: certificate, limits on
    /// sessions to come, authenticator, backend. Names the settings that it
    /// could not take over, since only a restart changes them.
    ///
    /// # Errors
    /// [`StartError`]: nothing was changed.
    pub fn reload(&self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        let tls_settings = config.tls.as_ref().ok_or(StartError::NoCertificate)?;
        let old = self.shared.load_full();
        // Everything that can fail comes before anything that changes.
        let mut gate = compose(config, old.tls.clone(), Some(&old))?;
        let changes = self.bound.changes(&Bound::of(config));
        if self.bound.listeners != Bound::of(config).listeners {
            // Which rules were meant for which of the old sockets cannot be told.
            gate.rules.clone_from(&old.rules);
            gate.proxies.clone_from(&old.proxies);
        }
        old.tls.reload(tls_settings)?;
        gate.desk.sending.release(Instant::now());
        self.certificates.notify_one();
        self.shared.store(Arc::new(gate));
        self.probe();
        let backends = old.backends.clone();
        self.tasks.spawn(async move { leave(&backends).await });
        Ok(changes)
    }

    /// Waits until the backend was asked once, so that the first client gets the full offer.
    pub async fn backend_known(&self) {
        let gate = self.shared.load_full();
        for backend in &gate.backends {
            backend.health.known().await;
        }
    }

    /// Waits for the sessions to end, `limit` at most; then each is told 421 and
    /// ends. `stop` must have been cancelled.
    pub async fn drain(self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} sessions are cut off at the end of the drain", self.tasks.len());
            self.stop.now.cancel();
            let _ = tokio::time::timeout(GOODBYE, self.tasks.wait()).await;
        }
        leave(&self.shared.load().backends).await;
    }

    fn probe(&self) {
        let token = self.stop.soon.child_token();
        let mut probing = self.probing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::replace(&mut *probing, token.clone()).cancel();
        for backend in &self.shared.load().backends {
            self.tasks.spawn(probe::run(Arc::clone(backend), token.clone()));
        }
    }
}

/// How long a session that is cut off has for its last reply.
const GOODBYE: Duration = Duration::from_secs(6);
/// Sessions that are still open this long after a stop are cut off.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs the service on what was prepared until it is told to stop. `read` reads the configuration
/// again, and gives its problems as text; it is read when `file` changes, too, unless that is
/// turned off.
///
/// # Errors
/// [`StartError`].
pub async fn run(
    config: &Config,
    prepared: Prepared,
    file: &Path,
    read: impl Fn() -> Result<Config, String>,
) -> Result<(), StartError> {
    let signals = Signals::install().map_err(StartError::Signals)?;
    let stop = CancellationToken::new();
    let running = serve(config, prepared, stop.clone())?;
    let places: Vec<String> = running.listeners.iter().map(ToString::to_string).collect();
    tracing::info!("listening on {}", places.join(", "));
    let reload = |config: &Config| running.reload(config).map_err(|error| error.to_string());
    let watched = config.gate_watch_config.then_some(file);
    service::live(signals, &stop, watched, read, reload).await;
    running.drain(DRAIN).await;
    Ok(())
}

/// The gate of `config`; backends that are among those of `old` keep what is known of them.
fn compose(config: &Config, tls: ServerTls, old: Option<&Gate>) -> Result<Gate, StartError> {
    let settings = &config.gate;
    let mechanisms: Arc<dyn Mechanisms> = match &settings.auth {
        AuthSource::Saslauthd(path) => {
            let saslauthd = Saslauthd::new(path.clone(), settings.timeouts.auth);
            let hands_over = |backend: &BackendSettings| {
                matches!(backend.identity, IdentityWay::Auto | IdentityWay::Handover)
            };
            if settings.backends.iter().any(hands_over) {
                Arc::new(saslauthd.asking_for_tokens())
            } else {
                Arc::new(saslauthd)
            }
        }
    };
    let served = mechanisms.offered();
    let rules = settings.listeners.iter().map(|it| Arc::new(rules(settings, it, &served)));
    let backends = settings.backends.iter().map(|backend| {
        let address = &backend.address;
        let mut known = old.iter().flat_map(|gate| &gate.backends);
        let known = known.find(|old| old.route.settings.address == *address);
        Ok(Arc::new(Backend::new(Arc::new(route(settings, backend)?), known.map(|it| &**it))))
    });
    Ok(Gate {
        rules: rules.collect(),
        proxies: settings.listeners.iter().map(|it| it.proxy_from.clone()).collect(),
        backends: backends.collect::<Result<_, StartError>>()?,
        desk: gate_policy::desk(config, old)?,
        names: gate_policy::names(settings, old)?,
        transcripts: transcripts(settings, old)?,
        roster: old.map_or_else(Arc::default, |old| Arc::clone(&old.roster)),
        settings: settings.clone(),
        tls,
        mechanisms,
    })
}

fn transcripts(settings: &Settings, old: Option<&Gate>) -> Result<Transcripts, TranscriptError> {
    let listeners = settings.listeners.iter().map(|it| it.transcript.as_ref());
    Transcripts::open(&settings.transcript, listeners, old.map(|old| &old.transcripts))
}

fn rules(settings: &Settings, listener: &ListenerSettings, served: &[String]) -> Rules {
    let ListenerSettings { hostname, banner, mechanisms, kind, limits, .. } = listener;
    let wanted = mechanisms.as_ref().unwrap_or(&settings.mechanisms);
    Rules {
        hostname: hostname.as_ref().unwrap_or(&settings.hostname).clone(),
        banner: banner.clone().unwrap_or_else(|| "saslgate".to_owned()),
        mechanisms: wanted.iter().filter(|name| served.contains(name)).cloned().collect(),
        kind: *kind,
        limits: limits.over(&settings.limits),
    }
}

fn route(settings: &Settings, backend: &BackendSettings) -> Result<Route, StartError> {
    let tls = match backend.tls {
        BackendTls::None => None,
        BackendTls::Starttls => {
            let host = backend.server_name.as_deref().unwrap_or_else(|| host_of(&backend.address));
            Some(ClientTls::load(backend.ca_file.as_deref(), host)?)
        }
    };
    let account = backend.account.as_ref().map(|account| {
        let password = password_file::read(&account.password_file, "gate.backend.login_user")?;
        Ok::<_, StartError>((account.user.clone(), password))
    });
    Ok(Route {
        account: account.transpose()?,
        settings: backend.clone(),
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

/// Says goodbye to the backends: connections that wait for a session are closed in order.
async fn leave(backends: &[Arc<Backend>]) {
    for backend in backends {
        backend.pool.close().await;
    }
}
