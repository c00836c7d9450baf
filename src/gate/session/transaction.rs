//! MAIL, RCPT, DATA: one message on its way through, and how it ended.
//!
//! Every 250 here is the backend's. Commands are passed on as they come; each
//! keeps its place among what is in flight until its reply is there. When the backend is lost within a
//! transaction the client hears 451 until it starts a new one; nothing is
//! retried behind its back.

use std::collections::VecDeque;

use super::{Aftermath, Asked, Counsel, InFlight, Next, Notice, Session, State, Turn};
use crate::auth::Authenticated;
use crate::gate::desk::{Question, Ruling};
use crate::gate::settings::ListenerKind;
use crate::wire::smtp::command::{CommandError, Mail, Rcpt};
use crate::wire::smtp::ehlo::Capabilities;
use crate::wire::smtp::reply::Reply;

/// One message between MAIL and its end.
pub(super) struct Transaction {
    mail: Mail,
    /// As the backend accepted them.
    recipients: Vec<String>,
    refused_recipients: usize,
    last_refusal: Option<Reply>,
    /// What the backend can do, as of this transaction's connection.
    capabilities: Capabilities,
    /// It is taken and thrown away.
    is_discarded: bool,
}

/// How a transaction ended, for its log line.
#[derive(Debug)]
pub struct Ended {
    /// Envelope sender, without angle brackets; empty for the null path.
    pub sender: String,
    /// Recipients that the backend accepted.
    pub recipients: Vec<String>,
    /// How many it refused.
    pub refused_recipients: usize,
    /// The reply that ended it, where one did.
    pub reply: Option<Reply>,
    /// What became of the message.
    pub outcome: Outcome,
    /// It was declared SMTPUTF8.
    pub is_smtputf8: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The backend has it.
    Accepted,
    /// The access map had it thrown away.
    Discarded,
    /// Refused for good, by the backend or by us.
    Refused,
    /// Refused for now.
    TempFail,
    /// The client left or began anew before the content was complete.
    Abandoned,
}

/// How the content of a message ended.
pub enum ContentOutcome {
    /// The backend took all of it and gave this reply, or broke in with this one.
    Answered(Reply),
    /// Not passed on: this reply is ours. The client's content was read to its end.
    Refused(Reply),
    /// As `Refused`, but where the content ends is in doubt: the session must close.
    RefusedAndLost(Reply),
    /// The client left or fell silent before the end.
    ClientGone,
}

impl Transaction {
    fn new(mail: Mail) -> Box<Self> {
        Box::new(Self {
            mail,
            recipients: Vec::new(),
            refused_recipients: 0,
            last_refusal: None,
            capabilities: Capabilities::default(),
            is_discarded: false,
        })
    }

    pub(super) fn is_discarded(&self) -> bool {
        self.is_discarded
    }

    pub(super) fn is_smtputf8(&self) -> bool {
        self.mail.is_smtputf8()
    }

    /// True if the backend takes a command before it answered the last (RFC 2920).
    pub(super) fn can_pipeline(&self) -> bool {
        self.capabilities.pipelining
    }

    /// How many recipients it has if all are accepted that are still asked about.
    pub(super) fn recipients_with(&self, in_flight: &VecDeque<InFlight>) -> usize {
        let asked = in_flight.iter().filter(|asked| matches!(asked, InFlight::Rcpt(_)));
        self.recipients.len() + asked.count()
    }

