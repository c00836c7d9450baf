//! TCP listeners: binding, and the accept loop.
//!
//! Every connection is accepted at once, and one over a limit is handed over
//! as such, since SMTP has a word for it; see [`Slots`](super::Slots).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::slots::Admission;
use super::sort::Complaints;

/// Connections that wait to be accepted; the kernel cuts it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Refusals in progress at once. Each may take a write to a slow peer; beyond
/// this, a connection over the limit is closed without a word.
const MAX_REFUSALS: usize = 64;

/// Binds and listens on `address`: non-blocking, `SO_REUSEADDR`, and for IPv6
/// `IPV6_V6ONLY`, so that `0.0.0.0` and `::` can both be listened on.
/// [`TcpListener::from_std`] brings it into the runtime.
///
/// # Errors
/// Those of `socket(2)`, `bind(2)` and `listen(2)`: the address is in use, not
/// ours, or the port needs a privilege.
pub fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts on `listener` until `stop` is cancelled, and runs `serve` as a task
/// of `tasks` for each connection (with `TCP_NODELAY` on).
///
/// `admit` decides by the far end whether there is a place for it ([`Slots`]). `serve` gets an [`Admission`]: it keeps the permit of an admitted session,
/// and answers the others with its protocol's words (SMTP: `421 4.3.2`). At
/// most 64 refusals run at once, and they must bound their own
/// writes in time; beyond that, connections are closed without a word.
///
/// [`Slots`]: super::Slots
pub async fn serve_tcp<F, Fut>(
    listener: TcpListener,
    admit: impl Fn(IpAddr) -> Admission,
    stop: CancellationToken,
    tasks: TaskTracker,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr, Admission) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let place = listener.local_addr().map_or_else(|_| "TCP".to_owned(), |at| at.to_string());
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let mut complaints = Complaints::default();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Not even this pause holds up a stop.
                stop.run_until_cancelled(complaints.note(&place, &error)).await;
                continue;
            }
        };
        complaints.recovered(&place);
        // Fails only for a peer that is gone already, and then serving finds out.
        let _ = stream.set_nodelay(true);
        let admission = admit(peer.ip());
        if matches!(admission, Admission::Admitted(_)) {
            tasks.spawn(serve(stream, peer, admission));
        } else if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
            let answer = serve(stream, peer, admission);
            tasks.spawn(async move {
                answer.await;
                drop(refusal);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::Slots;
    use super::*;

    async fn line(address: SocketAddr) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut text = vec![0; 3];
        stream.read_exact(&mut text).await.unwrap();
        (stream, String::from_utf8(text).unwrap())
    }

    async fn greet(mut stream: TcpStream, _peer: SocketAddr, admission: Admission) {
        let text = match &admission {
            Admission::Admitted(_) => "220",
            Admission::TooManySessions => "421",
            Admission::TooManyFromAddress => "422",
        };
        stream.write_all(text.as_bytes()).await.unwrap();
        if matches!(admission, Admission::Admitted(_)) {
            let _ = stream.read(&mut [0]).await;
        }
    }

    #[tokio::test]
    async fn admits_refuses_and_stops() {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let (slots, stop, tasks) =
            (Slots::new(2, None), CancellationToken::new(), TaskTracker::new());
        let serving = tokio::spawn(serve_tcp(
            listener,
            {
                let slots = Arc::clone(&slots);
                move |address| slots.admit(address)
            },
            stop.clone(),
            tasks.clone(),
            greet,
        ));
        let (first, text) = line(address).await;
        assert_eq!(text, "220");
        let (second, text) = line(address).await;
        assert_eq!(text, "220");
        assert_eq!(line(address).await.1, "421");
        drop(first);
        while slots.free() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (_third, text) = line(address).await;
        assert_eq!(text, "220");
        stop.cancel();
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "still listening after the stop");
        assert_eq!(slots.free(), 0, "sessions outlive the stop of accepting");
        drop(second);
    }

    #[test]
    fn listens_on_v4_and_v6_with_one_port() {
        let v6 = bind_tcp("[::]:0".parse().unwrap()).unwrap();
        let port = v6.local_addr().unwrap().port();
        bind_tcp(SocketAddr::from(([0, 0, 0, 0], port))).unwrap();
    }
}
