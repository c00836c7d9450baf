//! What became of a message: one line, whatever became of it.
//!
//! sendmail has nothing like it, since it writes a line for each recipient
//! when it has delivered; the queue id leads to those.

use std::fmt;
use std::time::Duration;

use super::text::{Client, TlsFacts, Value, Xtext, queue_id};
use crate::base::Printable;
use crate::ops::log::json::{Members, Object};
use crate::ops::metrics::gate::GATE;

/// Recipients are listed until the list has this many bytes; the rest is counted.
const MAX_LIST_BYTES: usize = 8 * 1024;

/// One message transaction that came to its end, good or bad.
#[derive(Debug, Clone, Copy)]
pub struct MessageEvent<'a> {
    /// Who sent it.
    pub client: Client<'a>,
    /// The authenticated user.
    pub login: &'a str,
    /// The sender's address without angle brackets; empty for the null sender.
    pub from: &'a str,
    /// The accepted recipients without angle brackets, in order.
    pub recipients: &'a [&'a str],
    /// Content bytes that came from the client, as far as it got.
    pub size: u64,
    /// `ESMTPSA`, `ESMTPS`, ... (RFC 3848).
    pub protocol: &'a str,
    /// TLS with the client; `None` is a session in clear.
    pub tls: Option<TlsFacts<'a>>,
    /// Address of the backend as configured.
    pub backend: &'a str,
    /// The last line of the reply the client got, or of the backend's where
    /// the client was gone; code and text, no CRLF. Empty if there was none.
    pub reply: &'a str,
    /// From MAIL to the end.
    pub duration: Duration,
    /// What became of it.
    pub outcome: MessageOutcome,
    /// Recipients that were refused.
    pub refused: usize,
    /// The id that the `Received:` line of the gate carries.
    pub id: &'a str,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageOutcome {
    /// The backend has it.
    Accepted,
    /// The access map had it thrown away; the client heard 250.
    Discarded,
    /// 5xx, by the backend or by us.
    Refused,
    /// 4xx, by the backend or because of it; the client will try again.
    Tempfail,
    /// The client was gone before the end.
    Lost,
}

impl MessageOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Discarded => "discarded",
            Self::Refused => "refused",
            Self::Tempfail => "tempfail",
            Self::Lost => "lost",
        }
    }
}

/// Records what became of a message.
pub fn message(event: &MessageEvent<'_>) {
    GATE.message(event.outcome.as_str());
    if event.outcome == MessageOutcome::Accepted {
        GATE.content.add(event.size);
        GATE.recipients.add(event.recipients.len() as u64);
    }
    tell!(info, event);
}

impl Members for MessageEvent<'_> {
    const EVENT: &'static str = "message";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        self.client.members(to)?;
        to.text("id", self.id)?;
        to.text("from", self.from)?;
        to.list("to", self.recipients.iter().copied(), MAX_LIST_BYTES)?;
        to.number("size", self.size)?;
        to.number("nrcpts", self.recipients.len() as u64)?;
        to.text("login", self.login)?;
        to.text("proto", self.protocol)?;
        if let Some(tls) = &self.tls {
            to.text("tls", tls.version)?;
            to.text("cipher", tls.cipher)?;
        }
        to.text("backend", self.backend)?;
        to.text("queueid", queue_id(self.reply).unwrap_or_default())?;
        to.text("reply", self.reply)?;
        to.number("ms", u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX))?;
        to.text("outcome", self.outcome.as_str())?;
        to.number("refused", self.refused as u64)
    }
}

impl fmt::Display for MessageEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}message: from=<{}>, to=", self.client.head(), Value(self.from))?;
        write_list(f, self.recipients)?;
        write!(f, ", size={}, nrcpts={}", self.size, self.recipients.len())?;
        write!(f, ", client={}, login={}", self.client, Xtext(self.login))?;
        write!(f, ", proto={}, tls=", Value(self.protocol))?;
        match &self.tls {
            Some(tls) => write!(f, "{}/{}", tls.version, tls.cipher)?,
            None => f.write_str("none")?,
        }
        let queue_id = queue_id(self.reply).unwrap_or_default();
        write!(f, ", backend={}, queueid={queue_id}", Value(self.backend))?;
        write!(f, ", reply=\"{}\"", Printable::from(self.reply))?;
        write!(f, ", ms={}, outcome={}", self.duration.as_millis(), self.outcome.as_str())?;
        write!(f, ", refused={}, id={}", self.refused, Value(self.id))
    }
}

/// `<a>,<b>`, and `,+3` for three more that found no room.
fn write_list(f: &mut fmt::Formatter<'_>, recipients: &[&str]) -> fmt::Result {
    let mut written = 0;
    for (index, recipient) in recipients.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        if written >= MAX_LIST_BYTES {
            return write!(f, "{comma}+{}", recipients.len() - index);
        }
        let text = format!("{comma}<{}>", Value(recipient));
        written += text.len();
        f.write_str(&text)?;
    }
    Ok(())
}
