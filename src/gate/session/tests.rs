//! Runs `tests/dialog/*.txt` against the state machine alone, with an
//! authenticator and a backend that live in this file. `tests/gate_dialog.rs`
//! runs the same files against the program. The format is told in
//! `tests/dialog/README.md`.

use std::collections::VecDeque;
use std::path::Path;

use super::*;
use crate::auth::Authenticated;
use crate::base::ReasonCode;
use crate::gate::settings::Limits;
use crate::sasl::{Mechanism, Next as SaslNext};
use crate::wire::smtp::data::{Discipline, Scanner, State as DataState};
use crate::wire::smtp::line::LineSplitter;

#[path = "../../../tests/support/dialogue.rs"]
mod dialogue;

fn limits() -> Limits {
    Limits {
        message_bytes: 1_048_576,
        recipients: 3,
        line_bytes: 2048,
        errors: 5,
        auth_failures: 3,
        commands: 200,
        sessions: 10,
        sessions_per_address: 10,
    }
}

fn rules(kind: ListenerKind) -> Arc<Rules> {
    Arc::new(Rules {
        hostname: "gate.test".to_owned(),
        banner: "saslgate".to_owned(),
        mechanisms: vec!["PLAIN".to_owned(), "LOGIN".to_owned()],
        kind,
        limits: limits(),
    })
}

fn backend_capabilities() -> Capabilities {
    Capabilities {
        pipelining: true,
        size: Some(10_485_760),
        eight_bit_mime: true,
        dsn: true,
        enhanced_status_codes: true,
        smtputf8: true,
        starttls: false,
        auth: Vec::new(),
        xclient: Vec::new(),
    }
}

/// Policy that lets everybody pass, and what is offered.
#[derive(Clone, Default)]
struct Offer(Arc<Capabilities>);

impl Counsel for Offer {
    fn offer(&self) -> Arc<Capabilities> {
        Arc::clone(&self.0)
    }

    fn rule(&self, _: &Question<'_>) -> Ruling {
        Ruling::Pass
    }
}

/// The world of the dialogues: one user, and a backend that decides by address.
struct World {
    session: Session,
    offer: Offer,
    machine: Option<crate::sasl::Machine>,
    splitter: LineSplitter,
    input: Vec<u8>,
    /// Lines the client was sent and has not looked at.
    output: VecDeque<String>,
    scanner: Option<(Scanner, Vec<u8>)>,
    wants_tls: bool,
    is_closed: bool,
    ended: Vec<Ended>,
}

impl World {
    fn new(kind: ListenerKind) -> Self {
        let mut world = Self {
            session: Session::new(rules(kind)),
            offer: Offer(Arc::new(backend_capabilities().offered(limits().message_bytes))),
            machine: None,
            splitter: LineSplitter::new(12_288),
            input: Vec::new(),
            output: VecDeque::new(),
            scanner: None,
            wants_tls: false,
            is_closed: false,
            ended: Vec::new(),
        };
        world.happen(Event::Connected);
        world
    }

    fn send(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while !self.is_closed && !self.wants_tls {
            if self.scanner.is_some() {
                if !self.content() {
                    return;
                }
                continue;
            }
            let Some(line) = self.splitter.next(&mut self.input) else { return };
            self.happen(Event::Line(line));
        }
    }

    /// Feeds content to the scanner; false if more is needed.
    fn content(&mut self) -> bool {
        let (scanner, text) = self.scanner.as_mut().unwrap();
        let scanned = scanner.scan(&self.input, text);
        self.input.drain(..scanned.consumed);
        let outcome = match scanned.state {
            DataState::More => return false,
            DataState::End if text.starts_with(b"X-Refuse") => {
                ContentOutcome::Answered(Reply::new(554, "5.7.1", "Content refused"))
            }
            DataState::End => {
                let text = "q1 Message accepted for delivery";
                ContentOutcome::Answered(Reply::new(250, "2.0.0", text))
            }
            DataState::Violation(_) | DataState::AmbiguousEnd => {
                ContentOutcome::RefusedAndLost(Reply::new(554, "5.6.0", "Message refused"))
            }
        };
        self.scanner = None;
        self.happen(Event::ContentEnded(outcome));
        true
    }

    fn happen(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(now) = event.take() {
            let turn = self.session.handle(now, &self.offer);
            if let Some(reply) = &turn.reply {
                let mut bytes = Vec::new();
                reply.write(&mut bytes);
                let text = String::from_utf8(bytes).unwrap();
                self.output.extend(text.split_terminator("\r\n").map(str::to_owned));
            }
            self.ended.extend(turn.ended.map(|ended| *ended));
            event = self.perform(turn.next);
        }
    }

