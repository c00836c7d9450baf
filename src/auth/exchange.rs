//! The mechanism side of the contract: a SASL exchange, step by step.
//!
//! The gate speaks this to whoever runs the mechanisms: today a client of the
//! saslauthd protocol (PLAIN and LOGIN), next a client of the Dovecot auth
//! protocol. Bytes here are decoded: base64, `=` and `*` are the business of
//! the SMTP session (RFC 4954).

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::verdict::{Authenticated, Verdict};
use super::verify::{Answer, Pending};
use crate::base::{Identity, Origin, Reason, ReasonCode};

/// Facts about the connection that a mechanism or its log line may need.
#[derive(Debug, Clone)]
pub struct ExchangeContext {
    /// SASL service name, `smtp`.
    pub service: &'static str,
    /// The mail client.
    pub origin: Origin,
}

/// A client's response, decoded. Holds a password for PLAIN and LOGIN (and, for
/// PLAIN, two NULs, which a [`Secret`](crate::base::Secret) may not): wiped on drop, no `Debug`.
pub struct Response(Zeroizing<Vec<u8>>);

impl Response {
    /// Takes the decoded bytes; the SMTP line limit bounds them (RFC 4954 §4: 12,288).
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the mechanism that reads them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// What one step of an exchange gives.
pub enum Step {
    /// Send this to the client (may be empty) and come back with its response.
    Challenge(Vec<u8>),
    /// The exchange is over; `identity` is whom the client claimed to be, if it got that far.
    Done {
        /// The claimed authentication identity.
        identity: Option<Identity>,
        /// What the other side said.
        answer: Answer,
    },
}

/// One running exchange of one mechanism.
pub trait Exchange: Send {
    /// Takes the client's response: `None` is "no initial response was sent",
    /// empty bytes are an empty response. Gives itself back with the outcome.
    fn step(self: Box<Self>, response: Option<Response>) -> Pending<(Box<dyn Exchange>, Step)>;
}

/// Somebody who can run mechanisms.
pub trait Mechanisms: Send + Sync {
    /// Name for the log: `saslauthd`, `dovecot`.
    fn name(&self) -> &'static str;

    /// The mechanisms that can be served, strongest first, upper case.
    fn offered(&self) -> Vec<String>;

    /// Starts `mechanism` (upper case). `None` if it is not offered.
    fn start(&self, mechanism: &str, context: &ExchangeContext) -> Option<Box<dyn Exchange>>;
}

/// A running exchange as a server sees it: challenges, then a verdict.
/// The only way from an [`Exchange`] to an [`Authenticated`].
pub struct Conversation {
    exchange: Box<dyn Exchange>,
    by: &'static str,
    limit: Duration,
}

/// What a server gets from one step of a [`Conversation`].
pub enum StepResult {
    /// Send this challenge (may be empty), and call [`Conversation::step`] with the response.
    Challenge(Vec<u8>, Conversation),
    /// Over. `claimed` is for the log.
    Done {
        /// Whom the client claimed to be, if it got that far.
        claimed: Option<Identity>,
        /// The verdict.
        verdict: Verdict,
    },
}

impl Conversation {
    /// Starts `mechanism` with `mechanisms`; each step is bounded by `limit`.
    /// `None` if the mechanism is not offered.
    #[must_use]
    pub fn start(
        mechanisms: &Arc<dyn Mechanisms>,
        mechanism: &str,
        context: &ExchangeContext,
        limit: Duration,
    ) -> Option<Self> {
        let exchange = mechanisms.start(mechanism, context)?;
        Some(Self { exchange, by: mechanisms.name(), limit })
    }

    /// Hands the client's response on. A step that takes longer than the limit is *unavailable*.
    pub async fn step(self, response: Option<Response>) -> StepResult {
        let Self { exchange, by, limit } = self;
        match tokio::time::timeout(limit, exchange.step(response)).await {
            Ok((exchange, Step::Challenge(text))) => {
                StepResult::Challenge(text, Self { exchange, by, limit })
            }
            Ok((_, Step::Done { identity, answer })) => StepResult::Done {
                verdict: conclude(identity.as_ref(), answer, by),
                claimed: identity,
            },
            Err(_) => {
                let reason =
                    Reason::new(ReasonCode::Timeout, format!("{by} did not answer in time"));
                StepResult::Done { claimed: None, verdict: Verdict::Unavailable(reason) }
            }
        }
    }
}

fn conclude(claimed: Option<&Identity>, answer: Answer, by: &'static str) -> Verdict {
    match answer {
        Answer::Accepted(accepted) => match accepted.user.or_else(|| claimed.cloned()) {
            Some(identity) => {
                let user = Authenticated::new(identity, by).with_handover(accepted.handover);
                Verdict::Accepted(user)
            }
            // Nobody to be: a peer that accepts an unnamed user is broken, and we fail closed.
            None => Verdict::Unavailable(Reason::new(
                ReasonCode::BackendDown,
                format!("{by} accepted a login without naming the user"),
            )),
        },
        Answer::Unknown => Verdict::Rejected(ReasonCode::BadCredentials.into()),
        Answer::Rejected(reason) => Verdict::Rejected(reason),
        Answer::Unavailable(reason) => Verdict::Unavailable(reason),
    }
}
