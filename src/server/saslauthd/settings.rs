//! Settings of the saslauthd socket.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how the saslauthd socket is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path of the socket file. Its directory is the real access control; at most 107 bytes.
    pub socket: PathBuf,
    /// Mode of the socket file (permission bits only).
    pub socket_mode: u32,
    /// `user`, `user:group` or `:group` for the socket file; `None` leaves it as created.
    pub socket_owner: Option<String>,
    /// Mode of the socket's directory where we create it; an existing one is left as it is.
    pub directory_mode: u32,
    /// Accounts (names or numbers) whose processes may ask; empty: all.
    pub allowed_users: Vec<String>,
    /// Further sockets.
    pub listeners: Vec<ListenerSettings>,
    /// Connections served at once, on each socket; more wait in the backlog.
    pub max_connections: usize,
    /// Connections of one uid on one socket that may wait, for the rest of a request or for a
    /// verdict; more are told that nobody can be asked.
    pub max_connections_per_uid: usize,
    /// A peer must have sent its whole request within this time.
    pub request_timeout: Duration,
    /// What an outage looks like on the wire.
    pub unavailable: UnavailableReply,
}

/// A socket beside the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// Its name: in logs, as the entrance of its logins, and behind `saslauthd-` where the
    /// service manager opens it. Lower-case letters, digits and hyphens, 1 to 64; unique.
    pub name: String,
    /// As [`Settings::socket`].
    pub socket: PathBuf,
    /// As [`Settings::socket_mode`].
    pub socket_mode: u32,
    /// As [`Settings::socket_owner`].
    pub socket_owner: Option<String>,
    /// As [`Settings::directory_mode`].
    pub directory_mode: u32,
    /// As [`Settings::allowed_users`].
    pub allowed_users: Vec<String>,
}

/// What the client sees when nobody could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnavailableReply {
    /// Close without a reply: libsasl2 reports a temporary failure (Postfix: 454).
    Close,
    /// Answer `NO`, as the original does: the client takes it for a wrong password.
    No,
}
