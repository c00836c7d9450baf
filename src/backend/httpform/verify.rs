//! The backend itself: who may ask, and what a status means.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::connections::{Connections, Reply};
use super::settings::Settings;
use super::template::Values;
use crate::auth::{Accepted, Answer, Attempt, RealmSource, Verification, Verify};
use crate::backend::admission::Admission;
use crate::base::{Printable, Reason, ReasonCode};
use crate::tls::{ClientTls, TlsError};

/// A web application as authd asks it.
pub struct HttpForm {
    settings: Settings,
    place: String,
    connections: Connections,
    admission: Admission,
}

/// Why the backend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpFormError {
    /// No URL is named.
    #[error(
        "the backend \"httpform\" has nobody to ask: set httpform.url, or httpform.config for the \
         file of the original saslauthd"
    )]
    NoTarget,
    /// The CA file, or the name of the server.
    #[error("httpform: {0}")]
    Tls(#[from] TlsError),
}

impl HttpForm {
    /// Reads what TLS needs. Connects when somebody logs in: the server may start later.
    ///
    /// # Errors
    /// [`HttpFormError`].
    pub fn open(settings: Settings) -> Result<Arc<Self>, HttpFormError> {
        let target = settings.target.clone().ok_or(HttpFormError::NoTarget)?;
        let tls = match target.is_tls() {
            true => Some(ClientTls::load(settings.ca_file.as_deref(), target.host())?),
            false => None,
        };
        let admission = Admission::new(settings.max_connections, settings.max_waiting);
        let place = target.to_string();
        let connections = Connections::new(target, tls);
        Ok(Arc::new(Self { settings, place, connections, admission }))
    }

    async fn ask(&self, attempt: &Attempt) -> Answer {
        let deadline = Instant::now() + self.settings.timeout;
        let _permit = match self.admission.admit(deadline).await {
            Ok(permit) => permit,
            Err(refusal) => return Answer::Unavailable(refusal.reason("httpform")),
        };
        let form = self.settings.form.fill(&Values {
            user: attempt.identity.user(),
            // As saslauthd: empty where the client named none.
            realm: match attempt.realm {
                RealmSource::Claim | RealmSource::Login => attempt.identity.realm(),
                RealmSource::Default => "",
            },
            password: attempt.password.expose(),
        });
        let answer = match timeout_at(deadline, self.connections.post(form, deadline)).await {
            Ok(Ok(reply)) => self.meaning(&reply),
            Ok(Err(trouble)) => self.unavailable(ReasonCode::BackendDown, &trouble.to_string()),
            Err(_) => {
                let what = format!("no answer within {:?}", self.settings.timeout);
                self.unavailable(ReasonCode::Timeout, &what)
            }
        };
        answer.without(&attempt.password)
    }

    fn meaning(&self, reply: &Reply) -> Answer {
        let words = Printable::from(reply.words.as_str());
        let status = reply.status.as_u16();
        match status {
            200 | 204 => Answer::Accepted(Accepted::default()),
            401 | 403 => {
                let detail = format!("{} said {status} {words}", self.place);
                Answer::Rejected(Reason::new(ReasonCode::BadCredentials, detail))
            }
            300..=399 => self.unavailable(
                ReasonCode::BackendDown,
                &format!("it answered {status} and sends us to \"{words}\", where we do not go"),
            ),
            _ => {
                let what =
                    format!("it answered {status} {words}: 200, 204, 401 or 403 says something");
                self.unavailable(ReasonCode::BackendDown, &what)
            }
        }
    }

    fn unavailable(&self, code: ReasonCode, what: &str) -> Answer {
        Answer::Unavailable(Reason::new(code, format!("{}: {what}", self.place)))
    }
}

impl Verify for HttpForm {
    fn name(&self) -> &'static str {
        "httpform"
    }

    fn verify(self: Arc<Self>, attempt: Arc<Attempt>) -> Verification {
        Verification::Pending(Box::pin(async move { self.ask(&attempt).await }))
    }
}