    fn perform(&mut self, next: Next) -> Option<Event> {
        match next {
            Next::Read => None,
            Next::CancelExchange => {
                self.machine = None;
                None
            }
            Next::StartTls => {
                self.wants_tls = true;
                None
            }
            Next::Authenticate { mechanism, initial } => {
                self.machine = Some(Mechanism::from_name(&mechanism).unwrap().start());
                Some(self.step(initial.as_ref().map(Response::expose)))
            }
            Next::Respond(response) => Some(self.step(Some(response.expose()))),
            Next::OpenRelay => Some(Event::RelayReady(backend_capabilities())),
            Next::Ask { line, .. } => Some(backend(&String::from_utf8(line).unwrap())),
            Next::StreamContent => {
                self.scanner = Some((Scanner::new(Discipline::Reject), Vec::new()));
                None
            }
            Next::Close => {
                self.is_closed = true;
                None
            }
        }
    }

    fn step(&mut self, response: Option<&[u8]>) -> Event {
        let rejected = |code: ReasonCode| Event::Judged(Verdict::Rejected(code.into()));
        match self.machine.as_mut().unwrap().step(response) {
            SaslNext::Challenge(challenge) => Event::Challenge(challenge),
            SaslNext::Failed(_) => rejected(ReasonCode::Malformed),
            SaslNext::Credentials { authzid, authcid, password } => {
                let is_own = authzid.is_empty() || authzid == authcid;
                match (authcid.as_str(), password.expose()) {
                    ("alice@gate.test", b"s3cret") if is_own => {
                        let user = Authenticated::for_tests("alice", "gate.test");
                        Event::Judged(Verdict::Accepted(user))
                    }
                    _ => rejected(ReasonCode::BadCredentials),
                }
            }
        }
    }
}

/// What the backend of the dialogues answers; `tests/dialog/README.md` has the same table.
fn backend(line: &str) -> Event {
    let reply = match line.trim_end() {
        "DATA" => Reply::new(354, "", "End data with <CR><LF>.<CR><LF>"),
        line if line.contains("<nobody@") => Reply::new(550, "5.1.1", "User unknown"),
        line if line.contains("<later@") => Reply::new(451, "4.7.1", "Try again later"),
        line if line.contains("<bye@") => {
            return Event::RelayFailed(Reply::new(451, "4.3.2", "Going down"));
        }
        line if line.starts_with("MAIL FROM:<") => Reply::new(250, "2.1.0", "Sender ok"),
        line if line.starts_with("RCPT TO:<") => Reply::new(250, "2.1.5", "Recipient ok"),
        line => panic!("the backend was sent {line:?}"),
    };
    Event::Replied(reply)
}

fn run(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let mode = if text.contains("@listener implicit") {
        ListenerKind::Submissions
    } else {
        ListenerKind::Submission
    };
    let mut world = World::new(mode);
    let mut pending = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", file.display(), number + 1);
        if let Some(text) = line.strip_prefix("C: ").or_else(|| (line == "C:").then_some("")) {
            // Consecutive client lines travel in one segment: that is pipelining.
            pending.extend(dialogue::unescape(text));
            pending.extend(b"\r\n");
            continue;
        }
        world.send(&std::mem::take(&mut pending));
        if let Some(expected) = line.strip_prefix("S: ") {
            let got = world.output.pop_front().unwrap_or_else(|| panic!("{place}: no reply"));
            match expected.strip_suffix('*') {
                Some(start) => assert!(got.starts_with(start), "{place}: {got:?}"),
                None => assert_eq!(got.trim_end(), expected.trim_end(), "{place}"),
            }
        } else if line == "TLS" {
            assert!(world.wants_tls, "{place}: no handshake expected");
            world.wants_tls = false;
            world.happen(Event::TlsStarted);
        } else if line == "CLOSED" {
            assert!(world.is_closed, "{place}: the session goes on");
        } else {
            assert!(line.is_empty() || line.starts_with(['#', '@']), "{place}: what is {line:?}?");
        }
    }
    assert!(pending.is_empty(), "{}: nobody reads the last lines", file.display());
    assert!(world.output.is_empty(), "{}: more replies: {:?}", file.display(), world.output);
}

#[test]
fn holds_every_dialogue() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialog");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "txt") {
            run(&path);
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} dialogues found");
}

/// A session that alice has logged in to.
fn logged_in() -> World {
    let mut world = World::new(ListenerKind::Submissions);
    world.send(b"EHLO client.test\r\nAUTH PLAIN AGFsaWNlQGdhdGUudGVzdABzM2NyZXQ=\r\n");
    assert!(world.output.iter().any(|line| line.starts_with("235 ")));
    world.output.clear();
    world
}

#[test]
fn every_split_of_a_session_gives_the_same_replies() {
    let whole =
        b"MAIL FROM:<a@b.test> SIZE=10\r\nRCPT TO:<nobody@c.test>\r\nRCPT TO:<c@d.test>\r\n\
        DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nNOOP\r\nQUIT\r\n";
    let mut expected = logged_in();
    expected.send(whole);
    assert!(expected.is_closed);
    for at in 0..whole.len() {
        let mut world = logged_in();
        world.send(&whole[..at]);
        world.send(&whole[at..]);
        assert_eq!(world.output, expected.output, "split at {at}");
    }
}