    pub(super) fn sole_recipient(&self) -> Option<&str> {
        match self.recipients.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    pub(super) fn end(self, reply: Option<Reply>, outcome: Outcome) -> Box<Ended> {
        let Self { mail, recipients, refused_recipients, last_refusal, is_discarded, .. } = self;
        let outcome = match outcome {
            Outcome::Accepted if is_discarded => Outcome::Discarded,
            outcome => outcome,
        };
        // A client that gives up because every recipient was refused did not just walk away.
        let gave_up = outcome == Outcome::Abandoned && recipients.is_empty();
        let (reply, outcome) = match last_refusal {
            Some(refusal) if gave_up => (Some(refusal.clone()), outcome_of(&refusal)),
            _ => (reply, outcome),
        };
        let is_smtputf8 = mail.is_smtputf8();
        let sender = mail.sender.address().to_owned();
        Box::new(Ended { sender, recipients, refused_recipients, reply, outcome, is_smtputf8 })
    }

    fn refuse(&mut self, reply: &Reply) {
        self.refused_recipients += 1;
        self.last_refusal = Some(reply.clone());
    }

    fn end_with(self, reply: &Reply) -> Box<Ended> {
        self.end(Some(reply.clone()), outcome_of(reply))
    }
}

impl Session {
    pub(super) fn on_mail(&mut self, mail: Mail, counsel: &dyn Counsel) -> Turn {
        if let Some(refusal) = self.mail_refusal(&mail) {
            return self.refuse_mail(refusal);
        }
        let login = self.user.as_ref().map(Authenticated::identity);
        let ruling = counsel.rule(&Question::Mail { login, mail: &mail });
        let mut transaction = Transaction::new(mail);
        if let Ruling::Refuse(refusal) = ruling {
            return self.turn_down(refusal, Some(transaction));
        }
        transaction.is_discarded = self.discards || ruling == Ruling::Discard;
        self.state = State::MailPending(transaction);
        Turn::next(Next::OpenRelay)
    }

    /// Refuses a MAIL command of ours: one error, whatever is pipelined behind it.
    pub(super) fn refuse_mail(&mut self, refusal: Reply) -> Turn {
        if self.may_send() && !self.is_in_transaction() {
            self.state = State::Over(Aftermath::Refused);
        }
        self.refuse(refusal)
    }

    /// Policy says no: an answer, and no mistake of the client's. With a
    /// transaction that ends before it began, there is a record of it.
    fn turn_down(&mut self, refusal: Reply, transaction: Option<Box<Transaction>>) -> Turn {
        let ended = transaction.map(|transaction| {
            self.state = State::Over(Aftermath::Refused);
            transaction.end_with(&refusal)
        });
        Turn::reply(refusal).with_ended(ended)
    }

    /// True if this session may begin a transaction at all.
    fn may_send(&self) -> bool {
        self.user.is_some() || self.rules.kind == ListenerKind::Mta
    }

    fn mail_refusal(&self, mail: &Mail) -> Option<Reply> {
        if !self.may_send() {
            return Some(Reply::new(530, "5.7.0", "Authentication required"));
        }
        if self.is_in_transaction() {
            return Some(Reply::new(503, "5.5.1", "Sender already specified"));
        }
        // RFC 1870 §6.1: what is announced as too large need not be sent.
        let limit_bytes = self.rules.limits.message_bytes;
        if mail.size().is_some_and(|bytes| bytes > limit_bytes) {
            let text = format!("Message exceeds the limit of {limit_bytes} bytes");
            return Some(Reply::new(552, "5.3.4", text));
        }
        mail.check(&self.offered).err().map(|error| error.reply())
    }

    pub(super) fn on_relay_ready(&mut self, capabilities: &Capabilities) -> Turn {
        let Some(mut transaction) = self.take_transaction() else {
            return self.out_of_step();
        };
        if transaction.mail.check(&capabilities.offered(self.rules.limits.message_bytes)).is_err() {
            // Offered at EHLO, gone since: the client tries again and sees the new offer.
            let reply = changed_reply();
            let ended = transaction.end_with(&reply);
            self.state = State::Over(Aftermath::Lost);
            return Turn::reply(reply).with_ended(Some(ended));
        }
        let mut line = Vec::new();
        transaction.mail.write(capabilities, &mut line);
        transaction.capabilities = capabilities.clone();
        self.state = State::Open(transaction);
        self.ask(line, Asked::Mail, InFlight::Mail)
    }

    fn ask(&mut self, line: Vec<u8>, command: Asked, in_flight: InFlight) -> Turn {
        self.in_flight.push_back(in_flight);
        Turn::next(Next::Ask { line, command })
    }

