//! Users that come along from elsewhere, and move to another host.
//!
//! A *source* reads one kind of file and gives a [`Record`] for each user in
//! it, usable or not; the [`Importer`] writes those that are usable, thousands
//! in a transaction. Killed at any moment it leaves whole users, and a second
//! run does the rest. Passwords in clear text are hashed on all cores; hashes
//! are kept as they are, and replaced by ours at the next login (`judge`).
//! Called by `cli`.
//!
//! | file | what |
//! |---|---|
//! | `candidate` | a user on the way in, checked |
//! | `schemes` | hashes as Dovecot, crypt(3) and Apache write them |
//! | `lines` | files of lines: shadow, passwd-file, htpasswd |
//! | `sasldb`, `table`, `transfer` | a sasldb2, CSV, our own export |
//! | `importer` | what is written, what is left alone |

mod candidate;
mod importer;
mod lines;
mod sasldb;
mod schemes;
mod table;
mod transfer;

#[cfg(test)]
mod tests;

pub use candidate::{Candidate, Record, SourceError};
pub use importer::{Importer, Mode, Outcome};
pub use lines::{LineFormat, Lines};
pub use sasldb::sasldb;
pub use table::Table;
pub use transfer::{Export, Transfers};
