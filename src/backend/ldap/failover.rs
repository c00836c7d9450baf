//! The backend itself: which server is asked, and in how much time.
//!
//! One deadline covers a login, the wait for its turn included. Servers are
//! asked in their order, those that failed a short while ago last; each gets
//! an equal share of what is left, so that the first one to hang does not use
//! it all up. Once a password is on its way, no other server is asked.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, timeout};

use super::login::Login;
use super::scheme::Stored;
use super::server::Server;
use super::settings::{Method, Password, Settings, StartTls};
use super::template::Facts;
use super::trouble::Trouble;
use crate::auth::{Answer, Attempt, Verification, Verify};
use crate::backend::admission::{Admission, Refusal};
use crate::backend::hashing::{Cost, HashPool};
use crate::base::{Reason, ReasonCode};
use crate::sys::password_file::{self, PasswordFileError};
use crate::tls::{TlsError, Verification as Certificates};
use crate::wire::ldap::Address;

/// Checks passwords with a directory. The backend `ldap`.
pub struct Ldap {
    pub(super) settings: Settings,
    servers: Vec<Server>,
    door: Admission,
    /// For [`Method::Custom`].
    pub(super) hashing: Option<HashPool>,
    /// As costly as the last stored password that was seen.
    decoy: Mutex<Arc<Stored>>,
}

/// Why the backend cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    /// Certificates.
    #[error("ldap, TLS with {server}: {source}")]
    Tls {
        /// Which server it is for.
        server: Address,
        /// What is wrong.
        source: TlsError,
    },
    /// The password of `bind_dn`.
    #[error("ldap: {0}")]
    Password(#[from] PasswordFileError),
    /// Threads for hashes.
    #[error("ldap: the system gives no threads for hashing: {0}")]
    Threads(io::Error),
}

impl Ldap {
    /// Reads certificates and password; connects when the first login comes.
    /// Logs what in the settings is worth knowing.
    ///
    /// # Errors
    /// [`LdapError`].
    pub fn open(settings: Settings) -> Result<Arc<Self>, LdapError> {
        warn(&settings);
        if let Some(Password::File(path)) = &settings.password {
            password_file::read(path, "bind_dn")?;
        }
        let server = |address: &Address| {
            let failed = |source| LdapError::Tls { server: address.clone(), source };
            Server::new(address.clone(), &settings).map_err(failed)
        };
        let servers = settings.servers.iter().map(server).collect::<Result<_, _>>()?;
        let hashing = match settings.method {
            Method::Custom => Some(hash_pool(&settings)?),
            Method::Search | Method::Template => None,
        };
        Ok(Arc::new(Self {
            servers,
            door: Admission::new(settings.max_connections, settings.max_waiting),
            hashing,
            decoy: Mutex::new(Arc::new(Stored::Nothing)),
            settings,
        }))
    }

    async fn judge(&self, attempt: &Arc<Attempt>) -> Answer {
        // RFC 4513 §5.1.2: servers answer *success* to a bind without a password.
        if attempt.password.is_empty() {
            return Answer::Rejected(ReasonCode::EmptyPassword.into());
        }
        let deadline = Instant::now() + self.settings.timeout;
        let _permit = match self.door.admit(deadline).await {
            Ok(permit) => permit,
            Err(refusal) => return refused(refusal),
        };
        let facts = Facts::of(attempt, &self.settings);
        let login = Login { attempt, facts, is_sent: AtomicBool::new(false) };
        let order = self.order();
        let mut failed: Vec<String> = Vec::new();
        let mut code = ReasonCode::BackendDown;
        for (index, server) in order.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let rest = u32::try_from(order.len() - index).unwrap_or(1);
            let asked = timeout(left / rest, self.login_at(server, &login)).await;
            let trouble = match asked.unwrap_or(Err(Trouble::Timeout)) {
                Ok(answer) => {
                    server.release();
                    return answer;
                }
                Err(trouble) => trouble,
            };
            if trouble.is_of_server() {
                server.hold(self.settings.retry_after, &trouble);
            }
            code = trouble.code();
            failed.push(format!("{}: {trouble}", server.address));
            if login.is_sent.load(Ordering::Relaxed) {
                break;
            }
        }
        Answer::Unavailable(Reason::new(code, failed.join("; ")))
    }

    /// The servers in the order this login asks them: those on hold last.
    fn order(&self) -> Vec<&Server> {
        let is_held = |server: &&Server| server.is_held(self.settings.retry_after);
        let (held, mut order): (Vec<_>, Vec<_>) = self.servers.iter().partition(is_held);
        order.extend(held);
        order
    }

    pub(super) fn decoy(&self) -> Arc<Stored> {
        Arc::clone(&self.decoy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn remember_cost(&self, stored: &Stored) {
        let decoy = stored.decoy();
        if !matches!(decoy, Stored::Nothing) {
            *self.decoy.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(decoy);
        }
    }
}

impl Verify for Ldap {
    fn name(&self) -> &'static str {
        "ldap"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        Verification::Pending(Box::pin(async move { self.judge(&attempt).await }))
    }
}

fn hash_pool(settings: &Settings) -> Result<HashPool, LdapError> {
    // Memory for a rare argon2id is taken when one comes.
    let failed =
        |error: &dyn std::fmt::Display| LdapError::Threads(io::Error::other(error.to_string()));
    let cost = Cost::new(8, 1, 1).map_err(|error| failed(&error))?;
    HashPool::start(0, settings.max_connections, cost).map_err(LdapError::Threads)
}

fn refused(refusal: Refusal) -> Answer {
    let (code, detail) = match refusal {
        Refusal::QueueFull(waiting) => (
            ReasonCode::Busy,
            format!("{waiting} logins wait for the directory already (ldap.max_waiting)"),
        ),
        Refusal::NoneFree(most) => (
            ReasonCode::Timeout,
            format!(
                "the directory is slow: all {most} connections were busy (ldap.max_connections)"
            ),
        ),
    };
    Answer::Unavailable(Reason::new(code, detail))
}

/// What somebody should know who runs it like this.
fn warn(settings: &Settings) {
    for note in &settings.notes {
        tracing::warn!("{note}");
    }
    if settings.trust.verification == Certificates::Off {
        tracing::warn!(
            "ldap: certificates of servers are not verified: whoever sits in between reads every \
             password; name a CA file and verify them"
        );
    }
    let is_clear = |address: &&Address| !address.is_private();
    for server in settings.servers.iter().filter(is_clear) {
        if settings.start_tls == StartTls::Never {
            tracing::warn!("ldap: passwords go to {server} in clear: use ldaps://, or StartTLS");
        }
    }
}
