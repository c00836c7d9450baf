//! Runs one client's session: all of its I/O, and nothing of its decisions.
//!
//! The loop in `Connection::run` is the whole story: an event goes into the
//! session, a turn comes out, the reply is queued, the next thing is done and
//! becomes the next event. The driver is the only writer on both connections
//! and the only reader of clocks.

mod relaying;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::access::{self, Ruled};
use super::arrival::{Arrival, Caller};
use super::backends::Backend;
use super::client::{Client, NoLine};
use super::content::{self, AuthorJudge, Terms};
use super::desk::{Desk, Facts, Question, Ruling};
use super::names::{ClientName, Names};
use super::record::{self, Recorder};
use super::relay::{Relay, RelayError};
use super::roster::{Doing, Newcomer, Present, Roster};
use super::session::{Asked, ContentOutcome, Counsel, Event, Next, Notice, Rules, Session, Turn};
use super::settings::{ListenerKind, Settings, TlsMode};
use super::trace::Trace;
use super::transcript::{Transcript, Transcripts};
use crate::auth::{
    Conversation, ExchangeContext, HandoverToken, Mechanisms, Response, StepResult, Verdict,
};
use crate::base::{Origin, Reason, ReasonCode};
use crate::listen::Admission;
use crate::ops::event::gate::Rejection;
use crate::ops::metrics::gate::Step;
use crate::policy::access::arrivals::Counted;
use crate::policy::rate::Place;
use crate::tls::ServerTls;
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::header::Authors;
use crate::wire::smtp::line::Line;
use crate::wire::smtp::reply::Reply;

/// Everything the sessions of a gate share. A reload makes a new one; sessions
/// keep the one they started with.
pub struct Gate {
    /// As configured.
    pub settings: Settings,
    /// The certificate; reloads swap it inside.
    pub tls: ServerTls,
    /// Who runs the mechanisms.
    pub mechanisms: Arc<dyn Mechanisms>,
    /// The mail servers; at least one.
    pub backends: Vec<Arc<Backend>>,
    /// What policy says.
    pub desk: Desk,
    /// Where sessions are written down.
    pub transcripts: Transcripts,
    /// Who is here.
    pub roster: Arc<Roster>,
    /// Who asks the DNS; `None` where nothing is to be asked.
    pub names: Option<Arc<Names>>,
    /// The session's rules on each listener, in the order of the settings.
    pub rules: Vec<Arc<Rules>>,
    /// Whose PROXY headers are believed on each listener, in the same order.
    pub proxies: Vec<Vec<IpNet>>,
}

impl Gate {
    /// The mail server of a session.
    fn backend(&self) -> &Arc<Backend> {
        &self.backends[0]
    }

    /// True if who connects from `address` is a proxy of this listener.
    pub(super) fn believes(&self, listener: usize, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let proxies = self.proxies.get(listener);
        proxies.is_some_and(|networks| networks.iter().any(|network| network.contains(&address)))
    }
}

/// How a stop of the service reaches its sessions.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// A session that is idle ends; one within a transaction goes on.
    pub soon: CancellationToken,
    /// Every session ends with 421, and what it had open is not completed.
    pub now: CancellationToken,
}

/// Serves one connection to its end. A connection over a limit hears 421.
pub async fn serve(gate: Arc<Gate>, arrival: Arrival, stop: Stop) {
    let listener = arrival.listener;
    let Some(rules) = gate.rules.get(listener).map(Arc::clone) else { return };
    let caller = stop.soon.run_until_cancelled(arrival.identify(&gate)).await.flatten();
    let Some(Caller { stream, ends, admission }) = caller else { return };
    let client = Client::new(stream, ends, &gate.settings);
    let mode = rules.kind.tls();
    let _permit = match admission {
        Admission::Admitted(permit) => permit,
        Admission::TooManySessions => {
            return turn_away(client, mode, Rejection::TooManySessions).await;
        }
        Admission::TooManyFromAddress => {
            return turn_away(client, mode, Rejection::TooManySessionsFromAddress).await;
        }
    };
    let door = Door { listener, rules };
    let Some(connection) = Connection::accept(gate, client, door, stop).await else { return };
    connection.run().await;
}

/// A client that waits for a TLS handshake would not understand a reply: it is just closed.
async fn turn_away(mut client: Client, mode: TlsMode, why: Rejection) {
    record::turned_away(client.peer, why);
    if mode == TlsMode::Starttls {
        let text = "Too many sessions, try again later";
        let _ = client.reply(&Reply::new(421, "4.3.2", text)).await;
    }
    client.close().await;
}

