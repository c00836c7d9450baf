//! The backend `ldap`: asks a directory whether a password is right.
//!
//! ```text
//!                 search connections             bind connections
//! login ─ door ─▶ bound as bind_dn   ──entry──▶  bound as the user, for one answer
//!                 (find the entry, groups)       (checks the password, and only that)
//! ```
//!
//! As the ldap mechanism of the original, which it takes its file from
//! (`/etc/saslauthd.conf`, read by `config`): search and bind, bind by a
//! template of names (its fastbind), or a comparison with hashes read from the
//! directory (its custom). Connections are kept open, bounded in number, and
//! never shared at one time; every check binds anew at the server. Servers are
//! asked in their order; one that is dead is passed over for a while. All that
//! fails on the way is *unavailable*: a denial comes from the directory.
//!
//! | file | what |
//! |---|---|
//! | `settings`, `template` | what is asked; `%u` and its like |
//! | `login` | one login, from the entry to the answer: the hub |
//! | `failover` | which server is asked, in how much time |
//! | `server` | a server's kept connections, and whether it is alive |
//! | `connection` | one connection: TLS, requests, answers |
//! | `outcome` | what the results of a bind mean |
//! | `scheme` | stored passwords, `{SSHA}` and its like |
//! | `trouble` | why the directory could not be asked |

mod connection;
mod failover;
mod login;
mod outcome;
mod scheme;
mod server;
mod settings;
mod template;
mod trouble;

#[cfg(test)]
mod tests;

pub use failover::{Ldap, LdapError};
pub use settings::{
    Group, InlinePassword, Method, Password, ServiceBind, Settings, StartTls, UserForm,
};
pub use template::{Template, TemplateError};

pub use crate::wire::ldap::{Address, Deref, Scope};
