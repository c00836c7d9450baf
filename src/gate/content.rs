//! Streams the content of one message from the client to the backend.
//!
//! Constant memory: a block is read, scanned and written before the next is
//! read, so a slow backend slows the client. Only CRLF.CRLF ends it. Whatever
//! goes wrong on the backend's side, the client's content is read to its end
//! first, since it hears no reply before (RFC 5321 §3.3); a message that is
//! refused on the way is never completed at the backend: the connection is
//! dropped without the final dot.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::client::Client;
use super::relay::{Relay, RelayError};
use super::session::ContentOutcome;
use super::settings::{BareNewlines, Settings};
use crate::wire::smtp::Stray;
use crate::wire::smtp::data::{Discipline, Scanner, State};
use crate::wire::smtp::header::{Authors, FromReader};
use crate::wire::smtp::reply::Reply;

/// How it ended, for the session and for the log line.
pub(super) struct Streamed {
    pub(super) outcome: ContentOutcome,
    /// Content bytes as the client sent them, without the final dot.
    pub(super) bytes: u64,
    /// The backend connection, if it can be used again.
    pub(super) relay: Option<Relay>,
    /// What happened to the backend, if something did.
    pub(super) trouble: Option<RelayError>,
}

/// One read from the client: a few TLS records.
const BLOCK_BYTES: usize = 64 * 1024;
/// What a refused message may still go on for before the session is closed.
const MAX_DISCARD_BYTES: u64 = 64 * 1024 * 1024;

/// What content is streamed by.
pub(super) struct Terms<'a> {
    /// The trace header that stands before it.
    pub(super) trace: Vec<u8>,
    pub(super) settings: &'a Settings,
    /// Largest message on this listener.
    pub(super) limit_bytes: u64,
    /// When the session must be over, however slowly its client sends.
    pub(super) deadline: Instant,
    /// It is read to its end, answered with 250, and never completed at the backend.
    pub(super) is_discarded: bool,
    /// Whom the authors of the message are shown, if anybody wants to see them.
    pub(super) authors: Option<&'a AuthorJudge<'a>>,
}

/// Refuses a message for its authors.
pub(super) type AuthorJudge<'a> = dyn Fn(&Authors) -> Option<Reply> + Send + Sync + 'a;

/// Reads content from `client` up to its end and writes it, behind the trace, to `relay`.
pub(super) async fn stream(client: &mut Client, relay: Relay, terms: Terms<'_>) -> Streamed {
    let Terms { trace, settings, limit_bytes, deadline, is_discarded, authors } = terms;
    let mut transfer = Transfer {
        scanner: Scanner::new(match settings.bare_newlines {
            BareNewlines::Reject => Discipline::Reject,
            BareNewlines::Normalize => Discipline::Normalize,
        }),
        arrived: client.take_buffered(),
        trace,
        block: Vec::new(),
        relay: Some(relay),
        verdict: None,
        trouble: None,
        discarded: 0,
        limit_bytes,
        deadline,
        authors: authors.map(|judge| (FromReader::default(), judge)),
    };
    if is_discarded {
        transfer.refuse(Reply::new(250, "2.0.0", "Message accepted for delivery"));
    }
    let outcome = transfer.run(client, settings).await;
    let Transfer { scanner, relay, trouble, arrived, .. } = transfer;
    client.put_back(&arrived);
    Streamed { outcome, bytes: scanner.bytes(), relay, trouble }
}

struct Transfer<'a> {
    scanner: Scanner,
    /// Read and not yet scanned.
    arrived: Vec<u8>,
    /// Stands before the first block; empty once it is written.
    trace: Vec<u8>,
    /// Scanned and not yet written.
    block: Vec<u8>,
    /// `None` once the message is not passed on any more.
    relay: Option<Relay>,
    /// The reply the client gets in the end, once that is decided.
    verdict: Option<Verdict>,
    trouble: Option<RelayError>,
    discarded: u64,
    limit_bytes: u64,
    deadline: Instant,
    /// While the header goes on and somebody wants to know who wrote the message.
    authors: Option<(FromReader, &'a AuthorJudge<'a>)>,
}

enum Verdict {
    Backend(Reply),
    Ours(Reply),
}

enum Progress {
    More,
    End,
    /// The end is in doubt.
    Doubt,
}

