//! The part of LDAP v3 (RFC 4511) that checking a password takes, as bytes and values.
//!
//! ```text
//! LDAPMessage ::= SEQUENCE { messageID INTEGER, protocolOp CHOICE { ... }, controls [0] OPTIONAL }
//!
//! we write: BindRequest (simple, SASL EXTERNAL), SearchRequest, CompareRequest,
//!           ExtendedRequest (StartTLS), UnbindRequest
//! we read:  BindResponse, SearchResultEntry, SearchResultReference, SearchResultDone,
//!           CompareResponse, ExtendedResponse
//! ```
//!
//! Written here and not taken from a library: those that there are panic at
//! malformed messages (and a panic ends the daemon), take messages of any
//! length, and passwords as text only, in memory that nobody wipes. No
//! recursion over what a server sent, no message beyond a limit of the caller's.
//!
//! | file | what |
//! |---|---|
//! | `ber` | tags, lengths, numbers (X.690, as RFC 4511 §5.1 narrows it) |
//! | `request`, `response` | messages |
//! | `filter` | search filters in text (RFC 4515) |
//! | `escape` | values in filters and in names (RFC 4515 §3, RFC 4514 §2.4) |
//! | `address` | where a server is: `ldap://`, `ldaps://`, `ldapi://` |

mod address;
mod ber;
mod escape;
mod filter;
mod request;
mod response;

pub use address::{Address, AddressError};
pub use ber::{Malformed, frame_bytes};
pub use escape::{filter_value, name_value};
pub use filter::{Filter, FilterError};
pub use request::{Deref, Request, Scope, Search};
pub use response::{Entry, Message, Outcome, Response, ResultCode};
