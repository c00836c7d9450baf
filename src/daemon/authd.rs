//! Composes authd: configuration to socket, backends, authenticator, server, tasks.
//!
//! [`prepare`] takes what only root may open and then gives root up; [`run`]
//! is the service: signals, reload, the service manager. [`start`] is authd as
//! tasks of the running runtime, for `saslgate try` and tests.

mod doors;
mod panel;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

use self::doors::{Door, SOCKET_NAME};
use self::panel::{Panel, Respawn};
use super::service;
use super::signals::Signals;
use crate::auth::{Authenticator, HandoverRules, HandoverSettings, NoBackend, TagKey};
use crate::backend::httpform::HttpFormError;
use crate::backend::kerberos5::KerberosError;
use crate::backend::ldap::LdapError;
use crate::backend::pam::{Helper, HelperError};
use crate::backend::rimap::RimapError;
use crate::backend::shadow::AccountsError;
use crate::backend::store::StoreError;
use crate::config::{Config, Problems};
use crate::listen::ListenError;
use crate::ops::metrics::authd::AUTHD;
use crate::ops::systemd::InheritedSockets;
use crate::server::metrics::{Endpoint, MetricsError};
use crate::server::saslauthd::{Guests, Server};
use crate::sys::limits;
use crate::sys::privileges::{self, DropError};
use crate::sys::users::{self, Account, UserError};

/// Requests that are still open this long after a stop are cut off.
const DRAIN: Duration = Duration::from_secs(30);

