//! What the driver tells operators: each outcome once, in the words of `ops::event`.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::access::Note;
use super::session::{BrokenExchange, Ended, Notice, Outcome, Session, Turn};
use super::trace::protocol;
use crate::auth::Verdict;
use crate::base::{Identity, Reason, ReasonCode};
use crate::ops::event::gate as event;
use crate::tls::Negotiated;
use crate::wire::smtp::reply::Reply;

/// Keeps what a session's log lines need: its id, the message counter, the clock of a transaction.
pub(super) struct Recorder {
    peer: SocketAddr,
    /// Its verified name.
    name: Option<String>,
    /// Address of the backend, as configured.
    backend: String,
    /// What TLS agreed on with the client, once it is on.
    tls: Option<Negotiated>,
    session_id: String,
    /// Transactions begun; numbers them.
    transactions: u32,
    /// Messages that the backend took.
    messages: u32,
    message_id: String,
    began: Option<Instant>,
    content_bytes: u64,
    /// When the session began, for its last line.
    connected: Instant,
    turns: u32,
}

impl Recorder {
    /// A client at `peer` has connected to `listener`; its mail would go to `backend`.
    pub(super) fn new(peer: SocketAddr, listener: SocketAddr, backend: &str) -> Self {
        let session_id = session_id();
        let client = event::Client { name: None, address: peer.ip(), session: &session_id };
        event::connected(&client, listener);
        Self {
            peer,
            name: None,
            backend: backend.to_owned(),
            tls: None,
            session_id,
            transactions: 0,
            messages: 0,
            message_id: String::new(),
            began: None,
            content_bytes: 0,
            connected: Instant::now(),
            turns: 0,
        }
    }

    /// Names the session in its log lines.
    pub(super) fn session_id(&self) -> &str {
        &self.session_id
    }

    /// Messages that the backend took.
    pub(super) fn messages(&self) -> u32 {
        self.messages
    }

    /// The DNS says that the client is called so.
    pub(super) fn named(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    fn client(&self) -> event::Client<'_> {
        let (name, session) = (self.name.as_deref(), self.session_id.as_str());
        event::Client { name, address: self.peer.ip(), session }
    }

    /// Records what the access map decided.
    pub(super) fn ruled(&self, note: &Note) {
        event::access_ruled(&event::AccessEvent {
            ruleset: note.ruleset,
            argument: &note.argument,
            client: self.client(),
            place: &note.place,
            outcome: &note.outcome,
        });
    }

    /// Records what a turn says is worth it.
    pub(super) fn turn(&mut self, turn: &Turn, session: &Session) {
        self.turns += 1;
        if let Some(BrokenExchange { mechanism, code }) = &turn.broken {
            self.judged(mechanism, None, &Verdict::Rejected((*code).into()));
        }
        if let Some(notice) = turn.notice {
            let reply = turn.reply.as_ref().map(Reply::first_line).unwrap_or_default();
            event::rejected(&self.client(), rejection(notice), &reply);
        }
        if let Some(ended) = &turn.ended {
            self.ended(ended, session);
        }
    }

    /// TLS is on with the client.
    pub(super) fn encrypted(&mut self, tls: &Negotiated) {
        event::tls_started(&self.client(), &facts_of(tls));
        if let Some(shown) = &tls.certificate {
            event::tls_certificate(&event::PresentedCertificate {
                client: self.client(),
                subject: &shown.subject,
                issuer: &shown.issuer,
                problem: shown.problem.as_deref(),
                fingerprint: &shown.fingerprint,
            });
        }
        self.tls = Some(tls.clone());
    }

    /// The client's handshake came to nothing.
    pub(super) fn handshake_failed(&self, reason: &str) {
        event::tls_failed(&event::TlsFailure { client: self.client(), reason });
    }

    /// The outcome of an AUTH command.
    pub(super) fn judged(&self, mechanism: &str, claimed: Option<&Identity>, verdict: &Verdict) {
        let login = match (verdict, claimed) {
            (Verdict::Accepted(user), _) => user.identity().to_string(),
            (_, Some(identity)) => identity.to_string(),
            (_, None) => String::new(),
        };
        let outcome = match verdict {
            Verdict::Accepted(_) => event::AuthOutcome::Accepted,
            Verdict::Rejected(reason) => event::AuthOutcome::Rejected(reason),
            Verdict::Unavailable(reason) => event::AuthOutcome::Unavailable(reason),
        };
        let client = self.client();
        event::auth(&event::AuthEvent { client, mechanism, login: &login, outcome });
    }

