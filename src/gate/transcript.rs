//! Sessions written down as `sendmail -X` does, without what is secret.
//!
//! ```text
//! k3f9abcdefghij === CONNECT from [192.0.2.7]:40312 to 192.0.2.1:587
//! k3f9abcdefghij >>> 220 mail.example.org ESMTP saslgate
//! k3f9abcdefghij <<< EHLO client.example.org
//! k3f9abcdefghij <<< AUTH PLAIN [32 bytes]
//! k3f9abcdefghij === CONTENT 4096 bytes
//! k3f9abcdefghij === CLOSE
//! ```
//!
//! `<<<` came from the client, `>>>` went to it; sendmail has its pid where the
//! session's id stands. Shown is only what is known to be harmless: commands
//! that begin with a verb of SMTP, and replies. Everything else is a number of
//! bytes: answers within AUTH, initial responses, challenges, content, and lines
//! that are no command, since a client that lost its way sends a password there.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use crate::ops::transcript::TranscriptFile;
use crate::tls::Negotiated;
use crate::wire::smtp::line::Line;
use crate::wire::smtp::reply::Reply;

/// Which clients' sessions are written down, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptSettings {
    /// The file for clients from `networks`.
    pub file: Option<PathBuf>,
    /// Whose sessions those are, on every listener; empty: everybody's.
    pub networks: Vec<IpNet>,
    /// Size at which a file, this one or that of a listener, makes way for a new one.
    pub limit_bytes: u64,
}

/// The open files of a gate.
#[derive(Default)]
pub struct Transcripts {
    networks: Vec<IpNet>,
    file: Option<Arc<TranscriptFile>>,
    /// In the order of the listeners.
    listeners: Vec<Option<Arc<TranscriptFile>>>,
}

/// A file that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the transcript {}: {source}", path.display())]
pub struct TranscriptError {
    path: PathBuf,
    source: std::io::Error,
}

