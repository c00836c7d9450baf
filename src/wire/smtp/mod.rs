//! SMTP as bytes: lines, commands, replies, capabilities, content.
//!
//! Values in, values out: nothing here reads a socket, knows a session state
//! or writes a log. The gate's session decides, its driver moves the bytes.
//!
//! | module | what it turns into what | standard |
//! |---|---|---|
//! | [`input`] | bytes as they arrive, wiped as they go | |
//! | [`mod@line`] | bytes into command lines | RFC 5321 §2.3.8 |
//! | [`command`] | a line into a [`command::Command`], and MAIL and RCPT back | RFC 5321 §4.1 |
//! | [`path`] | `<local@domain>` | RFC 5321 §4.1.2 |
//! | [`reply`] | replies, both ways | RFC 5321 §4.2 |
//! | [`ehlo`] | an EHLO reply into capabilities, and back | RFC 5321 §4.1.1.1 |
//! | [`header`] | the header of a message into its authors | RFC 5322 §3.4, §3.6 |
//! | [`data`] | message content up to its end | RFC 5321 §4.1.1.4 |
//! | [`auth`] | the base64 layer of AUTH | RFC 4954 §4 |
//! | [`xtext`] | the escapes of DSN and AUTH parameters | RFC 3461 §4 |

pub mod auth;
pub mod command;
pub mod data;
pub mod ehlo;
pub mod header;
pub mod input;
pub mod line;
pub mod path;
pub mod reply;
pub mod xtext;

/// A byte that may not stand alone in SMTP (RFC 5321 §2.3.8, §4.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// A carriage return that no line feed follows.
    Cr,
    /// A line feed that no carriage return precedes.
    Lf,
    /// A NUL, which C code behind us may take for the end of the text.
    Nul,
}

impl Stray {
    /// The name for a reply or a log line: `bare CR`, `bare LF`, `NUL`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cr => "bare CR",
            Self::Lf => "bare LF",
            Self::Nul => "NUL",
        }
    }
}
