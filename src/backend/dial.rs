//! A TCP connection to a server that is named by host and port.
//!
//! The name is looked up each time, so that a server that moved is found, and
//! every address gets its share of the time that is left.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

/// Bytes both ways, in clear or inside TLS.
pub(in crate::backend) trait Channel:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Channel for T {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::backend) enum DialError {
    #[error("cannot look up {place}: {source}")]
    Resolve { place: String, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
    #[error("cannot connect to {place} ({address}): {source}")]
    Connect { place: String, address: SocketAddr, source: io::Error },
}

/// Connects to `host` (a name or an address without brackets), trying its
/// addresses in the order the system gives them.
///
/// # Errors
/// [`DialError`], of the address tried last.
pub(in crate::backend) async fn tcp(
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let place = || format!("{host}:{port}");
    let found = lookup_host((host, port)).await;
    let found = found.map_err(|source| DialError::Resolve { place: place(), source })?;
    let mut left: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
    left.reverse();
    let mut failure = DialError::NoAddress(place());
    while let Some(address) = left.pop() {
        let rest = deadline.saturating_duration_since(Instant::now());
        let share = rest / u32::try_from(left.len() + 1).unwrap_or(u32::MAX);
        let source = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small messages that somebody waits for; not worth failing for.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(source)) => source,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        failure = DialError::Connect { place: place(), address, source };
    }
    Err(failure)
}

/// More than any service has; a name that has more is somebody's game.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn goes_on_to_the_next_address_and_says_where_it_failed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let deadline = Instant::now() + Duration::from_secs(60);
        // localhost may be ::1 first, where nobody listens.
        tcp("localhost", port, deadline).await.unwrap();
        drop(listener);
        let error = tcp("127.0.0.1", port, deadline).await.unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
        let error = tcp("no-such-host.invalid", 1, deadline).await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid:1"), "{error}");
    }
}
