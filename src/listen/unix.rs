//! The accept loop of local sockets, with the fast path.
//!
//! Most requests on a local socket are there when their connection is
//! accepted, and most answers need no waiting. Such a connection is read,
//! answered and closed right here: no task, no registration with the reactor,
//! no change of thread. Only what has to wait becomes a task.

use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::slots::{Permit, Slots};
use super::sort::Complaints;
use super::unix_socket::UnixSocket;
use crate::sys::local_socket;

/// Connections accepted, and then served, before other tasks of this thread get a turn.
const TURN: usize = 16;

/// Accepts on `socket` until `stop` is cancelled. A connection is accepted only
/// when `slots` has a place for it; the others wait in the backlog.
///
/// `begin` gets each connection (non-blocking) and does what can be done
/// without waiting: `None` says it is finished, a future is what is left to do,
/// and becomes a task of `tasks`. It must not block.
///
/// On stop the socket file goes first, and whoever has connected by then is
/// still served, which takes as long as they wait for a place; an inherited socket stays with its backlog for the next instance.
///
/// # Errors
/// If the runtime cannot watch the socket. Accept errors end nothing.
pub async fn serve_unix<F, Fut>(
    socket: UnixSocket,
    slots: Arc<Slots>,
    stop: CancellationToken,
    tasks: TaskTracker,
    begin: F,
) -> io::Result<()>
where
    F: Fn(UnixStream, Permit) -> Option<Fut>,
    Fut: Future<Output = ()> + Send + 'static,
{
    let place = socket.place();
    let (listener, file) = socket.into_parts();
    let listener = local_socket::watch(listener)?;
    let mut complaints = Complaints::default();
    let serve = |stream, permit| {
        if let Some(rest) = begin(stream, permit) {
            tasks.spawn(rest);
        }
    };
    let mut arrived = Vec::with_capacity(TURN);
    while let Some(permit) = stop.run_until_cancelled(slots.wait()).await {
        let Some(ready) = stop.run_until_cancelled(listener.readable()).await else { break };
        let mut ready = ready?;
        let (mut next, mut trouble) = (Some(permit), None);
        for _ in 0..TURN {
            let Some(permit) = next.take() else { break };
            match ready.try_io(|listener| local_socket::accept(listener.get_ref())) {
                Ok(Ok(stream)) => {
                    complaints.recovered(&place);
                    arrived.push((stream, permit));
                }
                Ok(Err(error)) => {
                    drop(permit);
                    trouble = Some(error);
                    break;
                }
                // Nobody is waiting any more.
                Err(_) => break,
            }
            next = slots.try_take();
        }
        // Only now: between its connect and its write a client needs a moment, too.
        arrived.drain(..).for_each(|(stream, permit)| serve(stream, permit));
        if let Some(error) = trouble {
            stop.run_until_cancelled(complaints.note(&place, &error)).await;
        }
        tokio::task::consume_budget().await;
    }
    if let Some(file) = file {
        drop(file);
        // All places may be taken: those who wait get theirs as others end, as always.
        loop {
            let permit = slots.wait().await;
            let Ok(stream) = local_socket::accept(listener.get_ref()) else { break };
            serve(stream, permit);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::path::PathBuf;
    use std::time::Duration;

    use tokio::task::JoinHandle;

    use super::*;
    use crate::listen::UnixSocketOptions;

    struct Service {
        _dir: tempfile::TempDir,
        path: PathBuf,
        socket: Option<UnixSocket>,
        slots: Arc<Slots>,
        stop: CancellationToken,
        tasks: TaskTracker,
    }

    impl Service {
        fn bound(sessions: usize) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("mux");
            let options = UnixSocketOptions { mode: 0o600, owner: None, directory_mode: 0o700 };
            Self {
                socket: Some(UnixSocket::bind(&path, &options).unwrap()),
                path,
                _dir: dir,
                slots: Slots::new(sessions, None),
                stop: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }
        }

        fn start(&mut self) -> JoinHandle<io::Result<()>> {
            let (slots, stop) = (Arc::clone(&self.slots), self.stop.clone());
            let socket = self.socket.take().unwrap();
            tokio::spawn(serve_unix(socket, slots, stop, self.tasks.clone(), echo))
        }

        async fn wait_for_free(&self, places: usize) {
            while self.slots.free() != places {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Answers `!` inline if the request is there, else `?` from a task.
    fn echo(stream: UnixStream, permit: Permit) -> Option<impl Future<Output = ()> + Send> {
        if (&stream).read_exact(&mut [0]).is_ok() {
            (&stream).write_all(b"!").unwrap();
            return None;
        }
        Some(async move {
            let stream = tokio::net::UnixStream::from_std(stream).unwrap();
            stream.readable().await.unwrap();
            stream.try_write(b"?").unwrap();
            drop(permit);
        })
    }

    async fn answer(mut stream: UnixStream) -> u8 {
        let read = move || {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            byte[0]
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    #[tokio::test]
    async fn answers_inline_what_is_there_and_makes_a_task_of_what_is_not() {
        let mut service = Service::bound(4);
        let mut early = UnixStream::connect(&service.path).unwrap();
        early.write_all(b"x").unwrap();
        let serving = service.start();
        assert_eq!(answer(early).await, b'!');
        let mut late = UnixStream::connect(&service.path).unwrap();
        service.wait_for_free(2).await; // of 4: its place, and the one that is held for the next
        late.write_all(b"x").unwrap();
        assert_eq!(answer(late).await, b'?');
        service.stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!service.path.exists(), "the socket file goes with the listener");
    }

    #[tokio::test]
    async fn lets_connections_wait_for_a_place() {
        let mut service = Service::bound(1);
        let serving = service.start();
        let mut first = UnixStream::connect(&service.path).unwrap();
        let mut second = UnixStream::connect(&service.path).unwrap();
        second.write_all(b"x").unwrap();
        first.write_all(b"x").unwrap();
        answer(first).await;
        answer(second).await;
        service.stop.cancel();
        serving.await.unwrap().unwrap();
        service.wait_for_free(1).await;
    }

    #[tokio::test]
    async fn serves_who_waits_for_a_place_at_the_stop() {
        let mut service = Service::bound(1);
        let mut first = UnixStream::connect(&service.path).unwrap();
        let mut second = UnixStream::connect(&service.path).unwrap();
        second.write_all(b"x").unwrap();
        let serving = service.start();
        service.wait_for_free(0).await;
        service.stop.cancel();
        while service.path.exists() {
            tokio::task::yield_now().await;
        }
        first.write_all(b"x").unwrap();
        assert_eq!(answer(first).await, b'?');
        assert_eq!(answer(second).await, b'!');
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn serves_whoever_has_connected_before_the_stop() {
        let mut service = Service::bound(4);
        let mut waiting = UnixStream::connect(&service.path).unwrap();
        waiting.write_all(b"x").unwrap();
        service.stop.cancel();
        service.start().await.unwrap().unwrap();
        assert_eq!(answer(waiting).await, b'!');
    }
}
