//! AUTH within a session (RFC 4954): when it is allowed, and what the client is told.
//!
//! The reply to a refusal is the same for an unknown user, a wrong password and
//! a locked account; the reason goes to the log, not to the network.

use super::{Channel, Next, Notice, Session, State, Turn, Verb, unavailable_reply};
use crate::auth::{Response, Verdict};
use crate::wire::smtp::auth::{self, Response as Decoded};
use crate::wire::smtp::reply::Reply;

impl Session {
    pub(super) fn on_auth(&mut self, mechanism: String, initial: Option<&[u8]>) -> Turn {
        if let Some(refusal) = self.auth_refusal(&mechanism) {
            return self.refuse(refusal);
        }
        let initial = match initial.map(auth::decode_initial) {
            None => None,
            Some(Ok(bytes)) => Some(Response::new(bytes)),
            Some(Err(error)) => return self.refuse(error.reply()),
        };
        self.state = State::AuthPending;
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
        self.state = State::Challenged;
        Turn::reply(auth::challenge(challenge))
    }

    /// A line while a challenge is open: a response, `*`, or nonsense.
    pub(super) fn on_auth_response(&mut self, line: &[u8]) -> Turn {
        self.state = State::Ready;
        match auth::decode_response(line) {
            Ok(Decoded::Data(bytes)) => {
                self.state = State::AuthPending;
                Turn::next(Next::Respond(Response::new(bytes)))
            }
            Ok(Decoded::Cancel) => self.cancel_exchange(auth::cancelled()),
            Err(error) => self.cancel_exchange(error.reply()),
        }
    }

    /// A response that was too long or held a stray byte.
    pub(super) fn on_bad_auth_response(&mut self, reply: Reply) -> Turn {
        self.state = State::Ready;
        self.cancel_exchange(reply)
    }

    fn cancel_exchange(&mut self, reply: Reply) -> Turn {
        let mut turn = self.refuse(reply);
        if matches!(turn.next, Next::Read) {
            turn.next = Next::CancelExchange;
        }
        turn
    }

    pub(super) fn on_judged(&mut self, verdict: Verdict) -> Turn {
        self.state = State::Ready;
        match verdict {
            Verdict::Accepted(user) => {
                self.user = Some(user);
                Turn::reply(Reply::new(235, "2.7.0", "Authentication successful"))
            }
            Verdict::Unavailable(reason) => Turn::reply(unavailable_reply(&reason)),
            Verdict::Rejected(_) => self.on_rejected(),
        }
    }

    fn on_rejected(&mut self) -> Turn {
        self.auth_failures += 1;
        if self.auth_failures < self.rules.limits.auth_failures {
            return Turn::reply(Reply::new(535, "5.7.8", "Authentication credentials invalid"));
        }
        // The client learns that this one failed too; the second line of thought is for its log.
        let reply =
            Reply::new(421, "4.7.0", "Too many authentication failures, closing connection");
        self.close(reply, Some(Notice::TooManyAuthFailures))
    }
}
