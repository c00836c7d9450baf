//! The backend itself: who may ask, and what an answer means (RFC 5530).

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::session::{self, Claim, Trouble};
use super::settings::{Security, Settings};
use crate::auth::{Accepted, Answer, Attempt, Verification, Verify};
use crate::backend::admission::Admission;
use crate::backend::dial;
use crate::base::{Printable, Reason, ReasonCode};
use crate::tls::{ClientTls, TlsError};
use crate::wire::imap::{Condition, Reply};

/// An IMAP server as authd asks it.
pub struct Rimap {
    settings: Settings,
    tls: Option<ClientTls>,
    admission: Admission,
}

/// Why the backend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RimapError {
    /// No server is named.
    #[error("the backend \"rimap\" has no server: set rimap.server, such as \"imap.example.org\"")]
    NoServer,
    /// The CA file, or the name of the server.
    #[error("rimap: {0}")]
    Tls(#[from] TlsError),
}

impl Rimap {
    /// Reads what TLS needs. Connects when somebody logs in: the server may start later.
    ///
    /// # Errors
    /// [`RimapError`].
    pub fn open(settings: Settings) -> Result<Arc<Self>, RimapError> {
        if settings.host.is_empty() {
            return Err(RimapError::NoServer);
        }
        let tls = match settings.security {
            Security::None => None,
            Security::Starttls | Security::Implicit => {
                let name = settings.server_name.as_deref().unwrap_or(&settings.host);
                Some(ClientTls::load(settings.ca_file.as_deref(), name)?)
            }
        };
        let admission = Admission::new(settings.max_connections, settings.max_waiting);
        Ok(Arc::new(Self { settings, tls, admission }))
    }

    async fn ask(&self, attempt: &Attempt) -> Answer {
        let deadline = Instant::now() + self.settings.timeout;
        let user = self.settings.user.name_of(attempt);
        let parts = match Claim::encode(&user, &attempt.password) {
            Ok(parts) => parts,
            // No account has such a password that anybody could type.
            Err(error) => {
                return Answer::Rejected(Reason::new(
                    ReasonCode::BadCredentials,
                    error.to_string(),
                ));
            }
        };
        let _permit = match self.admission.admit(deadline).await {
            Ok(permit) => permit,
            Err(refusal) => return Answer::Unavailable(refusal.reason("rimap")),
        };
        let claim = Claim { parts: &parts };
        let answer = match timeout_at(deadline, self.exchange(&claim, deadline)).await {
            Ok(Ok(reply)) => meaning(&reply),
            Ok(Err(trouble)) => self.unavailable(ReasonCode::BackendDown, &trouble.to_string()),
            Err(_) => {
                let what = format!("no answer within {:?}", self.settings.timeout);
                self.unavailable(ReasonCode::Timeout, &what)
            }
        };
        answer.without(&attempt.password)
    }

    async fn exchange(&self, claim: &Claim<'_>, deadline: Instant) -> Result<Reply, Trouble> {
        let Settings { host, security, .. } = &self.settings;
        let stream = dial::tcp(host, self.settings.effective_port(), deadline).await?;
        session::log_in(stream, *security, self.tls.as_ref(), claim).await
    }

    fn unavailable(&self, code: ReasonCode, what: &str) -> Answer {
        let (host, port) = (&self.settings.host, self.settings.effective_port());
        Answer::Unavailable(Reason::new(code, format!("IMAP server {host}:{port}: {what}")))
    }
}

impl Verify for Rimap {
    fn name(&self) -> &'static str {
        "rimap"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        Verification::Pending(Box::pin(async move { self.ask(&attempt).await }))
    }
}

/// What OK and NO mean. A NO whose code says that the server could not tell is
/// no denial.
fn meaning(reply: &Reply) -> Answer {
    if reply.condition == Condition::Ok {
        return Answer::Accepted(Accepted::default());
    }
    let detail = || {
        let code = if reply.code.is_empty() { "" } else { &reply.code };
        let text = Printable::from(reply.text.as_str());
        format!("the IMAP server said NO [{}] {text}", Printable::from(code))
    };
    let reason = |code| Reason::new(code, detail());
    match reply.code.as_str() {
        "UNAVAILABLE" | "INUSE" | "SERVERBUG" | "LIMIT" | "PRIVACYREQUIRED" | "CORRUPTION"
        | "CLIENTBUG" => Answer::Unavailable(reason(ReasonCode::BackendDown)),
        "EXPIRED" => Answer::Rejected(reason(ReasonCode::PasswordExpired)),
        "AUTHORIZATIONFAILED" => Answer::Rejected(reason(ReasonCode::AccessDenied)),
        _ => Answer::Rejected(reason(ReasonCode::BadCredentials)),
    }
}
