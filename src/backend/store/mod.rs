//! The password store: one SQLite file, argon2id, many processes at once.
//!
//! [`PasswordStore`] is what authd asks (it implements `auth::Verify`);
//! [`Store`] is what commands change users with. Both may have the file open
//! at the same time, in any number of processes: a change is durable when the
//! call returns, and the next request of every process sees it.
//!
//! ```text
//! verify:  lookup (inline, microseconds) -> judge (argon2id, own threads) -> answer
//!                                            keeper: last-used times, upgraded hashes, replaced files
//! change:  admin -> policy -> hashing -> one transaction, synced -> checkpoint
//! ```
//!
//! Not for: rules about names (`base::Identity`), the floor on refusals and the
//! log event (`auth`, `server`), files of Cyrus (`backend::sasldb`; a sasldb2 is
//! recognised only to say what to do with it). Called by `daemon` and `cli`.
//!
//! | file | what |
//! |---|---|
//! | `admin` | users added, changed, listed |
//! | `app_admin` | their app passwords |
//! | `app_password`, `scope` | what such a password is, and where it may be used |
//! | `policy`, `password` | whether a new password is good enough, and what is stored of it |
//! | `import` | users from elsewhere, and to elsewhere |
//! | `verify`, `judge` | the backend: an attempt in, an answer out |
//! | `lookup` | pooled connections; reopens a file that was replaced |
//! | `keeper` | the background thread |
//! | `creation`, `file` | a new store; whose it is and who else can get at it |
//! | `schema` | tables and pragmas |

mod admin;
mod app_admin;
mod app_password;
mod creation;
mod error;
mod file;
pub mod import;
mod judge;
mod keeper;
mod lookup;
mod password;
mod policy;
mod record;
mod schema;
mod scope;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

pub use admin::{Access, Store, Users};
pub use error::StoreError;
pub use file::inspect;
pub use policy::{Policy, Weakness};
pub use record::{AppPassword, Kind, Moment, State, User};
pub use scope::{Label, Scope, ScopeError};
pub use settings::{Scram, Settings};
pub use verify::PasswordStore;