    pub(super) fn on_rcpt(&mut self, rcpt: &Rcpt, counsel: &dyn Counsel) -> Turn {
        let mut transaction = match std::mem::replace(&mut self.state, State::Ready) {
            State::Open(transaction) => transaction,
            State::Over(aftermath) => {
                self.state = State::Over(aftermath);
                return Turn::reply(aftermath.reply(need_mail("RCPT")));
            }
            other => {
                self.state = other;
                return self.refuse(need_mail("RCPT"));
            }
        };
        if let Some(refusal) = self.rcpt_refusal(rcpt, &transaction) {
            self.state = State::Open(transaction);
            // Too many recipients is the client's cue to send in portions, not an error.
            return if refusal.code < 500 { Turn::reply(refusal) } else { self.refuse(refusal) };
        }
        let recipient = rcpt.recipient.address();
        let question = Question::Rcpt {
            login: self.user.as_ref().map(Authenticated::identity),
            sender: transaction.mail.sender.address(),
            recipient,
        };
        match counsel.rule(&question) {
            Ruling::Refuse(refusal) => {
                transaction.refuse(&refusal);
                self.state = State::Open(transaction);
                return self.turn_down(refusal, None);
            }
            // As sendmail: for all recipients of the message.
            Ruling::Discard => transaction.is_discarded = true,
            Ruling::Pass => {}
        }
        let mut line = Vec::new();
        rcpt.write(&transaction.capabilities, &mut line);
        self.state = State::Open(transaction);
        self.ask(line, Asked::Rcpt, InFlight::Rcpt(recipient.to_owned()))
    }

    fn rcpt_refusal(&self, rcpt: &Rcpt, transaction: &Transaction) -> Option<Reply> {
        if transaction.recipients_with(&self.in_flight) >= self.rules.limits.recipients {
            return Some(Reply::new(452, "4.5.3", "Too many recipients"));
        }
        if rcpt.needs_smtputf8() && !transaction.mail.is_smtputf8() {
            return Some(CommandError::NeedsSmtpUtf8.reply());
        }
        if let Err(error) = rcpt.check(&self.offered) {
            return Some(error.reply());
        }
        // Written without its parameter it would be another wish than the client's.
        rcpt.check(&transaction.capabilities).err().map(|_| changed_reply())
    }

    pub(super) fn on_data(&mut self) -> Turn {
        match std::mem::replace(&mut self.state, State::Ready) {
            // What is still in flight may become a recipient.
            State::Open(transaction)
                if !transaction.recipients.is_empty() || !self.in_flight.is_empty() =>
            {
                self.state = State::DataPending(transaction);
                self.ask(b"DATA\r\n".to_vec(), Asked::Data, InFlight::Data)
            }
            // DATA ends what is over: the client has heard of it and starts anew.
            State::Over(aftermath) => Turn::reply(aftermath.reply(need_mail("DATA"))),
            State::Open(transaction) => {
                let is_pipelined = transaction.refused_recipients > 0;
                self.state = State::Open(transaction);
                if is_pipelined { Turn::reply(need_rcpt()) } else { self.refuse(need_rcpt()) }
            }
            other => {
                self.state = other;
                self.refuse(need_mail("DATA"))
            }
        }
    }

    /// The backend's reply to what was asked first of what it has not answered.
    pub(super) fn on_replied(&mut self, reply: Reply) -> Turn {
        match self.in_flight.pop_front() {
            Some(InFlight::Mail) => self.on_mail_replied(reply),
            Some(InFlight::Rcpt(recipient)) => self.on_rcpt_replied(recipient, reply),
            Some(InFlight::Data) => self.on_data_replied(reply),
            Some(InFlight::Nothing) => Turn::reply(need_rcpt()),
            None => self.out_of_step(),
        }
    }

    fn on_mail_replied(&mut self, reply: Reply) -> Turn {
        if reply.is_positive() {
            return Turn::reply(reply);
        }
        let Some(transaction) = self.take_transaction() else { return self.out_of_step() };
        self.state = State::Over(Aftermath::Refused);
        let ended = transaction.end_with(&reply);
        Turn::reply(reply).with_ended(Some(ended))
    }

    fn on_rcpt_replied(&mut self, recipient: String, reply: Reply) -> Turn {
        match &mut self.state {
            State::Open(transaction) | State::DataPending(transaction) => {
                if reply.is_positive() {
                    transaction.recipients.push(recipient);
                } else {
                    transaction.refuse(&reply);
                }
                Turn::reply(reply)
            }
            // Sent behind a MAIL that came to nothing.
            State::Over(aftermath) => Turn::reply(aftermath.reply(need_mail("RCPT"))),
            _ => self.out_of_step(),
        }
    }

