//! The backend itself: one login, from the files to the answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::exchange::{self, Grant, Opening, Proof, Recipe};
use super::files::{self, Login};
use super::kdc::Preference;
use super::settings::Settings;
use crate::auth::{Accepted, Answer, Attempt, Verification, Verify};
use crate::backend::hashing::{Cost, HashPool, Refused};
use crate::base::{Reason, ReasonCode};
use crate::wire::kerberos::krb5_conf::Realm;
use crate::wire::kerberos::{Key, Name, Principal, Stamp};

/// The KDCs as authd asks them.
pub struct Kerberos {
    settings: Settings,
    /// The full name of this host.
    fqdn: String,
    /// `None` only while it is dropped.
    pool: Option<HashPool>,
    places: Arc<Semaphore>,
    preference: Preference,
}

/// Why the backend cannot start.
#[derive(Debug, thiserror::Error)]
#[error("the backend \"kerberos5\" cannot start: {0}")]
pub struct KerberosError(String);

impl Kerberos {
    /// Starts the threads. What is wrong with the files is said in the log, and
    /// until they are right everybody is unavailable.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(settings: Settings, fqdn: String) -> Result<Arc<Self>, KerberosError> {
        // No argon2id here, so no memory for it is kept.
        let cost = Cost::new(8, 1, 1).map_err(|error| KerberosError(error.to_string()))?;
        let pool = HashPool::start(settings.threads, settings.max_waiting, cost)
            .map_err(|error| KerberosError(format!("no thread: {error}")))?;
        let places = Arc::new(Semaphore::new(settings.max_waiting.min(Semaphore::MAX_PERMITS)));
        if let Some(trouble) = trouble(&settings, &fqdn) {
            tracing::warn!("kerberos5: nobody can log in yet: {trouble}");
        }
        Ok(Arc::new(Self {
            settings,
            fqdn,
            pool: Some(pool),
            places,
            preference: Preference::default(),
        }))
    }
}

/// Why users of the default realm could not log in: what is wrong with krb5.conf or the
/// keytab. No KDC is asked.
#[must_use]
pub fn trouble(settings: &Settings, fqdn: &str) -> Option<String> {
    files::check(settings, fqdn).err().map(|reason| reason.detail.into_owned())
}

impl Drop for Kerberos {
    fn drop(&mut self) {
        let pool = self.pool.take();
        // Its threads may wait for a file system that does not answer: whoever
        // drops us, on a reload, does not wait for them.
        drop(std::thread::Builder::new().name("hash-end".to_owned()).spawn(move || drop(pool)));
    }
}

impl Verify for Kerberos {
    fn name(&self) -> &'static str {
        "kerberos5"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Verification::Ready(Answer::Unavailable(busy()));
        };
        let limit = self.settings.timeout;
        let deadline = Instant::now() + limit;
        let errand = Errand { backend: self, attempt, deadline, _place: place };
        Verification::Pending(Box::pin(async move {
            let answer = timeout_at(deadline, errand.run()).await;
            answer.unwrap_or_else(|_| {
                let detail = format!(
                    "no answer within {limit:?}: is a KDC or the name service slow, or are there \
                     too few kerberos5.threads?"
                );
                Answer::Unavailable(Reason::new(ReasonCode::Timeout, detail))
            })
        }))
    }
}

/// One login under way.
struct Errand {
    backend: Arc<Kerberos>,
    attempt: Arc<Attempt>,
    deadline: Instant,
    /// One of those that may be under way.
    _place: OwnedSemaphorePermit,
}

impl Errand {
    async fn run(self) -> Answer {
        match self.log_in().await {
            Ok(accepted) => Answer::Accepted(accepted),
            Err(answer) => answer,
        }
    }

    /// A login, step by step; whatever ends it early is an error.
    async fn log_in(&self) -> Result<Accepted, Answer> {
        let Some(login) = self.look_up().await? else { return Err(self.unknown().await) };
        let granting = match self.granting(&login).await {
            Err(Answer::Unknown) => return Err(self.unknown().await),
            granted => granted?,
        };
        let grant = self.service_ticket(&login, granting).await?;
        let now = seconds();
        exchange::check_ticket(&login, &grant, now).map_err(Answer::Unavailable)?;
        let valid_for = grant
            .expiration
            .map(|end| Duration::from_secs(u64::try_from(end.saturating_sub(now)).unwrap_or(0)));
        Ok(Accepted { user: None, label: None, valid_for, handover: None })
    }

