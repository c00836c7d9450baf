//! The name a client gives itself in EHLO or HELO.
//!
//! Taken as sendmail takes it, though few are host names: it stands in the
//! `Received:` line, so no character gets through that could end or fold one.

use std::fmt;

use super::CommandError;

/// A client's own name: 1 to 255 of the characters that sendmail takes there
/// (8.17.1: letters, digits, `[ ] . - _ # :`). A claim, never a proof.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientName(String);

const MAX_NAME_BYTES: usize = 255;

impl ClientName {
    /// Reads the argument of `verb`.
    pub(super) fn parse(argument: &[u8], verb: &'static str) -> Result<Self, CommandError> {
        if argument.is_empty() {
            return Err(CommandError::NoClientName { verb });
        }
        Self::new(argument).ok_or(CommandError::BadClientName)
    }

    /// The name, if `text` can be one.
    #[must_use]
    pub fn new(text: &[u8]) -> Option<Self> {
        let is_allowed = |&byte: &u8| byte.is_ascii_alphanumeric() || b"[].-_#:".contains(&byte);
        if text.is_empty() || text.len() > MAX_NAME_BYTES || !text.iter().all(is_allowed) {
            return None;
        }
        String::from_utf8(text.to_vec()).ok().map(Self)
    }

    /// The name as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