    /// The mechanism was offered and cannot be started: the authenticator changed under us.
    pub(super) fn mechanism_vanished(&self, mechanism: &str) -> Verdict {
        let detail = "the mechanism was offered, but the authentication service does not serve it";
        let verdict = Verdict::Unavailable(Reason::new(ReasonCode::NoMechanism, detail));
        self.judged(mechanism, None, &verdict);
        verdict
    }

    /// MAIL was accepted by the session; the message's clock starts.
    pub(super) fn transaction_begins(&mut self) {
        self.began = Some(Instant::now());
        self.content_bytes = 0;
        self.transactions += 1;
        self.message_id = format!("{}.{}", self.session_id, self.transactions);
    }

    /// Names this message in its trace header and its log line.
    pub(super) fn message_id(&self) -> &str {
        &self.message_id
    }

    /// The content that came had this size, complete or not.
    pub(super) fn content_bytes(&mut self, bytes: u64) {
        self.content_bytes = bytes;
    }

    /// One line for a message, however it ended.
    pub(super) fn ended(&mut self, ended: &Ended, session: &Session) {
        self.messages += u32::from(ended.outcome == Outcome::Accepted);
        let recipients: Vec<&str> = ended.recipients.iter().map(String::as_str).collect();
        let login = session.user().map(|user| user.identity().to_string()).unwrap_or_default();
        let reply = ended.reply.as_ref().map(Reply::first_line).unwrap_or_default();
        event::message(&event::MessageEvent {
            id: &self.message_id,
            client: self.client(),
            login: &login,
            from: &ended.sender,
            recipients: &recipients,
            refused: ended.refused_recipients,
            size: self.content_bytes,
            protocol: protocol(ended.is_smtputf8, self.tls.is_some(), session.user().is_some()),
            tls: self.tls.as_ref().map(facts_of),
            backend: &self.backend,
            reply: &reply,
            duration: self.began.map_or(Duration::ZERO, |began| began.elapsed()),
            outcome: match ended.outcome {
                Outcome::Accepted => event::MessageOutcome::Accepted,
                Outcome::Refused => event::MessageOutcome::Refused,
                Outcome::TempFail => event::MessageOutcome::Tempfail,
                Outcome::Discarded => event::MessageOutcome::Discarded,
                Outcome::Abandoned => event::MessageOutcome::Lost,
            },
        });
    }

    /// The backend failed this session. The message's own line says what became of it.
    pub(super) fn backend_trouble(&self, error: &dyn std::error::Error) {
        event::backend_trouble(&self.client(), &error.to_string());
    }

    /// TLS is on with the backend.
    pub(super) fn backend_encrypted(&self, tls: &Negotiated) {
        event::tls_backend(&self.backend, &facts_of(tls));
    }

    /// The session is over.
    pub(super) fn disconnected(&self, end: &'static str) {
        event::disconnected(&event::SessionEvent {
            client: self.client(),
            duration: self.connected.elapsed(),
            commands: self.turns,
            messages: self.messages,
            end,
        });
    }
}

/// A connection beyond a limit.
pub(super) fn turned_away(peer: SocketAddr, why: event::Rejection) {
    event::rejected(&unknown(peer), why, "421");
}

/// A proxy that did not say for whom it connects.
pub(super) fn no_proxy_header(proxy: SocketAddr, why: &str) {
    event::rejected(&unknown(proxy), event::Rejection::BadProxyHeader, why);
}

/// A client that has no session.
fn unknown(peer: SocketAddr) -> event::Client<'static> {
    event::Client { name: None, address: peer.ip(), session: "" }
}

/// Now, as RFC 5322 §3.3 writes it, in UTC.
pub(super) fn date_now() -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// 70 random bits in 14 letters and digits, which is what log analyzers take for
/// sendmail's queue id: enough to find one session in the logs of years.
fn session_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 14];
    // A log id is no secret; without randomness sessions merely share one.
    let _ = getrandom::fill(&mut random);
    random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

fn facts_of(tls: &Negotiated) -> event::TlsFacts<'_> {
    let Negotiated { version, cipher, bits, verify, .. } = tls;
    event::TlsFacts { version, cipher, bits: *bits, verify }
}

fn rejection(notice: Notice) -> event::Rejection {
    match notice {
        Notice::HttpVerb => event::Rejection::HttpVerb,
        Notice::TooManyErrors => event::Rejection::TooManyErrors,
        Notice::TooManyCommands => event::Rejection::TooManyCommands,
        Notice::TooManyAuthFailures => event::Rejection::TooManyAuthFailures,
        Notice::Bdat => event::Rejection::BdatNotOffered,
        Notice::Injection => event::Rejection::DataBehindStarttls,
        Notice::Idle => event::Rejection::Timeout,
        Notice::Unwelcome => event::Rejection::Unwelcome,
        Notice::Kicked => event::Rejection::Kicked,
    }
}
