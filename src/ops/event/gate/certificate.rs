//! What runs out: certificates, OCSP responses, revocation lists.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;

use super::text::Value;
use crate::ops::log::json::{Members, Object};

/// Something in use that is valid for a period only.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// `certificate`, `ocsp-response`, `revocation-list`.
    pub what: &'static str,
    /// Where it was read from.
    pub file: &'a Path,
    /// The names it is for, or the issuer.
    pub names: &'a [&'a str],
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
    /// Where in its period we are.
    pub ending: Ending,
}

/// Where in its period something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It has not begun.
    NotYetValid,
    /// It ends soon.
    Expires {
        /// Whole days that are left.
        days: i64,
    },
    /// It is over.
    Expired,
}

/// Tells of something that ends soon (warn), or that clients refuse already (error).
pub fn certificate(event: &Certificate<'_>) {
    match event.ending {
        Ending::Expires { .. } => tell!(warn, event),
        Ending::Expired | Ending::NotYetValid => tell!(error, event),
    }
}

impl Members for Certificate<'_> {
    const EVENT: &'static str = "certificate";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        to.text("what", self.what)?;
        to.text("file", &self.file.to_string_lossy())?;
        to.list("names", self.names.iter().copied(), 8 * 1024)?;
        to.shown("not_before", self.not_before)?;
        to.shown("not_after", self.not_after)?;
        match self.ending {
            Ending::NotYetValid => to.text("state", "not-yet-valid"),
            Ending::Expired => to.text("state", "expired"),
            Ending::Expires { days } => {
                to.text("state", "expires")?;
                to.number("days", u64::try_from(days).unwrap_or(0))
            }
        }
    }
}

impl fmt::Display for Certificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.to_string_lossy();
        write!(f, "{}: file={}, names=", self.what, Value(&file))?;
        for (index, name) in self.names.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", Value(name))?;
        }
        write!(f, ", not-before={}, not-after={}", self.not_before, self.not_after)?;
        match self.ending {
            Ending::NotYetValid => write!(f, ", state=not-yet-valid"),
            Ending::Expires { days } => write!(f, ", state=expires, days={days}"),
            Ending::Expired => write!(f, ", state=expired"),
        }
    }
}
