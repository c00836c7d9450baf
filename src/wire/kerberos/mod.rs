//! The part of Kerberos 5 (RFC 4120) that checking a password takes, as bytes and values.
//!
//! ```text
//! we write: AS-REQ (with PA-ENC-TIMESTAMP), TGS-REQ (with AP-REQ)
//! we read:  AS-REP, TGS-REP, KRB-ERROR, and what is sealed in them and in tickets
//! ```
//!
//! Written here and not taken from a library: what a KDC sends can be anybody's
//! bytes, and a panic ends the daemon; keys and passwords must be wiped; and the
//! types of encryption that Fedora prefers must be known. No recursion over what
//! was sent, nothing larger than the message itself is allocated.
//!
//! | file | what |
//! |---|---|
//! | `der` | tags, lengths, numbers, times (X.690) |
//! | `crypto` | keys: of passwords, sealing, opening, checksums |
//! | `name` | principals |
//! | `request`, `reply` | messages |
//! | `keytab` | the file with the keys of services (MIT's format 0x0502) |
//! | `krb5_conf` | the file that says where the KDCs of a realm are |

mod crypto;
mod der;
pub mod keytab;
pub mod krb5_conf;
mod name;
mod reply;
mod request;
#[cfg(test)]
pub(crate) mod samples;

pub use crypto::{Enctype, Key, Usage};
pub use der::Malformed;
pub use name::{Name, NameKind, Principal};
pub use reply::{
    ErrorReply, KeyInfo, PreauthInfo, Reply, ReplyPart, Sealed, SealedReply, Ticket, TicketPart,
    error_codes,
};
pub use request::{AsRequest, Stamp, TgsRequest, framed};
