//! The backend `rimap`: a password is right if an IMAP server lets it log in.
//!
//! One connection for each login, as saslauthd does it, since a connection that
//! has logged in cannot log in again. Unlike there, with TLS, with every address
//! of the server, and with passwords that hold whatever they like. An IMAP
//! server says NO to an unknown user and to a wrong password alike, so this
//! backend never says *unknown*: put it last in a chain.
//!
//! | file | what |
//! |---|---|
//! | `verify` | the backend: who may ask, and what an answer means |
//! | `session` | one connection, from the greeting to LOGOUT |

mod session;
mod settings;
#[cfg(test)]
mod tests;
mod verify;

pub use settings::{Security, Settings};
pub use verify::{Rimap, RimapError};
