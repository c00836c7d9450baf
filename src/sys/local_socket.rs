//! Unix stream sockets: accepting without a second system call, who the peer
//! is, whether somebody listens, and a lock that goes with the process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{self, SockFlag, SockType, UnixAddr, UnixCredentials};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Longest path that fits a Unix socket address, in bytes (`sun_path` less its NUL).
pub const MAX_PATH_BYTES: usize = 107;

/// Accepts one connection, non-blocking and close-on-exec, in one system call.
///
/// # Errors
/// Those of `accept4(2)`; `WouldBlock` if nobody waits and `listener` is non-blocking.
pub fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let raw = socket::accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: accept4 has just given us this descriptor, it is open, and nobody else knows it.
    let owned = unsafe { OwnedFd::from_raw_fd(raw) };
    Ok(UnixStream::from(owned))
}

/// Watches `listener` (non-blocking) with the reactor of the current runtime,
/// without accepting for it as tokio's own listener would.
///
/// # Errors
/// If the reactor cannot take it.
pub fn watch(listener: UnixListener) -> io::Result<AsyncFd<UnixListener>> {
    // SAFETY: a UnixListener owns its open descriptor, and nothing can replace
    // or close it while the AsyncFd owns the listener.
    let watched = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
    Ok(watched?)
}

/// The process at the other end of a connection, as the kernel saw it when it
/// connected (or, of a listener, when it began to listen).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its effective uid.
    pub uid: u32,
    /// Its effective gid.
    pub gid: u32,
    /// Its process id; 0 if it is of another pid namespace.
    pub pid: i32,
}

/// Who is at the other end (`SO_PEERCRED`); `None` if the kernel does not say.
#[must_use]
pub fn peer(stream: &UnixStream) -> Option<Peer> {
    let seen: UnixCredentials =
        socket::getsockopt(stream, socket::sockopt::PeerCredentials).ok()?;
    Some(Peer { uid: seen.uid(), gid: seen.gid(), pid: seen.pid() })
}

/// What a connection attempt tells of a socket file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupant {
    /// There is no such file.
    Nobody,
    /// A file that nobody listens on.
    Stale,
    /// Somebody listens; the pid where the kernel says it.
    Live(Option<i32>),
}

/// Finds out whether somebody listens on `path`. Never waits: a full backlog is a live socket.
///
/// # Errors
/// Any error of `connect(2)` that leaves the question open.
pub fn occupant(path: &Path) -> io::Result<Occupant> {
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => {
            let stream = UnixStream::from(OwnedFd::from(probe));
            let pid = peer(&stream).map(|peer| peer.pid).filter(|pid| *pid > 0);
            Ok(Occupant::Live(pid))
        }
        Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::ENOENT => Ok(Occupant::Nobody),
            Errno::ECONNREFUSED => Ok(Occupant::Stale),
            Errno::EAGAIN | Errno::EINPROGRESS => Ok(Occupant::Live(None)),
            _ => Err(error),
        },
    }
}

/// Creates a socket file at `path` that refuses connections until [`listen`]
/// is called on it, so that its owner and mode can be set before anybody gets in.
///
/// # Errors
/// Those of `socket(2)` and `bind(2)`; `AddrInUse` if the path exists.
pub fn bind(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let unbound = socket::socket(socket::AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::bind(unbound.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(unbound)
}

/// Starts to listen on a bound socket; non-blocking as [`bind`] made it.
///
/// # Errors
/// Those of `listen(2)`.
pub fn listen(bound: OwnedFd, backlog: i32) -> io::Result<UnixListener> {
    let backlog = socket::Backlog::new(backlog)?;
    socket::listen(&bound, backlog)?;
    Ok(UnixListener::from(bound))
}

/// Takes the lock file `path` (0600) for as long as the returned value lives;
/// `None` if another process holds it. The file itself stays: removing a lock
/// file that a third process is just opening would give two holders.
///
/// # Errors
/// Those of `open(2)`; a symbolic link is refused.
pub fn lock(path: &Path) -> io::Result<Option<Flock<File>>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own_process_as_peer() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let peer = peer(&ours).unwrap();
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(peer.pid, nix::unistd::getpid().as_raw());
    }

    #[test]
    fn tells_a_live_socket_from_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        assert_eq!(occupant(&path).unwrap(), Occupant::Nobody);
        let bound = bind(&path).unwrap();
        assert_eq!(occupant(&path).unwrap(), Occupant::Stale, "bound is not listening");
        let listener = listen(bound, 1).unwrap();
        let ours = nix::unistd::getpid().as_raw();
        assert_eq!(occupant(&path).unwrap(), Occupant::Live(Some(ours)));
        while occupant(&path).unwrap() == Occupant::Live(Some(ours)) {}
        assert_eq!(occupant(&path).unwrap(), Occupant::Live(None), "a full backlog is alive");
        drop(listener);
        assert_eq!(occupant(&path).unwrap(), Occupant::Stale);
    }

    #[test]
    fn accepts_without_blocking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux");
        let listener = listen(bind(&path).unwrap(), 8).unwrap();
        assert_eq!(accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let _client = UnixStream::connect(&path).unwrap();
        let stream = accept(&listener).unwrap();
        let read = io::Read::read(&mut &stream, &mut [0]);
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn gives_a_lock_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mux.lock");
        let held = lock(&path).unwrap().unwrap();
        assert!(lock(&path).unwrap().is_none());
        drop(held);
        assert!(lock(&path).unwrap().is_some());
    }
}
