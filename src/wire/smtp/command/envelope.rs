//! MAIL and RCPT: read from a client, written strictly for the backend.
//!
//! The backend never sees the client's bytes, only what was understood of
//! them, written anew (RFC 5321 §4.1.1.2 and §4.1.1.3).

use super::super::ehlo::Capabilities;
use super::super::path::{Direction, Path};
use super::CommandError;
use super::parameter::{Parameter, RcptParameter, check_all, parse_all};

const MAIL_USAGE: &str = "MAIL FROM:<address> [parameters]";
const RCPT_USAGE: &str = "RCPT TO:<address> [parameters]";

/// `MAIL FROM:`. If the sender is outside ASCII, SMTPUTF8 is among the parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where reports go; may be null.
    pub sender: Path,
    /// In the order sent, none twice.
    pub parameters: Vec<Parameter>,
}

/// `RCPT TO:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// Never null.
    pub recipient: Path,
    /// In the order sent, none twice.
    pub parameters: Vec<RcptParameter>,
}

impl Mail {
    /// Reads what follows the verb.
    pub(super) fn parse(argument: &[u8]) -> Result<Self, CommandError> {
        let (sender, rest) = parse_path(argument, "FROM:", Direction::Reverse, MAIL_USAGE)?;
        let mail = Self { sender, parameters: parse_all(rest, MAIL_USAGE)? };
        if mail.sender.needs_smtputf8() && !mail.is_smtputf8() {
            return Err(CommandError::NeedsSmtpUtf8);
        }
        Ok(mail)
    }

    /// The announced size in bytes (RFC 1870 §6).
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.parameters.iter().find_map(|parameter| match parameter {
            Parameter::Size(bytes) => Some(*bytes),
            _ => None,
        })
    }

    /// True if the transaction was declared SMTPUTF8: its recipients may be outside ASCII then.
    #[must_use]
    pub fn is_smtputf8(&self) -> bool {
        self.parameters.contains(&Parameter::SmtpUtf8)
    }

    /// Refuses a parameter of an extension that was not offered. To be asked
    /// before [`Mail::write`], which leaves such a parameter out.
    ///
    /// # Errors
    /// [`CommandError::UnknownParameter`].
    pub fn check(&self, offered: &Capabilities) -> Result<(), CommandError> {
        check_all(&self.parameters, offered)
    }

    /// Appends the command line with its CRLF, as `capabilities` of the
    /// backend allow: SIZE, BODY, RET, ENVID and SMTPUTF8 only with their
    /// extensions, AUTH= never.
    pub fn write(&self, capabilities: &Capabilities, out: &mut Vec<u8>) {
        out.extend_from_slice(b"MAIL FROM:");
        self.sender.write_to(out);
        for parameter in &self.parameters {
            parameter.write(capabilities, out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl Rcpt {
    /// Reads what follows the verb.
    pub(super) fn parse(argument: &[u8]) -> Result<Self, CommandError> {
        let (recipient, rest) = parse_path(argument, "TO:", Direction::Forward, RCPT_USAGE)?;
        Ok(Self { recipient, parameters: parse_all(rest, RCPT_USAGE)? })
    }

    /// True if only a transaction declared SMTPUTF8 may carry it; otherwise
    /// the answer is [`CommandError::NeedsSmtpUtf8`].
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        self.recipient.needs_smtputf8()
            || self.parameters.iter().any(
                |parameter| matches!(parameter, RcptParameter::Orcpt(text) if !text.is_ascii()),
            )
    }

    /// Refuses a parameter of an extension that was not offered, as [`Mail::check`].
    ///
    /// # Errors
    /// [`CommandError::UnknownParameter`].
    pub fn check(&self, offered: &Capabilities) -> Result<(), CommandError> {
        check_all(&self.parameters, offered)
    }

    /// Appends the command line with its CRLF, as `capabilities` of the
    /// backend allow: NOTIFY and ORCPT only with DSN.
    pub fn write(&self, capabilities: &Capabilities, out: &mut Vec<u8>) {
        out.extend_from_slice(b"RCPT TO:");
        self.recipient.write_to(out);
        for parameter in &self.parameters {
            parameter.write(capabilities, out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads `FROM:<path>` or `TO:<path>`; gives the path and what follows it.
fn parse_path<'a>(
    argument: &'a [u8],
    word: &str,
    direction: Direction,
    usage: &'static str,
) -> Result<(Path, &'a [u8]), CommandError> {
    let path = argument
        .split_at_checked(word.len())
        .filter(|(start, _)| start.eq_ignore_ascii_case(word.as_bytes()))
        .map(|(_, path)| path.trim_ascii_start())
        .ok_or(CommandError::Syntax { usage })?;
    Path::parse(path, direction).map_err(|error| CommandError::BadPath { direction, error })
}