impl Transfer<'_> {
    async fn run(&mut self, client: &mut Client, settings: &Settings) -> ContentOutcome {
        loop {
            match self.scan(self.limit_bytes) {
                Progress::End => break,
                Progress::Doubt => return ContentOutcome::RefusedAndLost(self.refusal()),
                Progress::More => {}
            }
            self.write(settings.timeouts.data_block).await;
            self.arrived.reserve(BLOCK_BYTES);
            let left = self.deadline.saturating_duration_since(Instant::now());
            let read = client.read_content(&mut self.arrived);
            match timeout(settings.timeouts.data_block.min(left), read).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return self.given_up(ContentOutcome::ClientGone),
                Err(_) => {
                    let reply = Reply::new(421, "4.4.2", "Timeout waiting for message content");
                    return self.given_up(ContentOutcome::RefusedAndLost(reply));
                }
            }
        }
        self.finish(settings).await
    }

    /// Takes what arrived through the scanner; leaves what stands behind the end.
    fn scan(&mut self, limit_bytes: u64) -> Progress {
        loop {
            let is_refused = self.relay.is_none();
            let scanned = if is_refused {
                self.scanner.discard(&self.arrived)
            } else {
                self.scanner.scan(&self.arrived, &mut self.block)
            };
            self.arrived.drain(..scanned.consumed);
            self.read_authors(scanned.state == State::End);
            if is_refused {
                self.discarded += scanned.consumed as u64;
            } else if self.scanner.bytes() > limit_bytes {
                self.refuse(Reply::new(
                    552,
                    "5.3.4",
                    format!("Message exceeds the limit of {limit_bytes} bytes"),
                ));
            }
            match scanned.state {
                State::End => return Progress::End,
                State::AmbiguousEnd => return Progress::Doubt,
                State::Violation(stray) => self.refuse(stray_refusal(stray)),
                State::More if self.discarded > MAX_DISCARD_BYTES => return Progress::Doubt,
                State::More => return Progress::More,
            }
        }
    }

    /// Shows the authors to who wants to see them, once the header is over. The block holds what
    /// was scanned since the last call: it is written before more is scanned.
    fn read_authors(&mut self, is_end: bool) {
        let Some((reader, judge)) = &mut self.authors else { return };
        let is_over = reader.feed(&self.block) || is_end;
        if !is_over {
            return;
        }
        let refusal = judge(&reader.authors());
        self.authors = None;
        if let Some(refusal) = refusal {
            self.refuse(refusal);
        }
    }

    /// The message goes no further; the backend never sees its end.
    fn refuse(&mut self, reply: Reply) {
        self.relay = None;
        self.block = Vec::new();
        self.verdict.get_or_insert(Verdict::Ours(reply));
    }

    async fn write(&mut self, limit: Duration) {
        let Some(relay) = &mut self.relay else { return };
        if self.block.is_empty() {
            return;
        }
        if !self.trace.is_empty() {
            let content = std::mem::replace(&mut self.block, std::mem::take(&mut self.trace));
            // A first line that looks folded would become part of our header. It
            // is no header line, so the header ends here, as sendmail has it.
            if content.starts_with(b" ") || content.starts_with(b"\t") {
                self.block.extend_from_slice(b"\r\n");
            }
            self.block.extend_from_slice(&content);
        }
        let early = match timeout(limit, relay.write_content(&self.block)).await {
            Ok(None) => {
                self.block.clear();
                return;
            }
            Ok(Some(early)) => early,
            Err(_) => Err(RelayError::Timeout { what: "take content", limit }),
        };
        self.broke_in(early);
    }

    /// The backend spoke or left before the end.
    fn broke_in(&mut self, early: Result<Reply, RelayError>) {
        self.relay = None;
        self.block = Vec::new();
        let verdict = match early {
            Ok(reply) if reply.code == 421 => Verdict::Backend(reply.with_code(451)),
            // It cannot have a message whose end it has not seen.
            Ok(reply) if is_refusal(&reply) => Verdict::Backend(reply),
            Ok(reply) => self.trouble(out_of_place(&reply)),
            Err(error) => self.trouble(error),
        };
        self.verdict.get_or_insert(verdict);
    }

    fn trouble(&mut self, error: RelayError) -> Verdict {
        let verdict = Verdict::Ours(error.reply());
        self.trouble = Some(error);
        verdict
    }

    /// The end was seen: complete the message at the backend, or give the reply that was decided.
    async fn finish(&mut self, settings: &Settings) -> ContentOutcome {
        self.listen(settings.timeouts.data_block).await;
        self.block.extend_from_slice(b".\r\n");
        self.write(settings.timeouts.data_block).await;
        let Some(relay) = &mut self.relay else {
            return self.decided();
        };
        let error = match relay.content_reply(settings.timeouts.data_final).await {
            Ok(reply) if reply.is_positive() || is_refusal(&reply) => {
                return ContentOutcome::Answered(reply);
            }
            Ok(reply) => out_of_place(&reply),
            Err(error) => error,
        };
        self.relay = None;
        self.verdict = Some(self.trouble(error));
        self.decided()
    }

    /// A reply that is there before the dot is not to the message; behind the
    /// dot nobody could tell it from one that is.
    async fn listen(&mut self, limit: Duration) {
        let Some(relay) = &mut self.relay else { return };
        match timeout(limit, relay.unasked()).await {
            Ok(None) => {}
            Ok(Some(early)) => self.broke_in(early),
            Err(_) => self.broke_in(Err(RelayError::Timeout { what: "finish a reply", limit })),
        }
    }

    fn decided(&mut self) -> ContentOutcome {
        match self.verdict.take() {
            Some(Verdict::Backend(reply)) => ContentOutcome::Answered(reply),
            Some(Verdict::Ours(reply)) => ContentOutcome::Refused(reply),
            None => ContentOutcome::Refused(Reply::new(451, "4.3.0", "Message not accepted")),
        }
    }

    fn refusal(&mut self) -> Reply {
        match self.decided() {
            ContentOutcome::Answered(reply)
            | ContentOutcome::Refused(reply)
            | ContentOutcome::RefusedAndLost(reply) => reply,
            ContentOutcome::ClientGone => Reply::new(451, "4.3.0", "Message not accepted"),
        }
    }

    /// The backend must not take the half for the whole: its connection is dropped, not ended.
    fn given_up(&mut self, outcome: ContentOutcome) -> ContentOutcome {
        self.relay = None;
        outcome
    }
}

/// True for a refusal that is meant for the client. A 530 is about the gate: its
/// client did log in, and would ask for another password.
fn is_refusal(reply: &Reply) -> bool {
    (reply.is_transient() || reply.is_permanent()) && reply.code != 530
}

fn out_of_place(reply: &Reply) -> RelayError {
    RelayError::Protocol(format!("\"{}\" is no reply to this content", reply.first_line()))
}

fn stray_refusal(stray: Stray) -> Reply {
    let text = format!("Message refused: a {} is not allowed (RFC 5321 2.3.8)", stray.as_str());
    Reply::new(554, "5.6.0", text)
}
