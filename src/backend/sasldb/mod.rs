//! The user database of Cyrus SASL, read in place: `sasldb2`.
//!
//! Users keep their passwords on the day Cyrus saslauthd is replaced, and its
//! own tools go on changing them. The three formats are read by safe code of
//! our own, as a snapshot of the whole file: never a write, never a lock, and
//! nothing in the file can make the reader crash, hang or grow.
//!
//! ```text
//! snapshot (the file at one moment) -> format -> berkeley | gdbm | lmdb -> key, value
//! login -> verify -> watched (stat; read again where the file has changed) -> table
//! ```
//!
//! Not for: writing one (saslpasswd2 of Cyrus does, or the users are imported
//! into the store). Called by `daemon` and `cli`.
//!
//! | file | what |
//! |---|---|
//! | `snapshot` | the file as it was at one moment |
//! | `format`, `image` | which format, and reading at offsets that nobody vouches for |
//! | `berkeley`, `gdbm`, `lmdb` | the readers: bytes in, records out |
//! | `entry`, `contents` | what a record is; all of them, for commands |
//! | `verify` | the backend: an attempt in, an answer out |
//! | `watched`, `table` | the file's users in memory, always as they are now |
//! | `realms` | in which realms a user is looked for |

mod berkeley;
mod contents;
mod entry;
mod error;
mod format;
mod gdbm;
mod image;
mod lmdb;
mod realms;
mod settings;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;
mod verify;
mod watched;

pub use contents::{Contents, format_of, read_file};
pub use entry::{Entry, PASSWORD};
pub use error::SasldbError;
pub use format::Format;
pub use realms::HostNames;
pub use settings::Settings;
pub use verify::Sasldb;
