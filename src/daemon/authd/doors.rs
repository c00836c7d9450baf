//! The sockets of authd: the default one and those of `[[authd.listener]]`, and who may ask at each.
//!
//! They are opened while we may still be root, and names of accounts become
//! uids here, since that may block. A reload takes over who may ask; a socket
//! that is gone from the configuration stays open until the restart, and
//! answers that nobody can be asked.

use std::path::Path;

use super::StartError;
use crate::config::Config;
use crate::listen::{UnixSocket, UnixSocketOptions};
use crate::ops::systemd::InheritedSockets;
use crate::server::saslauthd::{Guests, ListenerSettings, Settings};
use crate::sys::users;

/// Name of the default socket among several inherited ones (`FileDescriptorName=`).
pub(super) const SOCKET_NAME: &str = "saslauthd";

/// An open socket that nobody serves yet.
pub(super) struct Door {
    /// `None`: the default one.
    pub(super) name: Option<String>,
    pub(super) socket: UnixSocket,
    pub(super) guests: Guests,
}

/// How a socket is wanted.
struct Plan<'a> {
    name: Option<&'a str>,
    socket: &'a Path,
    options: UnixSocketOptions,
    allowed_users: &'a [String],
}

/// Opens every socket of `config`, the default one first: the one that the
/// service manager gave us, or else a new one.
pub(super) fn open(
    config: &Config,
    inherited: &mut InheritedSockets,
) -> Result<Vec<Door>, StartError> {
    // The default one comes last: it takes a single socket whatever that is called.
    let mut doors = Vec::new();
    for plan in plans(&config.saslauthd).rev() {
        let given = match plan.name {
            Some(name) => inherited.take_unix_called(&format!("{SOCKET_NAME}-{name}")),
            None => inherited.take_unix(SOCKET_NAME),
        };
        let socket = match given.map_err(StartError::Inherited)? {
            Some(listener) => UnixSocket::inherited(listener).map_err(StartError::Inherited)?,
            None if plan.name.is_none() && inherited.left() > 0 => {
                return Err(StartError::NoneInherited(inherited.left()));
            }
            None => UnixSocket::bind(plan.socket, &plan.options)?,
        };
        doors.push(Door { name: plan.name.map(str::to_owned), socket, guests: plan.guests()? });
    }
    doors.reverse();
    Ok(doors)
}

/// Binds every socket of `config`, the default one first.
pub(super) fn bind(config: &Config) -> Result<Vec<Door>, StartError> {
    let bind = |plan: Plan<'_>| {
        let socket = UnixSocket::bind(plan.socket, &plan.options)?;
        Ok(Door { name: plan.name.map(str::to_owned), socket, guests: plan.guests()? })
    };
    plans(&config.saslauthd).map(bind).collect()
}

/// Who may ask at the socket called `name`; `None` if `config` has no such socket.
pub(super) fn guests(config: &Config, name: Option<&str>) -> Result<Option<Guests>, StartError> {
    let plan = plans(&config.saslauthd).find(|plan| plan.name == name);
    plan.map(|plan| plan.guests()).transpose()
}

/// True if the sockets beside the default one are others, or made in another way.
pub(super) fn differ(old: &Settings, new: &Settings) -> bool {
    let made = |listener: &ListenerSettings| ListenerSettings {
        allowed_users: Vec::new(),
        ..listener.clone()
    };
    !old.listeners.iter().map(made).eq(new.listeners.iter().map(made))
}

fn plans(settings: &Settings) -> impl DoubleEndedIterator<Item = Plan<'_>> {
    let default = Plan {
        name: None,
        socket: &settings.socket,
        options: UnixSocketOptions {
            mode: settings.socket_mode,
            owner: settings.socket_owner.clone(),
            directory_mode: settings.directory_mode,
        },
        allowed_users: &settings.allowed_users,
    };
    let others = settings.listeners.iter().map(|listener| Plan {
        name: Some(&listener.name),
        socket: &listener.socket,
        options: UnixSocketOptions {
            mode: listener.socket_mode,
            owner: listener.socket_owner.clone(),
            directory_mode: listener.directory_mode,
        },
        allowed_users: &listener.allowed_users,
    });
    std::iter::once(default).chain(others)
}

impl Plan<'_> {
    fn guests(&self) -> Result<Guests, StartError> {
        if self.allowed_users.is_empty() {
            return Ok(Guests::Everybody);
        }
        let uids = self.allowed_users.iter().map(|name| users::uid(name).map(|uid| uid.as_raw()));
        let uids = uids.collect::<Result<_, _>>().map_err(|source| StartError::Guest {
            key: self.name.map_or_else(
                || "authd.allowed_users".to_owned(),
                |name| format!("allowed_users of the listener {name}"),
            ),
            source,
        })?;
        Ok(Guests::Only(uids))
    }
}