impl Transcripts {
    /// Opens the files of `settings` and of listeners (in their order); those that
    /// `old` has open stay open.
    ///
    /// # Errors
    /// [`TranscriptError`].
    pub fn open<'a>(
        settings: &TranscriptSettings,
        listeners: impl Iterator<Item = Option<&'a PathBuf>>,
        old: Option<&Self>,
    ) -> Result<Self, TranscriptError> {
        let mut files: Vec<Arc<TranscriptFile>> =
            old.into_iter().flat_map(Self::files).cloned().collect();
        let mut open = |path: &PathBuf| {
            let limit_bytes = settings.limit_bytes;
            if let Some(known) = files.iter().find(|file| file.is(path, limit_bytes)) {
                return Ok(Arc::clone(known));
            }
            let opened = TranscriptFile::open(path, limit_bytes);
            let file = opened.map_err(|source| TranscriptError { path: path.clone(), source })?;
            let file = Arc::new(file);
            files.push(Arc::clone(&file));
            Ok(file)
        };
        Ok(Self {
            networks: settings.networks.clone(),
            file: settings.file.as_ref().map(&mut open).transpose()?,
            listeners: listeners
                .map(|it| it.map(&mut open).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    fn files(&self) -> impl Iterator<Item = &Arc<TranscriptFile>> {
        self.file.iter().chain(self.listeners.iter().flatten())
    }

    /// Where the session `id` of `client` is written down, if it is.
    pub(super) fn begin(
        &self,
        id: &str,
        client: SocketAddr,
        local: SocketAddr,
        listener: usize,
    ) -> Option<Transcript> {
        let address = client.ip().to_canonical();
        let is_meant =
            self.networks.is_empty() || self.networks.iter().any(|it| it.contains(&address));
        let general = self.file.as_ref().filter(|_| is_meant);
        let file = general.or_else(|| self.listeners.get(listener)?.as_ref())?;
        let transcript = Transcript { file: Arc::clone(file), id: id.to_owned() };
        transcript.note(&format!("CONNECT from [{address}]:{} to {local}", client.port()));
        Some(transcript)
    }
}

/// A session that is written down.
pub(super) struct Transcript {
    file: Arc<TranscriptFile>,
    id: String,
}

impl Transcript {
    /// The client sent a line; `is_response` if it is one within AUTH.
    pub(super) fn heard(&self, line: &Line, is_response: bool) {
        let shown = match line {
            Line::Complete(bytes) if is_response => masked(bytes.len()),
            Line::Complete(bytes) => command(bytes),
            Line::TooLong => "[a line that is too long]".to_owned(),
            Line::Malformed(stray) => format!("[a line with a {}]", stray.as_str()),
        };
        self.put("<<<", [shown].into_iter());
    }

    /// The client was given a reply.
    pub(super) fn said(&self, reply: &Reply) {
        let last = reply.lines().count().saturating_sub(1);
        self.put(
            ">>>",
            reply.lines().enumerate().map(|(index, line)| {
                let text = if reply.code == 334 { masked(line.len()) } else { printable(line) };
                let blank = if index == last { ' ' } else { '-' };
                format!("{}{blank}{text}", reply.code)
            }),
        );
    }

    /// TLS is on.
    pub(super) fn encrypted(&self, tls: &Negotiated) {
        self.note(&format!("TLS {} {}", tls.version, tls.cipher));
    }

    /// Content came.
    pub(super) fn content(&self, bytes: u64) {
        self.note(&format!("CONTENT {bytes} bytes"));
    }

    fn note(&self, what: &str) {
        self.put("===", [what.to_owned()].into_iter());
    }

    fn put(&self, direction: &str, lines: impl Iterator<Item = String>) {
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "{} {direction} {line}", self.id);
        }
        self.file.write(text.as_bytes());
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        self.note("CLOSE");
    }
}

/// Verbs whose arguments are addresses, names and numbers.
const HARMLESS: [&str; 14] = [
    "EHLO", "HELO", "STARTTLS", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "HELP",
    "VRFY", "EXPN", "ETRN",
];

/// A command as it may be shown.
fn command(line: &[u8]) -> String {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    let verb = &line[..end];
    if HARMLESS.iter().any(|known| verb.eq_ignore_ascii_case(known.as_bytes())) {
        return printable(line);
    }
    if !verb.eq_ignore_ascii_case(b"AUTH") {
        return masked(line.len());
    }
    let mut words = line.splitn(3, |byte| *byte == b' ').skip(1);
    let mechanism = words.next().unwrap_or_default();
    // A client that forgot the mechanism has its secret there.
    let is_name = mechanism.len() <= 20
        && mechanism
            .iter()
            .all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || b"-_".contains(it));
    let mechanism = if is_name { printable(mechanism) } else { masked(mechanism.len()) };
    match words.next() {
        Some(initial) => format!("AUTH {mechanism} {}", masked(initial.len())),
        None => format!("AUTH {mechanism}"),
    }
}

fn masked(bytes: usize) -> String {
    format!("[{bytes} bytes]")
}

/// The line in printable ASCII; the rest of it as `\xNN`.
fn printable(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for byte in line {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_and_secrets_are_counted() {
        for (line, shown) in [
            ("EHLO x.test", "EHLO x.test"),
            ("mail FROM:<a@b.test> SIZE=1", "mail FROM:<a@b.test> SIZE=1"),
            ("AUTH PLAIN AGFsaWNlAHNlY3JldA==", "AUTH PLAIN [20 bytes]"),
            ("auth LOGIN", "AUTH LOGIN"),
            ("AUTH AGFsaWNlAHNlY3JldA==", "AUTH [20 bytes]"),
            ("AUTH PLAIN a b c", "AUTH PLAIN [5 bytes]"),
            // Behind an AUTH that was refused: a user name, a password.
            ("c2VjcmV0", "[8 bytes]"),
            ("secret", "[6 bytes]"),
            ("POST / HTTP/1.1", "[15 bytes]"),
            ("", "[0 bytes]"),
            ("NOOP \u{1b}[31m\\", "NOOP \\x1b[31m\\\\"),
        ] {
            assert_eq!(command(line.as_bytes()), shown, "{line}");
        }
    }

    #[test]
    fn no_byte_of_a_secret_is_shown_wherever_it_is_cut() {
        let secret = "AGFsaWNlAHNlY3JldA==";
        for line in [format!("AUTH PLAIN {secret}"), secret.to_owned(), format!("AUTH {secret}")] {
            let shown = command(line.as_bytes());
            assert!(!shown.contains(&secret[..4]), "{shown}");
        }
    }
}
