//! Settings of the directory: from `[ldap]`, or from the original's file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::template::Template;
use crate::base::Secret;
use crate::tls::Trust;
use crate::wire::ldap::{Address, Deref, Scope};

/// What is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The original's file; where it is named, it gives what it has keys for.
    pub original: Option<PathBuf>,
    /// Servers in the order they are asked. Never empty.
    pub servers: Vec<Address>,
    /// When `ldap://` becomes TLS.
    pub start_tls: StartTls,
    /// Whom servers' certificates must come from.
    pub trust: Trust,
    /// As whom entries and groups are looked up.
    pub service_bind: ServiceBind,
    /// Name to bind as for that; empty: nobody.
    pub bind_dn: String,
    /// Its password; `None` where nobody is bound as.
    pub password: Option<Password>,
    /// How a password is checked.
    pub method: Method,
    /// Where the search for a user begins.
    pub base: Template,
    /// Which entry is a user's. Exactly one may fit.
    pub filter: Template,
    /// How far the search goes.
    pub scope: Scope,
    /// Name of a user's entry, for [`Method::Template`].
    pub name: Template,
    /// Attribute with hashes, for [`Method::Custom`].
    pub password_attribute: String,
    /// What becomes of aliases.
    pub deref: Deref,
    /// Entries that a server may give; more than one is refused anyway. 0: its own limit.
    pub size_limit: u32,
    /// Longest that a server may search; whole seconds. Zero: its own limit.
    pub time_limit: Duration,
    /// Who of the right ones is let in.
    pub group: Group,
    /// `%r` of a login without a realm; may be empty.
    pub default_realm: String,
    /// What `%u` is.
    pub user: UserForm,
    /// Deadline of one login, waiting included.
    pub timeout: Duration,
    /// Logins at once, and so the connections of each kind to a server.
    pub max_connections: usize,
    /// Logins that may wait; more are refused as unavailable.
    pub max_waiting: usize,
    /// A connection that had nothing to do for this long is closed.
    pub idle_timeout: Duration,
    /// A server that failed is passed over for this long, while there are others.
    pub retry_after: Duration,
    /// What the administrator should know of the original's file; logged once.
    pub notes: Vec<String>,
}

/// When `ldap://` becomes TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// With servers that are not on this host.
    Remote,
    /// With all.
    Always,
    /// Never: passwords can be read on the wire.
    Never,
}

/// As whom entries are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceBind {
    /// As `bind_dn` with its password, or as nobody where there is none.
    Simple,
    /// As whom the connection makes us (SASL EXTERNAL).
    External,
}

/// Where the password of `bind_dn` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// In this file, which only we and root can read.
    File(PathBuf),
    /// In the original's file.
    Inline(InlinePassword),
}

impl Settings {
    /// True if a server is reached over the network, and not over a socket of this host.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.servers.iter().any(|server| matches!(server, Address::Tcp { .. }))
    }
}

/// A password that came with the settings.
#[derive(Clone)]
pub struct InlinePassword(Arc<Secret>);

impl InlinePassword {
    /// Takes it.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(Arc::new(secret))
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.0
    }
}

impl std::fmt::Debug for InlinePassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl PartialEq for InlinePassword {
    fn eq(&self, other: &Self) -> bool {
        self.0.matches(&other.0)
    }
}

impl Eq for InlinePassword {}

/// How a password is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Find the entry, then bind as it.
    Search,
    /// Bind as a name made of the login; the original's fastbind.
    Template,
    /// Find the entry and compare with the hashes in it; the original's custom.
    Custom,
}

/// Who of those with the right password is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// An entry that must name the user in `attribute`; empty: none.
    pub name: Template,
    /// Attribute with the names of members.
    pub attribute: String,
    /// A filter that must find something; empty: none. Knows `%D`.
    pub filter: Template,
    /// Where that search begins; empty: where users are searched.
    pub base: Template,
    /// How far it goes.
    pub scope: Scope,
}

/// What `%u` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserForm {
    /// What the client sent as login: `alice`, or all of `alice@example.org`
    /// from a client that does not split it. As the original.
    Local,
    /// `alice@example.org` whenever the client named a realm; as the original with `-r`.
    Full,
}