/// How long the first clients wait for the backend's capabilities.
const FIRST_PROBE: Duration = Duration::from_secs(5);

struct Connection {
    gate: Arc<Gate>,
    client: Client,
    session: Session,
    /// What the desk goes by.
    facts: Facts,
    /// The block lists that are being asked.
    listings: Option<JoinHandle<Vec<String>>>,
    /// Its place among the sessions of its login.
    place: Option<Place>,
    /// Its place among the connections of its address.
    _counted: Option<Counted>,
    relay: Option<Relay>,
    /// Why `relay` is gone while replies of it are owed.
    lost: Option<Reply>,
    /// Replies that the client waits for, in order.
    owed: VecDeque<Owed>,
    conversation: Option<(Conversation, String)>,
    /// For the mail server, until a connection is opened with it.
    token: Option<HandoverToken>,
    /// A connection to the backend that is opened while the client goes on.
    opening: Option<JoinHandle<Result<Relay, RelayError>>>,
    recorder: Recorder,
    /// Its place on the roster.
    seat: Present,
    /// Where it is written down, if it is.
    transcript: Option<Transcript>,
    /// When the session must be over.
    deadline: Instant,
    /// `now` is of this session alone: it may be ended before the service stops.
    stop: Stop,
}

/// The listener that a client came through.
struct Door {
    listener: usize,
    rules: Arc<Rules>,
}

/// A reply that the client waits for, behind others.
enum Owed {
    /// The backend's, to this command.
    Theirs(Asked),
    /// Ours, which must wait for those before it.
    Ours(Reply),
}

/// Who ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    ByUs,
    ByClient,
}

impl Connection {
    async fn accept(gate: Arc<Gate>, client: Client, door: Door, stop: Stop) -> Option<Self> {
        let Door { listener, rules } = door;
        let (kind, address) = (rules.kind, client.peer.ip().to_canonical());
        let backend = &gate.backend().route.settings.address;
        let recorder = Recorder::new(client.peer, client.local, backend);
        let stop = Stop { now: stop.now.child_token(), ..stop };
        let seat = gate.roster.enter(Newcomer {
            id: recorder.session_id().to_owned(),
            client: client.peer,
            listener: client.local,
            kind,
            traffic: Arc::clone(&client.traffic),
            cut: stop.now.clone(),
        });
        let name = ClientName::default();
        let arrived = gate.desk.access.arrive(address, std::time::Instant::now());
        let (counted, count) = arrived.unzip();
        let id = recorder.session_id();
        let transcript = gate.transcripts.begin(id, client.peer, client.local, listener);
        let connection = Self {
            session: Session::new(rules),
            facts: Facts {
                address,
                kind,
                tls: None,
                client: access::client(address, &name),
                name,
                count,
                listings: Vec::new(),
                account: gate.desk.sending.stranger(address),
            },
            listings: None,
            place: None,
            _counted: counted,
            relay: None,
            lost: None,
            owed: VecDeque::new(),
            conversation: None,
            recorder,
            seat,
            transcript,
            token: None,
            opening: None,
            deadline: Instant::now() + gate.settings.timeouts.session,
            client,
            stop,
            gate,
        };
        match kind.tls() {
            TlsMode::Starttls => Some(connection),
            TlsMode::Implicit => connection.encrypt().await,
        }
    }

    async fn run(mut self) {
        // Only the first clients of a gate wait here: for the offer to be complete.
        let _ = timeout(FIRST_PROBE, self.gate.backend().health.known()).await;
        self.look_up_client().await;
        let mut event = Event::Connected;
        let end = loop {
            if let Event::Line(Line::Complete(line)) = &event
                && starts_with_rcpt(line)
            {
                self.await_listings().await;
            }
            if let (Some(transcript), Event::Line(line)) = (&self.transcript, &event) {
                transcript.heard(line, self.session.awaits_response());
            }
            let is_theirs = matches!(event, Event::Replied(_) | Event::RelayFailed(_));
            let mut turn = self.guard(event);
            self.open_ahead();
            self.recorder.turn(&turn, &self.session);
            if turn.ended.is_some() {
                self.seat.accepted(self.recorder.messages());
            }
            self.seat.does(self.doing(&turn.next));
            if let Some(reply) = turn.reply.take()
                && self.answer(reply, is_theirs).await.is_err()
            {
                break End::ByClient;
            }
            event = match turn.next {
                Next::Close => break End::ByUs,
                Next::StartTls => match self.start_tls().await {
                    Some(encrypted) => {
                        self = encrypted;
                        Event::TlsStarted
                    }
                    None => return,
                },
                next => match self.perform_unless_stopped(next).await {
                    Some(event) => event,
                    None => break End::ByClient,
                },
            };
        };
        self.end(end).await;
    }

