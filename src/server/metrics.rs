//! The metrics endpoint: `GET /metrics` over HTTP/1.1, for Prometheus.
//!
//! On a loopback address or a Unix socket, with neither TLS nor passwords: what
//! it tells is for who runs this host. Bounded in connections and in time, so
//! that a scraper that hangs holds nothing for long.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::listen::{
    Admission, ListenError, Slots, UnixSocket, UnixSocketOptions, bind_tcp, serve_tcp, serve_unix,
};
use crate::ops::metrics::{Exposition, exposition};

/// Where metrics are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    Tcp(SocketAddr),
    /// At a socket file.
    Unix(PathBuf),
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The gate's; `None`: nowhere.
    pub gate: Option<Place>,
    /// Those of authd.
    pub authd: Option<Place>,
    /// Mode of socket files.
    pub socket_mode: u32,
    /// Whether addresses that others reach are allowed.
    pub is_remote_allowed: bool,
}

/// Why nobody can read them.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The address.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// The socket file.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// An endpoint that is bound and does not answer yet.
#[derive(Debug)]
pub enum Endpoint {
    /// At an address.
    Tcp(std::net::TcpListener),
    /// At a socket file.
    Unix(UnixSocket),
}

/// Connections at once.
const MAX_CONNECTIONS: usize = 16;
/// How long one may last: a scrape takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

impl Endpoint {
    /// Binds it. Call it before root is given up.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn bind(place: &Place, socket_mode: u32) -> Result<Self, MetricsError> {
        match place {
            Place::Tcp(address) => {
                let bound = bind_tcp(*address);
                bound.map(Self::Tcp).map_err(|error| MetricsError::Bind(*address, error))
            }
            Place::Unix(path) => {
                let options =
                    UnixSocketOptions { mode: socket_mode, owner: None, directory_mode: 0o755 };
                Ok(Self::Unix(UnixSocket::bind(path, &options)?))
            }
        }
    }

    /// Where it is, for the log.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "TCP".to_owned(), |at| at.to_string())
            }
            Self::Unix(socket) => socket.place(),
        }
    }

    /// Answers with what `write` writes until `stop`.
    ///
    /// # Errors
    /// If the runtime cannot watch the socket.
    pub async fn serve(
        self,
        write: impl Fn(&mut Exposition) + Send + Sync + 'static,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> io::Result<()> {
        let write: Arc<Writer> = Arc::new(write);
        let slots = Slots::new(MAX_CONNECTIONS, None);
        let closing = stop.clone();
        match self {
            Self::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                let serve = move |stream, _, admission| {
                    let (write, closing) = (Arc::clone(&write), closing.clone());
                    async move {
                        if let Admission::Admitted(permit) = admission {
                            closing.run_until_cancelled(converse(stream, write)).await;
                            drop(permit);
                        }
                    }
                };
                serve_tcp(listener, move |address| slots.admit(address), stop, tasks, serve).await;
                Ok(())
            }
            Self::Unix(socket) => {
                let begin = move |stream, permit| {
                    let (write, closing) = (Arc::clone(&write), closing.clone());
                    Some(async move {
                        if let Ok(stream) = UnixStream::from_std(stream) {
                            closing.run_until_cancelled(converse(stream, write)).await;
                        }
                        drop(permit);
                    })
                };
                serve_unix(socket, slots, stop, tasks, begin).await
            }
        }
    }
}

type Writer = dyn Fn(&mut Exposition) + Send + Sync;

fn converse<S>(stream: S, write: Arc<Writer>) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &*write);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    async move {
        if let Ok(Err(error)) = timeout(PATIENCE, connection).await {
            tracing::debug!("metrics: {error}");
        }
    }
}

fn respond<B>(request: &Request<B>, write: &Writer) -> Response<Full<Bytes>> {
    let text = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::from(text));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return text(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut exposition = Exposition::default();
    write(&mut exposition);
    let mut response = Response::new(Full::from(exposition.finish()));
    let kind = HeaderValue::from_static(exposition::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, uri: &str) -> u16 {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        respond(&request, &|to| to.gauge("x", "X.")).status().as_u16()
    }

    #[test]
    fn only_metrics_are_there_and_only_to_be_read() {
        assert_eq!(status(Method::GET, "/metrics"), 200);
        assert_eq!(status(Method::GET, "/metrics?name=x"), 200);
        assert_eq!(status(Method::HEAD, "/metrics"), 200);
        assert_eq!(status(Method::POST, "/metrics"), 405);
        assert_eq!(status(Method::GET, "/"), 404);
    }
}
