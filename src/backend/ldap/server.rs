//! One server: its kept connections, and whether it is alive.
//!
//! Connections for searches are bound as `bind_dn` and stay that way.
//! Connections for binds belong to whoever bound last, so nothing but a bind
//! is ever the first thing asked on one. Called by `login`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Privacy, Reply};
use super::settings::{Password, ServiceBind, Settings, StartTls};
use super::trouble::Trouble;
use crate::sys::{host, password_file};
use crate::tls::{ClientTls, HandshakeError, TlsError};
use crate::wire::ldap::{Address, Request, ResultCode};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Searches and comparisons, as `bind_dn`.
    Search,
    /// Binds as users.
    Bind,
}

/// A server.
pub(super) struct Server {
    pub(super) address: Address,
    tls: Option<ClientTls>,
    /// For `localhost`: libldap looks for the name of this host in the certificate then.
    tls_by_own_name: Option<ClientTls>,
    searching: Mutex<Vec<Idle>>,
    binding: Mutex<Vec<Idle>>,
    health: Mutex<Health>,
}

/// A connection without a request; the last one in is the first one out, so
/// that what is not needed grows old.
struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Default)]
struct Health {
    /// It failed, and has not answered since.
    is_down: bool,
    /// Others are asked first until then.
    held_until: Option<Instant>,
}

impl Server {
    /// Reads what TLS with this server takes.
    pub(super) fn new(address: Address, settings: &Settings) -> Result<Self, TlsError> {
        let (mut tls, mut tls_by_own_name) = (None, None);
        if let Address::Tcp { host, is_tls, .. } = &address
            && (*is_tls || starts_tls(&address, settings))
        {
            tls = Some(ClientTls::trusting(&settings.trust, host)?);
            if host == "localhost" {
                let own = host::fqdn();
                tls_by_own_name = ClientTls::trusting(&settings.trust, &own).ok();
            }
        }
        Ok(Self {
            address,
            tls,
            tls_by_own_name,
            searching: Mutex::default(),
            binding: Mutex::default(),
            health: Mutex::default(),
        })
    }

    /// Asks on a kept connection, or on a new one. One that the server had
    /// closed in the meantime is replaced, once. Gives the connection, to be
    /// [kept](Self::keep).
    pub(super) async fn exchange(
        &self,
        purpose: Use,
        request: &Request<'_>,
        settings: &Settings,
        sent: Option<&AtomicBool>,
    ) -> Result<(Reply, Connection), Trouble> {
        if let Some(mut connection) = self.take(purpose, settings.idle_timeout) {
            match connection.ask(request, sent).await {
                Ok(reply) => return Ok((reply, connection)),
                Err(trouble) if trouble.is_closed() => {}
                Err(trouble) => return Err(trouble),
            }
            if let Some(sent) = sent {
                sent.store(false, Ordering::Relaxed);
            }
        }
        let mut connection = self.open(purpose, settings).await?;
        let reply = connection.ask(request, sent).await?;
        Ok((reply, connection))
    }

    async fn open(&self, purpose: Use, settings: &Settings) -> Result<Connection, Trouble> {
        let privacy = |tls| match (tls, &self.address) {
            (Some(tls), Address::Tcp { is_tls: true, .. }) => Privacy::Implicit(tls),
            (Some(tls), _) => Privacy::StartTls(tls),
            (None, _) => Privacy::AsItIs,
        };
        let opened = Connection::open(&self.address, privacy(self.tls.as_ref())).await;
        let mut connection = match (opened, &self.tls_by_own_name) {
            (Err(Trouble::Tls(HandshakeError::Certificate(_))), Some(own)) => {
                Connection::open(&self.address, privacy(Some(own))).await?
            }
            (opened, _) => opened?,
        };
        if purpose == Use::Search {
            bind_service(&mut connection, settings).await?;
        }
        Ok(connection)
    }

    /// Keeps a connection that has answered all it was asked.
    pub(super) fn keep(&self, purpose: Use, connection: Connection) {
        self.idle(purpose).push(Idle { connection, since: Instant::now() });
    }

    fn take(&self, purpose: Use, idle_timeout: Duration) -> Option<Connection> {
        let mut idle = self.idle(purpose);
        let now = Instant::now();
        let old = idle.iter().take_while(|it| now.duration_since(it.since) > idle_timeout).count();
        idle.drain(..old);
        while let Some(Idle { connection, .. }) = idle.pop() {
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    fn idle(&self, purpose: Use) -> MutexGuard<'_, Vec<Idle>> {
        let list = match purpose {
            Use::Search => &self.searching,
            Use::Bind => &self.binding,
        };
        // A list of connections is whole whatever happened to who held it.
        list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if it failed a short while ago. Of a server whose time is over, one
    /// login is told so and tries it; the others go on elsewhere until that is known.
    pub(super) fn is_held(&self, retry_after: Duration) -> bool {
        let mut health = self.health();
        let Some(until) = health.held_until else { return false };
        let now = Instant::now();
        if now < until {
            return true;
        }
        health.held_until = Some(now + retry_after);
        false
    }

    /// It failed: others are asked first for a while, and its connections are of no use.
    pub(super) fn hold(&self, retry_after: Duration, trouble: &Trouble) {
        let was_down = {
            let mut health = self.health();
            health.held_until = Some(Instant::now() + retry_after);
            std::mem::replace(&mut health.is_down, true)
        };
        for purpose in [Use::Search, Use::Bind] {
            self.idle(purpose).clear();
        }
        if was_down {
            tracing::debug!("ldap: {} still fails: {trouble}", self.address);
        } else {
            tracing::warn!("ldap: {} failed: {trouble}", self.address);
        }
    }

    /// It answered.
    pub(super) fn release(&self) {
        let mut health = self.health();
        health.held_until = None;
        if std::mem::replace(&mut health.is_down, false) {
            tracing::info!("ldap: {} answers again", self.address);
        }
    }
}

/// True if a connection to `address` becomes TLS by StartTLS.
fn starts_tls(address: &Address, settings: &Settings) -> bool {
    match settings.start_tls {
        StartTls::Never => false,
        StartTls::Always => true,
        StartTls::Remote => !address.is_private(),
    }
}

/// Binds as who looks users up. Nobody, where nobody is named: then there is nothing to do.
async fn bind_service(connection: &mut Connection, settings: &Settings) -> Result<(), Trouble> {
    let outcome = match (settings.service_bind, &settings.password) {
        (ServiceBind::External, _) => connection.ask(&Request::ExternalBind, None).await?.outcome,
        (ServiceBind::Simple, Some(password)) => {
            let from_file;
            let secret = match password {
                Password::Inline(password) => password.secret(),
                Password::File(path) => {
                    from_file = password_file::read(path, "bind_dn")?;
                    &from_file
                }
            };
            let name = settings.bind_dn.as_str();
            let request = Request::SimpleBind { name, password: secret.expose() };
            connection.ask(&request, None).await?.outcome
        }
        (ServiceBind::Simple, None) => return Ok(()),
    };
    match outcome.code {
        ResultCode::SUCCESS => Ok(()),
        _ => Err(Trouble::ServiceBind(outcome)),
    }
}
