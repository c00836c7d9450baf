//! AUTH within a session (RFC 4954): when it is allowed, and what the client is told.
//!
//! The reply to a refusal is the same for an unknown user, a wrong password and
//! a locked account; the reason goes to the log, not to the network.

use zeroize::Zeroizing;

use super::commands::stray_in_line;
use super::{BrokenExchange, Channel, Next, Notice, Session, State, Turn, Verb};
use crate::auth::{Response, Verdict};
use crate::base::ReasonCode::{self, Cancelled, Malformed};
use crate::wire::smtp::auth::{self, AuthError, Response as Decoded};
use crate::wire::smtp::line::Line;
use crate::wire::smtp::reply::Reply;

impl Session {
    pub(super) fn on_auth(&mut self, mechanism: String, initial: Option<&[u8]>) -> Turn {
        if let Some(refusal) = self.auth_refusal(&mechanism) {
            return self.refuse(refusal);
        }
        let initial = match initial.map(auth::decode_initial) {
            None => None,
            Some(Ok(bytes)) => Some(Response::new(bytes)),
            Some(Err(error)) => return self.break_off(mechanism, Malformed, error.reply()),
        };
        self.state = State::AuthPending(mechanism.clone());
        Turn::next(Next::Authenticate { mechanism, initial })
    }

    fn auth_refusal(&self, mechanism: &str) -> Option<Reply> {
        let is_esmtp = self.greeted.as_ref().is_some_and(|greeted| greeted.verb == Verb::Ehlo);
        if self.channel == Channel::Clear {
            return Some(Reply::new(538, "5.7.11", "Encryption required: use STARTTLS first"));
        }
        if !is_esmtp {
            return Some(Reply::new(503, "5.5.1", "Send EHLO first"));
        }
        if self.user.is_some() {
            return Some(Reply::new(503, "5.5.1", "Already authenticated"));
        }
        if self.is_in_transaction() {
            return Some(Reply::new(
                503,
                "5.5.1",
                "AUTH is not permitted during a mail transaction",
            ));
        }
        if !self.rules.mechanisms.iter().any(|offered| offered == mechanism) {
            return Some(Reply::new(504, "5.5.4", "Unrecognized authentication mechanism"));
        }
        None
    }

    pub(super) fn on_challenge(&mut self, challenge: &[u8]) -> Turn {
        let State::AuthPending(mechanism) = std::mem::replace(&mut self.state, State::Ready) else {
            return self.out_of_step();
        };
        self.state = State::Challenged(mechanism);
        Turn::reply(auth::challenge(challenge))
    }

    /// A line while a challenge of `mechanism` is open: a response, `*`, or nonsense.
    pub(super) fn on_auth_line(&mut self, mechanism: String, line: Line) -> Turn {
        let bytes = match line {
            Line::Complete(bytes) => Zeroizing::new(bytes),
            Line::TooLong => {
                return self.break_off(mechanism, Malformed, AuthError::TooLong.reply());
            }
            Line::Malformed(stray) => {
                return self.break_off(mechanism, Malformed, stray_in_line(stray));
            }
        };
        match auth::decode_response(&bytes) {
            Ok(Decoded::Data(response)) => {
                self.state = State::AuthPending(mechanism);
                Turn::next(Next::Respond(Response::new(response)))
            }
            Ok(Decoded::Cancel) => self.break_off(mechanism, Cancelled, auth::cancelled()),
            Err(error) => self.break_off(mechanism, Malformed, error.reply()),
        }
    }

    /// The exchange ends without a verdict, for what the client sent or took back.
    fn break_off(&mut self, mechanism: String, code: ReasonCode, reply: Reply) -> Turn {
        self.state = State::Ready;
        let mut turn = self.refuse(reply);
        if matches!(turn.next, Next::Read) {
            turn.next = Next::CancelExchange;
        }
        Turn { broken: Some(BrokenExchange { mechanism, code }), ..turn }
    }

    pub(super) fn on_judged(&mut self, verdict: Verdict) -> Turn {
        self.state = State::Ready;
        match verdict {
            Verdict::Accepted(user) => {
                self.user = Some(user);
                Turn::reply(Reply::new(235, "2.7.0", "Authentication successful"))
            }
            // Never 535: a mail program would ask for, or drop, a password that is right.
            Verdict::Unavailable(_) => {
                Turn::reply(Reply::new(454, "4.7.0", "Temporary authentication failure"))
            }
            Verdict::Rejected(_) => self.on_rejected(),
        }
    }

    fn on_rejected(&mut self) -> Turn {
        self.auth_failures += 1;
        if self.auth_failures < self.rules.limits.auth_failures {
            return Turn::reply(Reply::new(535, "5.7.8", "Authentication credentials invalid"));
        }
        let reply =
            Reply::new(421, "4.7.0", "Too many authentication failures, closing connection");
        self.close(reply, Some(Notice::TooManyAuthFailures))
    }
}