    /// What an administrator sees of the next thing.
    fn doing(&self, next: &Next) -> Doing {
        match next {
            Next::Read if self.session.is_in_transaction() => Doing::Transaction,
            Next::Read | Next::CancelExchange | Next::Close => Doing::Waiting,
            Next::StartTls => Doing::Handshake,
            Next::Authenticate { .. } | Next::Respond(_) => Doing::Authenticating,
            Next::OpenRelay | Next::Ask { .. } => Doing::Backend,
            Next::StreamContent => Doing::Content,
        }
    }

    /// Lets the session decide; but STARTTLS with input behind it is never
    /// answered with 220, whatever stands there (RFC 3207 §6, CVE-2011-0411).
    fn guard(&mut self, event: Event) -> Turn {
        let limit_bytes = self.session.limits().message_bytes;
        let surroundings = Surroundings {
            gate: &self.gate,
            facts: &self.facts,
            recorder: &self.recorder,
            limit_bytes,
        };
        let turn = self.session.handle(event, &surroundings);
        if matches!(turn.next, Next::StartTls) && self.client.has_buffered_input() {
            let text = "nothing may follow STARTTLS before the handshake, closing connection";
            return Turn {
                reply: Some(Reply::new(421, "4.7.0", text)),
                next: Next::Close,
                notice: Some(Notice::Injection),
                ..turn
            };
        }
        turn
    }

    /// Asks the DNS who a client of an `mta` listener is. Its name is waited for, the lists are not.
    async fn look_up_client(&mut self) {
        let Facts { address, kind: ListenerKind::Mta, .. } = self.facts else { return };
        let Some(names) = self.gate.names.clone() else { return };
        if names.has_lists_for(address) {
            let names = Arc::clone(&names);
            self.listings = Some(tokio::spawn(async move { names.listings(address).await }));
        }
        self.facts.name = names.client_name(address).await;
        self.facts.client = access::client(address, &self.facts.name);
        if let ClientName::Verified(name) = &self.facts.name {
            self.recorder.named(name);
        }
    }

    /// Waits for the lists, unless the client has logged in by now.
    async fn await_listings(&mut self) {
        let Some(mut asked) = self.listings.take() else { return };
        if self.session.user().is_some() {
            asked.abort();
            return;
        }
        self.facts.listings = self.client.meanwhile(&mut asked).await.unwrap_or_default();
    }

    /// Queues a reply for the client, in its turn: what the backend owes comes
    /// first, and what waited for a reply of the backend follows it.
    async fn answer(&mut self, reply: Reply, is_theirs: bool) -> io::Result<()> {
        if !is_theirs && !self.owed.is_empty() {
            self.owed.push_back(Owed::Ours(reply));
            return Ok(());
        }
        self.client.reply(&reply).await?;
        self.write_down(&reply);
        while let Some(Owed::Ours(reply)) = self.owed.front() {
            self.client.reply(reply).await?;
            self.write_down(reply);
            self.owed.pop_front();
        }
        Ok(())
    }

    fn write_down(&self, reply: &Reply) {
        if let Some(transcript) = &self.transcript {
            transcript.said(reply);
        }
    }

    /// What is cut off here leaves no message at the backend: a relay in use
    /// goes with the work that used it.
    async fn perform_unless_stopped(&mut self, next: Next) -> Option<Event> {
        let now = self.stop.now.clone();
        match now.run_until_cancelled(self.perform(next)).await {
            Some(event) => event,
            None if self.seat.is_kicked() => Some(Event::Kicked),
            None => Some(Event::Stopping),
        }
    }

    /// Does the next thing; `None` ends the session.
    async fn perform(&mut self, next: Next) -> Option<Event> {
        match next {
            Next::Read => self.go_on().await,
            Next::Authenticate { mechanism, initial } => {
                Some(self.authenticate(mechanism, initial).await)
            }
            Next::Respond(response) => Some(self.respond(response).await),
            Next::CancelExchange => {
                self.conversation = None;
                self.read().await
            }
            Next::OpenRelay => Some(self.open_relay().await),
            Next::Ask { line, command } => {
                self.queue(&line, command);
                self.owed.push_back(Owed::Theirs(command));
                self.go_on().await
            }
            Next::StreamContent => self.stream_content().await,
            // `run` does STARTTLS itself: it replaces the connection.
            Next::StartTls | Next::Close => None,
        }
    }