    fn on_data_replied(&mut self, reply: Reply) -> Turn {
        let is_ready = reply.code == 354;
        match std::mem::replace(&mut self.state, State::Ready) {
            State::DataPending(transaction) if transaction.recipients.is_empty() && !is_ready => {
                self.state = State::Open(transaction);
                Turn::reply(need_rcpt())
            }
            State::DataPending(transaction) if is_ready && !transaction.recipients.is_empty() => {
                self.state = State::Content(transaction);
                Turn { reply: Some(reply), ..Turn::next(Next::StreamContent) }
            }
            State::DataPending(transaction) if !is_ready => {
                let ended = transaction.end_with(&reply);
                Turn::reply(reply).with_ended(Some(ended))
            }
            // It wants content that goes to nobody, and gets none (RFC 2920 §3.1).
            State::DataPending(transaction) => {
                let ended = transaction.end_with(&need_rcpt());
                let turn = self.ask(b".\r\n".to_vec(), Asked::Nothing, InFlight::Nothing);
                turn.with_ended(Some(ended))
            }
            State::Over(aftermath) if !is_ready => Turn::reply(aftermath.reply(need_mail("DATA"))),
            _ => self.out_of_step(),
        }
    }

    /// The backend is lost: whatever it still owes a reply to gets this one.
    pub(super) fn on_relay_failed(&mut self, reply: Reply) -> Turn {
        let owed = self.in_flight.pop_front();
        if let State::Over(aftermath) = &self.state {
            let answer = match owed {
                Some(InFlight::Rcpt(_)) => aftermath.reply(need_mail("RCPT")),
                Some(InFlight::Data) => {
                    let answer = aftermath.reply(need_mail("DATA"));
                    self.state = State::Ready;
                    answer
                }
                _ => return self.out_of_step(),
            };
            return Turn::reply(answer);
        }
        if matches!(owed, Some(InFlight::Nothing)) {
            return Turn::reply(need_rcpt());
        }
        let is_last = matches!(owed, Some(InFlight::Data));
        let Some(transaction) = self.take_transaction() else {
            return self.out_of_step();
        };
        let ended = transaction.end_with(&reply);
        if reply.code == 421 {
            // Nothing but a new session can help.
            return self.close(reply, None).with_ended(Some(ended));
        }
        if !is_last {
            self.state = State::Over(Aftermath::Lost);
        }
        Turn::reply(reply).with_ended(Some(ended))
    }

    pub(super) fn on_content_ended(&mut self, outcome: ContentOutcome) -> Turn {
        let Some(transaction) = self.take_transaction() else {
            return self.out_of_step();
        };
        let (reply, next) = match outcome {
            ContentOutcome::Answered(reply) | ContentOutcome::Refused(reply) => (reply, Next::Read),
            ContentOutcome::RefusedAndLost(reply) => (reply, Next::Close),
            ContentOutcome::ClientGone => {
                let ended = Some(transaction.end(None, Outcome::Abandoned));
                return Turn::next(Next::Close).with_ended(ended);
            }
        };
        let ended = Some(transaction.end_with(&reply));
        Turn { reply: Some(reply), ended, ..Turn::next(next) }
    }

    /// The driver and the session disagree: our fault, so the client may try again.
    pub(super) fn out_of_step(&mut self) -> Turn {
        self.close(Reply::new(421, "4.3.0", "internal error, closing connection"), None::<Notice>)
    }
}

fn outcome_of(reply: &Reply) -> Outcome {
    match reply.code {
        200..=299 => Outcome::Accepted,
        500..=599 => Outcome::Refused,
        _ => Outcome::TempFail,
    }
}

impl Aftermath {
    /// The reply to a command that came behind the end; `out_of_order` where that is all there is to say.
    fn reply(self, out_of_order: Reply) -> Reply {
        match self {
            Self::Refused => out_of_order,
            Self::Lost => {
                let text = "The mail server behind this gate was lost, try again later";
                Reply::new(451, "4.4.2", text)
            }
        }
    }
}

/// Offered at EHLO, gone since.
fn changed_reply() -> Reply {
    Reply::new(451, "4.3.0", "The mail server behind this gate has changed, try again later")
}

fn need_rcpt() -> Reply {
    Reply::new(503, "5.5.1", "Need RCPT (recipient)")
}

fn need_mail(verb: &str) -> Reply {
    Reply::new(503, "5.5.1", format!("Need MAIL before {verb}"))
}