/// Why authd cannot start or reload.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The socket that the service manager gave us.
    #[error("the socket inherited from the service manager is of no use: {0}")]
    Inherited(std::io::Error),
    /// The service manager gave us several sockets, and none of them is ours.
    #[error(
        "none of the {0} sockets inherited from the service manager is called \"{SOCKET_NAME}\": \
         set FileDescriptorName={SOCKET_NAME} in its socket unit"
    )]
    NoneInherited(usize),
    /// `metrics.authd`.
    #[error("metrics.authd: {0}")]
    Metrics(#[from] MetricsError),
    /// The password store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The accounts of this host.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The IMAP server.
    #[error(transparent)]
    Rimap(#[from] RimapError),
    /// The web application.
    #[error(transparent)]
    HttpForm(#[from] HttpFormError),
    /// The directory.
    #[error(transparent)]
    Ldap(#[from] LdapError),
    /// The Kerberos backend.
    #[error(transparent)]
    Kerberos(#[from] KerberosError),
    /// `ldap.config`, `httpform.config` or `kerberos5.config`.
    #[error("the file of the original saslauthd cannot be used:\n{0}")]
    SaslauthdConf(Problems),
    /// The PAM helper.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// `[pam]` was changed, or PAM added, when root was gone already.
    #[error(
        "[pam] changed, and saslgate-pam can be started as root only: \
         restart the service, or run saslgate-pam as one and set pam.socket"
    )]
    HelperNeedsRoot,
    /// A chain names a backend that was not opened.
    #[error(transparent)]
    NotOpened(#[from] NoBackend),
    /// No random bytes for the key of remembered logins.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// A backend that this program does not have.
    #[error("there is no backend \"{0}\"")]
    NoBackend(String),
    /// `allowed_users` of a socket.
    #[error("{key}: {source}")]
    Guest {
        /// The key.
        key: String,
        /// What is wrong with it.
        source: UserError,
    },
    /// `authd.user`.
    #[error("authd.user: {0}")]
    Account(#[from] UserError),
    /// Root would not go.
    #[error(transparent)]
    Privileges(#[from] DropError),
    /// Signal handlers could not be installed.
    #[error("cannot install signal handlers: {0}")]
    Signals(std::io::Error),
}

/// What had to be had before root was given up: bound sockets, a running helper.
pub struct Prepared {
    doors: Vec<Door>,
    helper: Option<Helper>,
    respawn: Respawn,
    metrics: Option<Endpoint>,
}

/// Binds the sockets, or takes the inherited ones, starts `saslgate-pam` where
/// it is wanted, and then becomes the account of the configuration, if we are
/// root and it names one. Call it before the process has threads.
///
/// # Errors
/// [`StartError`].
pub fn prepare(config: &Config, inherited: &mut InheritedSockets) -> Result<Prepared, StartError> {
    let doors = doors::open(config, inherited)?;
    let metrics = bind_metrics(config)?;
    let account = account(config)?;
    let helper = panel::spawn_helper(config, account.as_ref().map(|account| account.uid.as_raw()))?;
    // The helper keeps the usual limit: modules may use select(2).
    let open_files = limits::raise_open_files();
    warn_about(open_files, config.saslauthd.max_connections * doors.len());
    let respawn = match &account {
        Some(account) => {
            privileges::become_account(account)?;
            Respawn::Impossible
        }
        None => Respawn::Possible,
    };
    Ok(Prepared { doors, helper, respawn, metrics })
}

fn bind_metrics(config: &Config) -> Result<Option<Endpoint>, StartError> {
    let settings = &config.metrics;
    let place = settings.authd.as_ref();
    Ok(place.map(|place| Endpoint::bind(place, settings.socket_mode)).transpose()?)
}

/// Whom to become; `None` is to stay who we are.
fn account(config: &Config) -> Result<Option<Account>, StartError> {
    let Some(name) = &config.authd_user else { return Ok(None) };
    let account = users::account(name)?;
    if privileges::is_root() {
        return Ok(Some(account));
    }
    if !account.is_us() {
        tracing::warn!("authd.user is {name}, but only root can change to it: staying as we are");
    }
    Ok(None)
}

fn warn_about(open_files: Option<u64>, connections: usize) {
    // Beside connections: the store, workers, logs.
    const OTHERS: u64 = 128;
    if open_files.is_some_and(|limit| limit < connections as u64 + OTHERS) {
        tracing::warn!(
            "authd.max_connections of all sockets is {connections}, more than the limit on open files allows: raise LimitNOFILE"
        );
    }
}

/// The rules on handover tokens, with names as uids. Without gates nobody is looked up:
/// there are no tokens that anybody could redeem.
fn handover(config: &Config) -> Result<HandoverRules, StartError> {
    let HandoverSettings { gates, mail_servers, sockets, lifetime } = &config.auth.handover;
    if gates.is_empty() {
        return Ok(HandoverRules::default());
    }
    let uids = |key: &str, names: &[String]| {
        let uids = names.iter().map(|name| users::uid(name).map(|uid| uid.as_raw()));
        uids.collect::<Result<Vec<_>, _>>()
            .map_err(|source| StartError::Guest { key: format!("authd.handover.{key}"), source })
    };
    Ok(HandoverRules {
        gates: uids("gates", gates)?,
        mail_servers: uids("mail_servers", mail_servers)?,
        sockets: sockets.clone(),
        lifetime: *lifetime,
    })
}

fn draw_key() -> Result<TagKey, StartError> {
    let mut random = Zeroizing::new([0; 64]);
    getrandom::fill(&mut *random)?;
    Ok(TagKey::new(random))
}

/// An authd at work.
pub struct Running {
    /// The default socket first.
    places: Vec<String>,
    servers: Vec<Arc<Server>>,
    authenticator: Arc<Authenticator>,
    respawn: Respawn,
    state: Mutex<State>,
    tasks: TaskTracker,
}

/// What a reload compares with and replaces.
struct State {
    config: Config,
    panel: Panel,
}

/// Binds and serves as tasks, as whoever we are, until `stop` is cancelled.
///
/// # Errors
/// [`StartError`]; then nothing is left behind.
pub fn start(config: &Config, stop: &CancellationToken) -> Result<Running, StartError> {
    let doors = doors::bind(config)?;
    let helper = panel::spawn_helper(config, None)?;
    let metrics = bind_metrics(config)?;
    serve(config, Prepared { doors, helper, respawn: Respawn::Possible, metrics }, stop)
}

/// Opens the backends and serves on what was prepared, as tasks.
///
/// # Errors
/// [`StartError`].
pub fn serve(
    config: &Config,
    prepared: Prepared,
    stop: &CancellationToken,
) -> Result<Running, StartError> {
    let Prepared { doors, helper, respawn, metrics } = prepared;
    let panel = Panel::open(config, helper)?;
    let authenticator = Authenticator::new(&panel.backends(), &config.auth, draw_key()?)?;
    authenticator.hand_over_by(handover(config)?);
    let (tasks, mut places, mut servers) = (TaskTracker::new(), Vec::new(), Vec::new());
    for Door { name, socket, guests } in doors {
        places.push(socket.place());
        let server = Server::new(&config.saslauthd, name, guests, Arc::clone(&authenticator));
        servers.push(Arc::clone(&server));
        let accepting = server.serve(socket, stop.clone(), tasks.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            if let Err(error) = accepting.await {
                // Nothing can be served any more: better to end and be restarted.
                tracing::error!("a saslauthd socket cannot be watched: {error}");
                stop.cancel();
            }
        });
    }
    if let Some(endpoint) = metrics {
        tracing::info!("metrics at {}", endpoint.place());
        let serving = endpoint.serve(|to| AUTHD.write(to), stop.clone(), tasks.clone());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!("the metrics socket cannot be watched: {error}");
            }
        });
    }
    let state = Mutex::new(State { config: config.clone(), panel });
    Ok(Running { places, servers, authenticator, respawn, state, tasks })
}

impl Running {
    /// Where it listens, for people; the default socket first.
    #[must_use]
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// Takes over what `config` changes: backends, their settings, routes, cache, floor, default
    /// realm, request timeout, reply to an outage, who may ask. Gives the names of changed keys that need a restart.
    /// Requests under way end with what they began with.
    ///
    /// # Errors
    /// [`StartError`]: nothing was changed.
    pub fn reload(&self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let guests = |server: &Arc<Server>| doors::guests(config, server.name());
        let guests = self.servers.iter().map(guests).collect::<Result<Vec<_>, _>>()?;
        let handover = handover(config)?;
        let panel = state.panel.reopen(config, self.respawn)?;
        self.authenticator.replace(&panel.backends(), &config.auth)?;
        self.authenticator.hand_over_by(handover);
        for (server, guests) in self.servers.iter().zip(guests) {
            // One that is gone from the file answers that nobody can be asked.
            server.reconfigure(&config.saslauthd, guests.unwrap_or(Guests::Everybody));
        }
        let kept = needs_restart(&state.config, config);
        // What needs a restart keeps being compared with what is in force.
        let in_force = std::mem::replace(&mut state.config, config.clone());
        state.config.saslauthd = crate::server::saslauthd::Settings {
            request_timeout: config.saslauthd.request_timeout,
            unavailable: config.saslauthd.unavailable,
            ..in_force.saslauthd
        };
        state.config.authd_user = in_force.authd_user;
        state.config.authd_watch_config = in_force.authd_watch_config;
        state.config.metrics = in_force.metrics;
        state.config.log = in_force.log;
        state.panel = panel;
        Ok(kept)
    }

    /// Waits for the requests under way, `limit` at most. The token given to
    /// [`start`] must have been cancelled.
    pub async fn drain(self, limit: Duration) {
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("{} requests were cut off at the end of the drain", self.tasks.len());
        }
    }
}

fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.saslauthd, &new.saslauthd);
    let changes = [
        ("authd.socket", was.socket != is.socket),
        ("authd.socket_mode", was.socket_mode != is.socket_mode),
        ("authd.socket_owner", was.socket_owner != is.socket_owner),
        ("authd.directory_mode", was.directory_mode != is.directory_mode),
        ("[[authd.listener]]", doors::differ(was, is)),
        ("authd.max_connections", was.max_connections != is.max_connections),
        (
            "authd.max_connections_per_uid",
            was.max_connections_per_uid != is.max_connections_per_uid,
        ),
        ("authd.user", old.authd_user != new.authd_user),
        ("authd.watch_config", old.authd_watch_config != new.authd_watch_config),
        ("[metrics]", old.metrics != new.metrics),
        ("[log]", old.log != new.log),
    ];
    changes.into_iter().filter_map(|(name, has_changed)| has_changed.then_some(name)).collect()
}

/// Runs the service until it is told to stop. `read` reads the configuration
/// again, and gives its problems as text; it is read when `file` changes, too,
/// unless that is turned off. `ready` is called once it serves.
///
/// # Errors
/// [`StartError`].
pub async fn run(
    config: &Config,
    prepared: Prepared,
    file: &Path,
    read: impl Fn() -> Result<Config, String>,
    ready: impl FnOnce(),
) -> Result<(), StartError> {
    let signals = Signals::install().map_err(StartError::Signals)?;
    let stop = CancellationToken::new();
    let running = serve(config, prepared, &stop)?;
    // The words of the original, which scripts wait for.
    for place in running.places() {
        tracing::info!("listening on socket: {place}");
    }
    tracing::info!("asking {}", config.auth.all_backends().join(", "));
    ready();
    let reload = |config: &Config| running.reload(config).map_err(|error| error.to_string());
    let watched = config.authd_watch_config.then_some(file);
    service::live(signals, &stop, watched, read, reload).await;
    running.drain(DRAIN).await;
    Ok(())
}
