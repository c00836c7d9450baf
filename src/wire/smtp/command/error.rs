//! What is wrong with a command line, and the one place that says so to the client.
//!
//! Texts name what would have been right. Whatever of the client's own is
//! repeated was bounded and printable before it came here.

use super::super::path::{Direction, PathError};
use super::super::reply::Reply;

/// Why a line is no command. The client's fault, all of them. What of the
/// client's text is carried is printable ASCII and short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// Nothing, or a blank, where the verb should start.
    Empty,
    /// A control character other than TAB.
    ControlCharacter,
    /// The verb is known, its argument is not of this form.
    Syntax {
        /// What would have been right.
        usage: &'static str,
    },
    /// EHLO or HELO without a name.
    NoClientName {
        /// `EHLO` or `HELO`.
        verb: &'static str,
    },
    /// A name that cannot be one.
    BadClientName,
    /// An address that is none.
    BadPath {
        /// Of which command.
        direction: Direction,
        /// What is wrong with it.
        error: PathError,
    },
    /// An address outside ASCII, and the transaction was not declared SMTPUTF8
    /// (RFC 6531 §3.4).
    NeedsSmtpUtf8,
    /// A parameter that does not exist, or belongs to an extension that is not offered.
    UnknownParameter(String),
    /// A parameter that stands twice.
    DuplicateParameter(&'static str),
    /// A parameter with a value it cannot have.
    BadParameter {
        /// The keyword.
        keyword: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

impl CommandError {
    /// The reply that says so (codes of RFC 5321 §4.2.2 and RFC 3463).
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Empty => Reply::new(500, "5.5.2", "Empty command"),
            Self::ControlCharacter => {
                Reply::new(500, "5.5.2", "Control characters are not allowed in a command")
            }
            Self::Syntax { usage } => Reply::new(501, "5.5.2", format!("Syntax: {usage}")),
            Self::NoClientName { verb } => {
                Reply::new(501, "5.5.2", format!("{verb} requires a domain or address literal"))
            }
            Self::BadClientName => Reply::new(501, "5.5.2", "Invalid domain name"),
            Self::BadPath { direction: Direction::Reverse, error } => {
                Reply::new(501, "5.1.7", format!("Bad sender address: {error}"))
            }
            Self::BadPath { direction: Direction::Forward, error } => {
                Reply::new(501, "5.1.3", format!("Bad recipient address: {error}"))
            }
            Self::NeedsSmtpUtf8 => {
                Reply::new(553, "5.6.7", "Address outside ASCII needs SMTPUTF8 in MAIL")
            }
            Self::UnknownParameter(keyword) => {
                Reply::new(555, "5.5.4", format!("{keyword} parameter unrecognized"))
            }
            Self::DuplicateParameter(keyword) => {
                Reply::new(501, "5.5.4", format!("Duplicate {keyword} parameter"))
            }
            Self::BadParameter { keyword, expected } => {
                Reply::new(501, "5.5.4", format!("{keyword} must be {expected}"))
            }
        }
    }
}