    /// Brings the next line, or the next reply of the backend where that comes first.
    async fn go_on(&mut self) -> Option<Event> {
        let Some(Owed::Theirs(command)) = self.owed.front() else { return self.read().await };
        let command = *command;
        let takes_ahead = |line| self.session.takes_ahead(line);
        if self.relay.is_some() && self.client.peek_line().is_some_and(takes_ahead) {
            return self.client.buffered_line().map(Event::Line);
        }
        Some(self.hear(command).await)
    }

    async fn read(&mut self) -> Option<Event> {
        let is_stopping = self.stop.soon.is_cancelled() && !self.session.is_in_transaction();
        if is_stopping {
            return Some(Event::Stopping);
        }
        if let Some(line) = self.client.buffered_line() {
            return Some(Event::Line(line));
        }
        self.client.flush().await.ok()?;
        let is_idle = !self.session.is_in_transaction();
        if is_idle {
            self.let_go();
        }
        let limit = self.gate.settings.timeouts.command;
        let left = self.deadline.saturating_duration_since(Instant::now()).min(limit);
        tokio::select! {
            line = self.client.line(left) => match line {
                Ok(line) => Some(Event::Line(line)),
                Err(NoLine::Late) => Some(Event::TimedOut),
                Err(NoLine::Gone) => None,
                Err(NoLine::Encrypted) => {
                    let reason = "a TLS record before STARTTLS: the client is set to TLS from \
                                  the start, which is for another port";
                    self.recorder.handshake_failed(reason);
                    None
                }
            },
            () = self.stop.soon.cancelled(), if is_idle => Some(Event::Stopping),
        }
    }

    async fn start_tls(mut self) -> Option<Self> {
        self.client.flush().await.ok()?;
        self.encrypt().await
    }

    /// A handshake, which a stop of the service does not wait for.
    async fn encrypt(self) -> Option<Self> {
        let Self { client, gate, stop, mut recorder, mut facts, seat, transcript, .. } = self;
        let limit = gate.settings.timeouts.handshake;
        let handshake = timeout(limit, client.encrypt(&gate.tls));
        let handshake = stop.now.run_until_cancelled(handshake);
        let reason = match stop.soon.run_until_cancelled(handshake).await.flatten() {
            Some(Ok(Ok(client))) => {
                seat.encrypted();
                if let Some(tls) = &client.tls {
                    recorder.encrypted(tls);
                    if let Some(transcript) = &transcript {
                        transcript.encrypted(tls);
                    }
                }
                facts.tls.clone_from(&client.tls);
                return Some(Self {
                    client,
                    gate,
                    stop,
                    recorder,
                    facts,
                    seat,
                    transcript,
                    ..self
                });
            }
            Some(Ok(Err(error))) => error.to_string(),
            Some(Err(_)) => "the client took too long".to_owned(),
            None if seat.is_kicked() => "the administrator ended the session".to_owned(),
            None => "the service is stopping".to_owned(),
        };
        recorder.handshake_failed(&reason);
        recorder.disconnected("no TLS");
        None
    }

    async fn authenticate(&mut self, mechanism: String, initial: Option<Response>) -> Event {
        let context = ExchangeContext {
            service: "smtp",
            origin: Origin {
                client: Some(self.client.peer.ip().to_canonical()),
                port: Some(self.client.peer.port()),
                uid: None,
            },
        };
        let limit = self.gate.settings.timeouts.auth;
        let started = Conversation::start(&self.gate.mechanisms, &mechanism, &context, limit);
        match started {
            Some(conversation) => self.step(conversation, mechanism, initial).await,
            None => Event::Judged(self.recorder.mechanism_vanished(&mechanism)),
        }
    }

    async fn respond(&mut self, response: Response) -> Event {
        match self.conversation.take() {
            Some((conversation, mechanism)) => {
                self.step(conversation, mechanism, Some(response)).await
            }
            None => Event::Judged(self.recorder.mechanism_vanished("(none)")),
        }
    }