    /// Whom to ask; `None` if the files say that there can be no such user.
    async fn look_up(&self) -> Result<Option<Login>, Answer> {
        let (backend, attempt) = (Arc::clone(&self.backend), Arc::clone(&self.attempt));
        let work = move || files::look_up(&backend.settings, &backend.fqdn, &attempt);
        self.aside(work).await?.map_err(Answer::Unavailable)
    }

    /// Gets the ticket-granting ticket, and so knows that the password is the one
    /// that whoever answered knows.
    async fn granting(&self, login: &Login) -> Result<Grant, Answer> {
        let first = stamp()?;
        let bytes = self.ask(&login.home, exchange::open(login, &first)).await?;
        match exchange::judge_opening(login, &bytes)? {
            Opening::Granted(recipe, reply) => {
                let key = self.key(recipe).await?;
                exchange::unseal(login, *reply, &key, first.nonce(), Proof::NotAsked)
            }
            Opening::Prove(recipe, cookie) => {
                let key = self.key(recipe).await?;
                let second = stamp()?;
                let message = exchange::prove(login, &key, cookie.as_deref(), &second);
                let bytes = self.ask(&login.home, message).await?;
                let reply = exchange::judge_proof(login, &bytes)?;
                exchange::unseal(login, *reply, &key, second.nonce(), Proof::Given)
            }
        }
    }

    /// Gets the ticket of our service: over one more realm, where ours is not the client's.
    async fn service_ticket(&self, login: &Login, granting: Grant) -> Result<Grant, Answer> {
        let (from, to) = (&login.home.name, &login.service.realm);
        let mut granting = granting;
        if from != to {
            let name = Name::new(&["krbtgt", to]);
            let bridge = Principal { name, realm: from.clone() };
            granting = self.ticket(login, &login.home, &bridge, &granting).await?;
        }
        self.ticket(login, &login.away, &login.service, &granting).await
    }

    async fn ticket(
        &self,
        login: &Login,
        realm: &Realm,
        service: &Principal,
        granting: &Grant,
    ) -> Result<Grant, Answer> {
        let stamp = stamp()?;
        let message = exchange::ask_for(login, service, granting, &stamp);
        let bytes = self.ask(realm, message).await?;
        exchange::judge_ticket(login, service, granting, stamp.nonce(), &bytes)
    }

    async fn ask(&self, realm: &Realm, message: Vec<u8>) -> Result<Vec<u8>, Answer> {
        let answer = self.backend.preference.ask(realm, &message, self.deadline).await;
        answer.map_err(Answer::Unavailable)
    }

    async fn key(&self, recipe: Recipe) -> Result<Key, Answer> {
        let attempt = Arc::clone(&self.attempt);
        self.aside(move || recipe.key(&attempt.password)).await
    }

    /// "No such user", after the work that a wrong password would have been.
    async fn unknown(&self) -> Answer {
        let identity = &self.attempt.identity;
        let name = Name::new(&[identity.user()]);
        let recipe = Recipe::decoy(&Principal { name, realm: identity.realm().to_owned() });
        match self.key(recipe).await {
            Ok(_) => Answer::Unknown,
            Err(answer) => answer,
        }
    }

    /// Runs `work` on one of the threads that may block.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Answer> {
        let stopping = || Answer::Unavailable(ReasonCode::Stopping.into());
        let pool = self.backend.pool.as_ref().ok_or_else(stopping)?;
        let receiver = pool.submit(move |_| work()).map_err(|refused| match refused {
            Refused::Busy => Answer::Unavailable(busy()),
            Refused::Stopping => stopping(),
        })?;
        receiver.await.map_err(|_| stopping())
    }
}

fn busy() -> Reason {
    let detail = "too many logins are under way at the KDCs: see kerberos5.max_waiting";
    Reason::new(ReasonCode::Busy, detail)
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The time, and random numbers.
fn stamp() -> Result<Stamp, Answer> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 20];
    getrandom::fill(&mut random).map_err(|error| {
        let detail = format!("the operating system gives no random bytes: {error}");
        Answer::Unavailable(Reason::new(ReasonCode::BackendDown, detail))
    })?;
    let mut stamp = Stamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        micros: since.subsec_micros(),
        nonce: 0,
        confounder: [0; 16],
    };
    let (nonce, confounder) = random.split_at(4);
    stamp.confounder.copy_from_slice(confounder);
    stamp.nonce = nonce.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    Ok(stamp)
}
