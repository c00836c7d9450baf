//! The part of IMAP that checking a password takes (RFC 9051, RFC 3501): one
//! LOGIN command, and the lines that a server answers with.
//!
//! ```text
//! S: * OK [CAPABILITY ...] ready        greeting
//! C: 1 LOGIN "alice" "s3cret"
//! S: * anything                         any number of untagged lines
//! S: 1 OK [CODE] text                   or NO, or BAD
//! ```
//!
//! Pure. Lines are split by the caller; each stands here without its CRLF.

mod login;
mod response;

pub use login::{Unsendable, login};
pub use response::{Condition, Malformed, Reply, Response};