#[test]
fn a_message_ends_once_whatever_happens() {
    let cases: &[(&[u8], &[Outcome])] = &[
        (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n", &[Outcome::Accepted]),
        (
            b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nX-Refuse: y\r\n.\r\n",
            &[Outcome::Refused],
        ),
        (b"MAIL FROM:<nobody@b.test>\r\n", &[Outcome::Refused]),
        (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@d.test>\r\nRSET\r\n", &[Outcome::Refused]),
        (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bye@d.test>\r\nDATA\r\n", &[Outcome::TempFail]),
        (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nEHLO x\r\n", &[Outcome::Abandoned]),
        (b"MAIL FROM:<a@b.test>\r\nQUIT\r\n", &[Outcome::Abandoned]),
        (b"RSET\r\nNOOP\r\nQUIT\r\n", &[]),
    ];
    for (bytes, outcomes) in cases {
        let mut world = logged_in();
        world.send(bytes);
        let got: Vec<Outcome> = world.ended.iter().map(|ended| ended.outcome).collect();
        assert_eq!(&got, outcomes, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_client_that_leaves_ends_what_was_open() {
    let mut world = logged_in();
    assert!(world.session.abandon().is_none());
    world.send(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
    let ended = world.session.abandon().unwrap();
    assert_eq!(
        (ended.outcome, ended.recipients.as_slice()),
        (Outcome::Abandoned, &["c@d.test".to_owned()][..])
    );
    assert!(world.session.abandon().is_none());
}

#[test]
fn an_outage_is_never_a_refusal() {
    let mut world = World::new(ListenerKind::Submissions);
    world.send(b"EHLO client.test\r\n");
    world.output.clear();
    let turn = world
        .session
        .handle(Event::Line(Line::Complete(b"AUTH PLAIN".to_vec())), &Offer::default());
    assert!(matches!(turn.next, Next::Authenticate { .. }));
    let down = Verdict::Unavailable(ReasonCode::BackendDown.into());
    let turn = world.session.handle(Event::Judged(down), &Offer::default());
    assert_eq!(turn.reply.unwrap().code, 454);
    assert!(world.session.user().is_none());
}

#[test]
fn a_backend_that_changed_is_told_as_temporary() {
    let mut world = logged_in();
    let offer = world.offer.clone();
    let line = b"MAIL FROM:<a@b.test> BODY=8BITMIME".to_vec();
    let turn = world.session.handle(Event::Line(Line::Complete(line)), &offer);
    assert!(matches!(turn.next, Next::OpenRelay));
    let turn = world.session.handle(Event::RelayReady(Capabilities::default()), &offer);
    assert_eq!(turn.reply.unwrap().code, 451);
    assert_eq!(turn.ended.unwrap().outcome, Outcome::TempFail);
}

#[test]
fn a_backend_that_changed_loses_no_wish_for_a_report() {
    let mut world = logged_in();
    let offer = world.offer.clone();
    let line = |text: &[u8]| Event::Line(Line::Complete(text.to_vec()));
    world.session.handle(line(b"MAIL FROM:<a@b.test>"), &offer);
    world.session.handle(Event::RelayReady(Capabilities::default()), &offer);
    world.session.handle(Event::Replied(Reply::new(250, "2.1.0", "ok")), &offer);
    let turn = world.session.handle(line(b"RCPT TO:<c@d.test> NOTIFY=NEVER"), &offer);
    assert_eq!(turn.reply.unwrap().code, 451);
    let turn = world.session.handle(line(b"RCPT TO:<c@d.test>"), &offer);
    assert!(matches!(turn.next, Next::Ask { .. }));
}

#[test]
fn an_exchange_that_its_client_spoils_is_recorded_once() {
    let cases: &[(&[&[u8]], ReasonCode)] = &[
        (&[b"AUTH LOGIN", b"*"], ReasonCode::Cancelled),
        (&[b"AUTH PLAIN", b"!!!!"], ReasonCode::Malformed),
        (&[b"AUTH PLAIN !!!!"], ReasonCode::Malformed),
    ];
    for (lines, code) in cases {
        let mut session = Session::new(rules(ListenerKind::Submissions));
        let offer = Offer::default();
        let mut broken = Vec::new();
        for line in std::iter::once(&&b"EHLO client.test"[..]).chain(*lines) {
            let turn = session.handle(Event::Line(Line::Complete(line.to_vec())), &offer);
            broken.extend(turn.broken);
            if matches!(turn.next, Next::Authenticate { .. }) {
                session.handle(Event::Challenge(Vec::new()), &offer);
            }
        }
        let codes: Vec<ReasonCode> = broken.iter().map(|exchange| exchange.code).collect();
        assert_eq!(codes, [*code], "{lines:?}");
    }
}
