//! The control socket of the gate: a line of JSON each way.
//!
//! ```text
//! C: {"command":"status"}
//! S: {"gate":{"version":"0.1.0","since":"2026-11-20T14:02:27Z",...}}
//! S: {"backend":{"name":"127.0.0.1:10587","state":"up",...}}
//! S: {"session":{"id":"k3f9abcdefghij","client":"192.0.2.7",...}}
//! S: {"end":{"left_off":0}}
//! C: {"command":"kick","who":"alice"}
//! S: {"session":{...}}  for each that is ended
//! S: {"end":{"left_off":0}}
//! ```
//!
//! One request a connection, at most [`MAX_REQUEST_BYTES`]; what cannot be done
//! is answered with `{"error":"..."}`. Members are added, never changed.

use serde::{Deserialize, Serialize};

/// Longest request line, its line feed included.
pub const MAX_REQUEST_BYTES: usize = 4096;
/// Sessions in an answer; more are counted.
pub const MAX_SESSIONS: usize = 100_000;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How is it.
    Status,
    /// End sessions.
    Kick {
        /// The id of a session, a login, an address or a network.
        who: String,
    },
}

/// A line of the answer; the last one is `End` or `Error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// The gate itself.
    Gate(Gate),
    /// A backend.
    Backend(Backend),
    /// A session.
    Session(Session),
    /// All was said.
    End(End),
    /// The request cannot be granted, and why.
    Error(String),
}

/// The gate itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub seconds: u64,
    /// Sessions that are open.
    pub sessions: u64,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Connections to it that wait for a session.
    pub idle: u64,
    /// Connections that were made.
    pub opened: u64,
    /// Sessions that took over one that waited.
    pub reused: u64,
    /// Times that it failed a session.
    pub failed: u64,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// As the log has it.
    pub id: String,
    /// Address of the client.
    pub client: String,
    /// The listener's address.
    pub listener: String,
    /// `submission`, `submissions` or `mta`.
    pub kind: String,
    /// Who has logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Seconds since it began.
    pub seconds: u64,
    /// What it does: `handshake`, `waiting`, `authenticating`, `transaction`, `backend`, `content`.
    pub state: String,
    /// Whether TLS is on.
    pub tls: bool,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Messages that were accepted.
    pub messages: u32,
    /// Name of the backend, once one was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

/// The end of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Sessions that there was no room for.
    pub left_off: u64,
}

impl Request {
    /// Reads a request line.
    ///
    /// # Errors
    /// What is wrong with it, for who sent it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("no request: {error}"))
    }
}

/// `value` as a line.
#[must_use]
pub fn line(value: &impl Serialize) -> Vec<u8> {
    // Texts and numbers only: nothing of it can fail.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_nonsense_is_named() {
        assert_eq!(Request::parse(b"{\"command\":\"status\"}\n"), Ok(Request::Status));
        let kick = Request::Kick { who: "al\"ice\n".to_owned() };
        let bytes = line(&kick);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "a line is a line");
        assert_eq!(Request::parse(&bytes), Ok(kick));
        for nonsense in
            ["", "{}", "{\"command\":\"stop\"}", "{\"command\":\"kick\"}", "status", "\u{0}"]
        {
            assert!(Request::parse(nonsense.as_bytes()).is_err(), "{nonsense:?}");
        }
    }

    #[test]
    fn answers_come_back_as_they_went() {
        let backend = Backend {
            name: "a".to_owned(),
            address: "a:25".to_owned(),
            state: "down".to_owned(),
            reason: Some("gone".to_owned()),
            idle: 0,
            opened: 1,
            reused: 2,
            failed: 3,
        };
        for sent in [
            Line::Backend(backend),
            Line::End(End { left_off: 2 }),
            Line::Error("no".to_owned()),
            Line::Gate(Gate { version: "1".to_owned(), seconds: 1, sessions: 2 }),
        ] {
            assert_eq!(serde_json::from_slice::<Line>(&line(&sent)).unwrap(), sent);
        }
        assert_eq!(line(&Line::End(End { left_off: 0 })), b"{\"end\":{\"left_off\":0}}\n");
    }
}
