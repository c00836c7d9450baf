//! Accepting connections: limits before work, sorted accept errors, drain on stop.
//!
//! For every server that listens: the gate ([`bind_tcp`], [`serve_tcp`]) and
//! the local sockets ([`UnixSocket`], [`serve_unix`]). It knows no protocol: a
//! server hands in what to do with a connection. A connection over a limit is
//! still handed over where the protocol has a word for it ([`Admission`]); a
//! local peer simply waits in the backlog.
//!
//! Stopping: cancel the token, and accepting ends; sessions run as tasks of
//! the tracker that was handed in, so the caller waits for them as long as it
//! likes.

mod slots;
mod sort;
mod tcp;
mod unix;
mod unix_socket;

pub use slots::{Admission, Permit, Slots};
pub use tcp::{bind_tcp, serve_tcp};
pub use unix::serve_unix;
pub use unix_socket::{ListenError, UnixSocket, UnixSocketOptions};
