//! The servers that ask a saslauthd about passwords, unmodified, each in a
//! world of its own; what a user is told who logs in there.

mod mail;
mod services;
mod world;

use std::path::Path;

pub(crate) use self::world::World;

/// A server that asks a saslauthd.
pub(crate) struct Client {
    /// As the table names it.
    pub(crate) name: &'static str,
    /// Files that must be there, as patterns of alternatives with `|`.
    pub(crate) needs: &'static [&'static str],
    /// Starts it; the directory holds the socket `mux`.
    pub(crate) start: fn(&Path) -> Box<dyn LogIn>,
    /// What its user is told.
    pub(crate) told: Told,
}

/// What a user is told, by password and by state of saslauthd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) right: &'static str,
    pub(crate) wrong: &'static str,
    /// No saslauthd is there.
    pub(crate) stopped: &'static str,
    /// saslauthd is there, and its backend cannot be asked.
    pub(crate) outage: &'static str,
}

/// A running server that can be logged in to.
pub(crate) trait LogIn {
    /// Logs in as alice; gives what the server says, shortened to what matters.
    fn log_in(&self, password: &str) -> String;

    /// All that it logged.
    fn logs(&self) -> String;
}

impl Client {
    /// What is not there and would have to be.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.needs.iter().copied().filter(|need| !world::has(need)).collect()
    }
}

/// A server in a world.
struct Resident {
    world: World,
    log_in: fn(&World, &str) -> String,
}

impl LogIn for Resident {
    fn log_in(&self, password: &str) -> String {
        (self.log_in)(&self.world, password)
    }

    fn logs(&self) -> String {
        self.world.logs()
    }
}

/// All of them.
pub(crate) const ALL: [&Client; 9] = [
    &mail::SENDMAIL,
    &mail::POSTFIX,
    &mail::EXIM,
    &mail::CYRUS_IMAP,
    &services::SLAPD,
    &services::MEMCACHED,
    &services::SVNSERVE,
    &services::APACHE,
    &services::TESTSASLAUTHD,
];

/// The options of libsasl2 for an application that is to ask saslauthd.
fn sasl_options() -> String {
    "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\nsaslauthd_path: /run/saslauthd/mux\n"
        .to_owned()
}
