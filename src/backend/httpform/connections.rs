//! Kept connections to a web server, and one request over one of them.
//!
//! Most servers close an idle connection after some seconds and say nothing, so
//! ours are kept for one. A request is sent again only where not a byte of it
//! was sent: an application must not count one wrong password twice.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::target::Target;
use crate::backend::dial::{self, Channel, DialError};
use crate::tls::{ClientTls, HandshakeError};

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("no verified TLS: {0}")]
    Tls(#[from] HandshakeError),
    #[error("the exchange failed: {0}")]
    Http(String),
}

/// What a server answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// Its words behind the status, or where it sends us to.
    pub(super) words: String,
}

/// The connections to one target.
pub(super) struct Connections {
    target: Target,
    tls: Option<ClientTls>,
    idle: Mutex<Vec<Idle>>,
}

type Sender = SendRequest<Full<Bytes>>;

/// The last one in is the first one out, so that what is not needed grows old.
struct Idle {
    sender: Sender,
    since: Instant,
}

impl Connections {
    pub(super) fn new(target: Target, tls: Option<ClientTls>) -> Self {
        Self { target, tls, idle: Mutex::default() }
    }

    /// Posts `form`. The caller bounds the time, and how many do this at once.
    pub(super) async fn post(
        &self,
        form: Zeroizing<Vec<u8>>,
        deadline: Instant,
    ) -> Result<Reply, Trouble> {
        let mut request = self.request(form)?;
        if let Some(mut sender) = self.take_idle() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.finish(sender, response).await),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(failed.error())),
                },
            }
        }
        let mut sender = self.open(deadline).await?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        Ok(self.finish(sender, response).await)
    }

    fn request(&self, form: Zeroizing<Vec<u8>>) -> Result<Request<Full<Bytes>>, Trouble> {
        Request::post(self.target.path())
            .header("host", self.target.authority())
            .header("user-agent", "saslgate")
            .header("accept", "*/*")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from_owner(form)))
            .map_err(|error| Trouble::Http(error.to_string()))
    }

    async fn open(&self, deadline: Instant) -> Result<Sender, Trouble> {
        let stream = dial::tcp(self.target.host(), self.target.port(), deadline).await?;
        let channel: Box<dyn Channel> = match &self.tls {
            Some(tls) => Box::new(tls.connect(stream).await?),
            None => Box::new(stream),
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS)
            .handshake(TokioIo::new(channel))
            .await
            .map_err(|error| broken(&error))?;
        // Ends when the sender is dropped, or with the connection; what went
        // wrong is told to whoever waits for a response.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    /// Reads what is left of a response, so that the connection can be kept.
    async fn finish(&self, sender: Sender, response: Response<Incoming>) -> Reply {
        let status = response.status();
        let words = match response.headers().get(hyper::header::LOCATION) {
            Some(place) if status.is_redirection() => {
                String::from_utf8_lossy(place.as_bytes()).into()
            }
            _ => phrase(&response),
        };
        let is_read = timeout(BODY_TIME, drain(response.into_body())).await.unwrap_or(false);
        if is_read && !sender.is_closed() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(Idle { sender, since: Instant::now() });
        }
        Reply { status, words }
    }

    fn take_idle(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.since.elapsed() < KEPT && !idle.sender.is_closed());
        while let Some(Idle { sender, .. }) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }
}

/// True if the body ended within its bounds.
async fn drain(mut body: Incoming) -> bool {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BODY_BYTES {
            return false;
        }
    }
    true
}

/// The words behind the status: the server's own, else the usual ones.
fn phrase(response: &Response<Incoming>) -> String {
    match response.extensions().get::<hyper::ext::ReasonPhrase>() {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into(),
        None => response.status().canonical_reason().unwrap_or("").to_owned(),
    }
}

fn broken(error: &hyper::Error) -> Trouble {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    Trouble::Http(format!("{error}{}", cause.unwrap_or_default()))
}

/// Status line and headers at most.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 100;
/// What is read of a body that nobody looks at, to keep its connection.
const BODY_BYTES: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(1);
/// How long a connection is kept without a request.
const KEPT: Duration = Duration::from_secs(1);
