//! Command lines of a client as values (RFC 5321 §4.1), and MAIL and RCPT as lines for the backend.
//!
//! ```text
//! verb [SP argument]                                 verb in any case
//! MAIL FROM:<path> [SP keyword[=value]]...           a blank behind the colon is tolerated
//! RCPT TO:<path> [SP keyword[=value]]...
//! AUTH mechanism [SP base64]
//! ```
//!
//! Called by the gate's session with lines of [`super::line`]. Only syntax is
//! judged here; what is allowed when is the session's business. What an
//! argument-less verb is sent with, and every parameter that is not known, is
//! refused: nothing travels through unread.

mod client;
mod envelope;
mod error;
mod parameter;

#[cfg(test)]
mod tests;

pub use client::ClientName;
pub use envelope::{Mail, Rcpt};
pub use error::CommandError;
pub use parameter::{Body, Notify, Parameter, RcptParameter, Ret};

use super::auth::Encoded;

/// A command of a client. Its `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The greeting of RFC 5321.
    Ehlo(ClientName),
    /// The greeting of RFC 821.
    Helo(ClientName),
    /// RFC 3207.
    StartTls,
    /// RFC 4954.
    Auth {
        /// Upper case; 1 to 20 of `A-Z 0-9 - _` (RFC 4422 §3.1).
        mechanism: String,
        /// The initial response as sent: still base64, `=` for an empty one.
        initial: Option<Encoded>,
    },
    /// Starts a transaction.
    Mail(Mail),
    /// Adds a recipient.
    Rcpt(Rcpt),
    /// Asks for message content.
    Data,
    /// Ends a transaction without mail.
    Rset,
    /// Nothing; an argument is ignored.
    Noop,
    /// Ends the session.
    Quit,
    /// An argument is ignored.
    Help,
    /// An argument is ignored.
    Vrfy,
    /// An argument is ignored.
    Expn,
    /// RFC 1985; an argument is ignored.
    Etrn,
    /// A browser or a cross-protocol attack (ALPACA): the session is to be closed.
    Http,
    /// RFC 3030, with which binary follows: the session cannot go on as if nothing came.
    Bdat,
    /// RFC 4468.
    Burl,
    /// Any other verb, as sent, cut to [`MAX_UNKNOWN_VERB_BYTES`], printable ASCII.
    Unknown(String),
}

/// How much of an unknown verb is kept.
pub const MAX_UNKNOWN_VERB_BYTES: usize = 32;
const MAX_MECHANISM_BYTES: usize = 20;

impl Command {
    /// Reads a line without its CRLF, of any length.
    ///
    /// # Errors
    /// See [`CommandError`]; each knows its reply.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        // A NUL, an escape sequence or a stray CR has no business in any command.
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(CommandError::ControlCharacter);
        }
        let (verb, argument) = split_word(line.trim_ascii_end());
        match verb.to_ascii_uppercase().as_slice() {
            b"" => Err(CommandError::Empty),
            b"EHLO" => ClientName::parse(argument, "EHLO").map(Self::Ehlo),
            b"HELO" => ClientName::parse(argument, "HELO").map(Self::Helo),
            b"AUTH" => parse_auth(argument),
            b"MAIL" => Mail::parse(argument).map(Self::Mail),
            b"RCPT" => Rcpt::parse(argument).map(Self::Rcpt),
            b"STARTTLS" => alone(Self::StartTls, "STARTTLS", argument),
            b"DATA" => alone(Self::Data, "DATA", argument),
            b"RSET" => alone(Self::Rset, "RSET", argument),
            b"QUIT" => alone(Self::Quit, "QUIT", argument),
            b"NOOP" => Ok(Self::Noop),
            b"HELP" => Ok(Self::Help),
            b"VRFY" => Ok(Self::Vrfy),
            b"EXPN" => Ok(Self::Expn),
            b"ETRN" => Ok(Self::Etrn),
            b"BDAT" => Ok(Self::Bdat),
            b"BURL" => Ok(Self::Burl),
            b"GET" | b"POST" | b"PUT" | b"HEAD" | b"CONNECT" | b"OPTIONS" | b"DELETE"
            | b"PATCH" | b"TRACE" | b"PRI" => Ok(Self::Http),
            _ => Ok(Self::Unknown(printable(verb))),
        }
    }
}

/// The first word of `text`, and what follows it without its leading blanks.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, rest.trim_ascii_start())
}

fn alone(command: Command, usage: &'static str, argument: &[u8]) -> Result<Command, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Syntax { usage }) }
}

fn parse_auth(argument: &[u8]) -> Result<Command, CommandError> {
    let (name, rest) = split_word(argument);
    let (initial, surplus) = split_word(rest);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_mechanism = (1..=MAX_MECHANISM_BYTES).contains(&name.len()) && name.iter().all(is_name);
    if !is_mechanism || !surplus.is_empty() {
        return Err(CommandError::Syntax { usage: "AUTH mechanism [initial-response]" });
    }
    Ok(Command::Auth {
        mechanism: printable(&name.to_ascii_uppercase()),
        initial: (!initial.is_empty()).then(|| Encoded::copied_from(initial)),
    })
}

fn printable(word: &[u8]) -> String {
    let shown = &word[..word.len().min(MAX_UNKNOWN_VERB_BYTES)];
    shown.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '?' }).collect()
}
