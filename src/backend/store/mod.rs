//! The password store: one SQLite file, argon2id, many processes at once.
//!
//! [`PasswordStore`] is what authd asks (it implements `auth::Verify`);
//! [`Store`] is what commands change users with. Both may have the file open
//! at the same time, in any number of processes: a change is durable when the
//! call returns, and the next request of every process sees it.
//!
//! ```text
//! verify:  lookup (inline, microseconds) -> hashing (argon2id, own threads) -> answer
//!                                            keeper: last-used times, replaced files
//! change:  admin -> hashing -> one transaction, synced -> checkpoint
//! ```
//!
//! Not for: rules about names (`base::Identity`), the floor on refusals and the
//! log event (`auth`, `server`), files of Cyrus (`backend::sasldb`; a sasldb2 is
//! recognised only to say what to do with it). Called by `daemon` and `cli`.
//!
//! | file | what |
//! |---|---|
//! | `admin` | users added, changed, listed |
//! | `verify` | the backend: an attempt in, an answer out |
//! | `lookup` | pooled connections; reopens a file that was replaced |
//! | `keeper` | the background thread |
//! | `creation`, `file` | a new store; whose it is and who else can get at it |
//! | `schema` | tables and pragmas |

mod admin;
mod creation;
mod error;
mod file;
mod keeper;
mod lookup;
mod record;
mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

pub use admin::{Access, Store, Users};
pub use error::StoreError;
pub use file::inspect;
pub use record::{Moment, State, User};
pub use settings::Settings;
pub use verify::PasswordStore;