    async fn step(
        &mut self,
        conversation: Conversation,
        mechanism: String,
        response: Option<Response>,
    ) -> Event {
        match conversation.step(response).await {
            StepResult::Challenge(challenge, conversation) => {
                self.conversation = Some((conversation, mechanism));
                Event::Challenge(challenge)
            }
            StepResult::Done { claimed, verdict } => {
                let mut verdict = self.take_place(verdict);
                if let Verdict::Accepted(user) = &mut verdict {
                    self.token = user.take_handover();
                }
                self.recorder.judged(&mechanism, claimed.as_ref(), &verdict);
                if let Verdict::Accepted(user) = &verdict {
                    self.seat.logged_in(user.identity().to_string());
                }
                Event::Judged(verdict)
            }
        }
    }

    /// A login that is right still needs a place among the sessions of its user.
    fn take_place(&mut self, verdict: Verdict) -> Verdict {
        let Verdict::Accepted(user) = &verdict else { return verdict };
        match self.gate.desk.sending.user(user.identity(), self.facts.address) {
            Ok((account, place)) => {
                self.facts.account = account;
                self.place = place;
                verdict
            }
            Err(most) => {
                let why = format!("this login has {most} sessions (policy.account.max_sessions)");
                Verdict::Unavailable(Reason::new(ReasonCode::Busy, why))
            }
        }
    }

    async fn stream_content(&mut self) -> Option<Event> {
        self.client.flush().await.ok()?;
        let Some(relay) = self.relay.take() else {
            // The client has its 354: what it sends now must not be read as commands.
            let lost = RelayError::Lost { what: "content" };
            self.recorder.backend_trouble(&lost);
            return Some(Event::ContentEnded(ContentOutcome::RefusedAndLost(lost.reply())));
        };
        let trace = Trace {
            client_name: self.session.client_name().unwrap_or("unknown"),
            peer: self.client.peer,
            name: &self.facts.name,
            hostname: self.session.hostname(),
            is_authenticated: self.session.user().is_some(),
            tls: self.client.tls.as_ref(),
            is_smtputf8: self.session.is_smtputf8(),
            id: self.recorder.message_id(),
            recipient: self.session.sole_recipient(),
            date: &record::date_now(),
        }
        .header();
        let (sending, account) = (&self.gate.desk.sending, &self.facts.account);
        let judge = |authors: &Authors| sending.authors(account, authors).err();
        let terms = Terms {
            trace,
            settings: &self.gate.settings,
            limit_bytes: self.session.limits().message_bytes,
            deadline: self.deadline,
            is_discarded: self.session.discards_message(),
            authors: sending.reads_from(account).then_some(&judge as &AuthorJudge),
        };
        let began = Instant::now();
        let streamed = content::stream(&mut self.client, relay, terms).await;
        let counts = &self.gate.backend().counts;
        counts.latency(Step::Content).note(began.elapsed());
        self.client.slim();
        self.relay = streamed.relay;
        self.recorder.content_bytes(streamed.bytes);
        if let Some(transcript) = &self.transcript {
            transcript.content(streamed.bytes);
        }
        sending.content(account, streamed.bytes, std::time::Instant::now());
        if let Some(error) = &streamed.trouble {
            counts.failed.one();
            self.recorder.backend_trouble(error);
        }
        Some(Event::ContentEnded(streamed.outcome))
    }

    async fn end(mut self, end: End) {
        if let Some(ended) = self.session.abandon() {
            self.recorder.ended(&ended, &self.session);
        }
        self.recorder.disconnected(match end {
            End::ByUs => "closed",
            End::ByClient => "client gone",
        });
        if self.owed.is_empty() {
            self.let_go();
        }
        let Self { client, relay, opening, .. } = self;
        if let Some(opening) = opening {
            // It keeps its own deadline.
            tokio::spawn(async {
                if let Ok(Ok(relay)) = opening.await {
                    relay.quit().await;
                }
            });
        }
        // The backend hears QUIT while the client's connection is closed in order.
        let goodbye = async {
            if let Some(relay) = relay {
                relay.quit().await;
            }
        };
        tokio::join!(client.close(), goodbye);
    }
}

/// What a session may ask about.
struct Surroundings<'a> {
    gate: &'a Gate,
    facts: &'a Facts,
    recorder: &'a Recorder,
    /// Largest message on this listener.
    limit_bytes: u64,
}

impl Counsel for Surroundings<'_> {
    fn offer(&self) -> Arc<Capabilities> {
        self.gate.backend().health.offered(self.limit_bytes)
    }

    fn rule(&self, question: &Question<'_>) -> Ruling {
        let Ruled { ruling, note } =
            self.gate.desk.rule(question, self.facts, std::time::Instant::now());
        if let Some(note) = note {
            self.recorder.ruled(&note);
        }
        ruling
    }
}

fn starts_with_rcpt(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"RCPT"))
}
