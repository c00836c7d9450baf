//! The services of `saslgate try`: set up in order, taken down in order.
//!
//! The same composition roots as the services', with a configuration file that
//! is written here and passes the same check. Whatever fails, what was started ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Args;
use super::certificate::{CertificateError, Pair};
use super::maildir::Maildir;
use super::place::{Place, PlaceError, Plan};
use super::sink::Sink;
use super::users::{self, User, UsersError};
use crate::backend::store::{Access, Store, StoreError};
use crate::config::{self, Config, Problems};
use crate::daemon;
use crate::ops::log;
use crate::ops::syslog::Program;
use crate::tls::{ClientTls, TlsError};

/// The realm of users without one, and the name of the gate.
pub(super) const REALM: &str = "localhost";

/// For the first probe of the backend; without its answer the gate offers less.
const PROBE: Duration = Duration::from_secs(10);

/// Sessions that are open at the end are cut off after this.
const DRAIN: Duration = Duration::from_secs(5);

/// Why there is nothing to try.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// No threads or no event queue.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// No signal handlers.
    #[error("cannot install signal handlers: {0}")]
    Signals(io::Error),
    /// The log is set up already.
    #[error("cannot start the log: {0}")]
    Log(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// The directory.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The maildir or the sink.
    #[error("cannot start the built-in backend: {0}")]
    Sink(io::Error),
    /// The configuration cannot be written.
    #[error("cannot write saslgate.toml: {0}")]
    Write(io::Error),
    /// The options do not go together.
    #[error("these options do not make a configuration that works:\n{0}")]
    Config(Problems),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of ours panicked.
    #[error("filling the store broke off: {0}")]
    Fill(#[from] tokio::task::JoinError),
    /// The daemon that verifies passwords.
    #[error("authd: {0}")]
    Authd(#[from] daemon::authd::StartError),
    /// The gate.
    #[error("gate: {0}")]
    Gate(#[from] daemon::gate::StartError),
    /// The certificate as a client sees it.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Everything at work.
pub(super) struct Stage {
    /// Where the gate listens with STARTTLS.
    pub(super) starttls: SocketAddr,
    /// Where the gate listens with TLS from the first byte.
    pub(super) implicit: SocketAddr,
    /// `host:port` of the backend.
    pub(super) backend: String,
    /// What the sink delivers into; `None` with another backend.
    pub(super) maildir: Option<Maildir>,
    /// Trusts the certificate.
    pub(super) client: ClientTls,
    user: User,
    authd: daemon::authd::Running,
    gate: daemon::gate::Running,
    stop: CancellationToken,
    /// Last: the directory goes when nothing uses it any more.
    pub(super) place: Place,
}

impl Stage {
    /// Makes what is needed and starts everything.
    pub(super) async fn set(args: &Args) -> Result<Self, StageError> {
        let mut users = match &args.users {
            Some(file) => users::read(file, REALM)?,
            None => vec![users::made_up(REALM)?],
        };
        let place = Place::prepare(args.dir.as_deref())?;
        let pair = Pair::in_dir(place.dir())?;
        let stop = CancellationToken::new();
        // Whatever fails from here on, what was started ends.
        let guard = stop.clone().drop_guard();
        let (backend, maildir) = match &args.backend {
            Some(backend) => (backend.clone(), None),
            None => start_sink(&place, &stop).await?,
        };
        let config = configure(args, &place, &pair, &backend)?;
        if !args.quiet {
            log::init(config.log, Program::Saslauthd)?;
        }
        users = fill_store(config.clone(), users).await?;
        let authd = daemon::authd::start(&config, &stop)?;
        let gate = daemon::gate::start(&config, stop.clone())?;
        // A backend that is down is no reason to wait for ever: the gate says so to the client.
        let _ = tokio::time::timeout(PROBE, gate.backend_known()).await;
        guard.disarm();
        // In the order of the configuration, which Plan wrote with these two.
        let [starttls, implicit] = [0, 1].map(|index| gate.listeners[index]);
        Ok(Self {
            starttls,
            implicit,
            backend,
            maildir,
            client: ClientTls::load(Some(&pair.certificate), REALM)?,
            user: users.swap_remove(0),
            authd,
            gate,
            stop,
            place,
        })
    }

    /// Who submits the message.
    pub(super) fn user(&self) -> &User {
        &self.user
    }

    /// True if mail goes into the built-in maildir.
    pub(super) fn is_sink(&self) -> bool {
        self.maildir.is_some()
    }

    /// The saslauthd socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.place.path("mux")
    }

    /// Where the sink delivers.
    pub(super) fn maildir_path(&self) -> PathBuf {
        self.place.path(MAILDIR)
    }

    /// Stops everything, the gate first, and removes the directory unless it is kept.
    pub(super) async fn strike(self) {
        self.stop.cancel();
        self.gate.drain(DRAIN).await;
        self.authd.drain(DRAIN).await;
    }
}

const MAILDIR: &str = "Maildir";

async fn start_sink(
    place: &Place,
    stop: &CancellationToken,
) -> Result<(String, Option<Maildir>), StageError> {
    let maildir = Maildir::create(&place.path(MAILDIR)).map_err(StageError::Sink)?;
    let sink = Sink::bind(maildir.clone()).await.map_err(StageError::Sink)?;
    let address = sink.address().map_err(StageError::Sink)?;
    tokio::spawn(sink.serve(stop.clone()));
    Ok((address.to_string(), Some(maildir)))
}

fn configure(args: &Args, place: &Place, pair: &Pair, backend: &str) -> Result<Config, StageError> {
    let plan = Plan {
        place,
        pair,
        starttls: args.listen,
        implicit: args.listen_implicit,
        backend,
        hostname: REALM,
    };
    let file = plan.write().map_err(StageError::Write)?;
    config::load(&file, REALM).map_err(StageError::Config)
}

/// Puts the users into the store, or gives those that are there the passwords
/// of now. Hashes, so it has a thread of its own; gives the users back.
async fn fill_store(config: Config, users: Vec<User>) -> Result<Vec<User>, StageError> {
    let work = move || {
        let mut store = Store::open(&config.store, Access::Create)?;
        for user in &users {
            match store.find(&user.identity)? {
                None => store.add(&user.identity, Some(&user.password))?,
                Some(_) => store.set_password(&user.identity, &user.password)?,
            }
        }
        Ok::<_, StoreError>(users)
    };
    Ok(tokio::task::spawn_blocking(work).await??)
}
