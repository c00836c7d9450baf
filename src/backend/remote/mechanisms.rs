//! PLAIN and LOGIN on top of a saslauthd socket.
//!
//! The exchange runs here, the verdict comes from there: what goes over the
//! socket is a name and a password, so no other mechanism can be offered. Called
//! by the gate through [`Mechanisms`].

use super::saslauthd::{Claim, Saslauthd};
use crate::auth::{Answer, Exchange, ExchangeContext, Mechanisms, Pending, Response, Step};
use crate::base::{Identity, IdentityError, Reason, ReasonCode, Secret};
use crate::sasl::{Machine, Mechanism, Next};

impl Mechanisms for Saslauthd {
    fn name(&self) -> &'static str {
        "saslauthd"
    }

    fn offered(&self) -> Vec<String> {
        [Mechanism::Plain, Mechanism::Login].map(|mechanism| mechanism.name().to_owned()).to_vec()
    }

    fn start(&self, mechanism: &str, context: &ExchangeContext) -> Option<Box<dyn Exchange>> {
        let machine = Mechanism::from_name(mechanism)?.start();
        let (daemon, context) = (self.clone(), context.clone());
        Some(Box::new(PasswordExchange { machine, daemon, context }))
    }
}

/// A mechanism that ends with a name and a password.
struct PasswordExchange {
    machine: Machine,
    daemon: Saslauthd,
    context: ExchangeContext,
}

impl Exchange for PasswordExchange {
    fn step(mut self: Box<Self>, response: Option<Response>) -> Pending<(Box<dyn Exchange>, Step)> {
        Box::pin(async move {
            let step = match self.machine.step(response.as_ref().map(Response::expose)) {
                Next::Challenge(challenge) => Step::Challenge(challenge),
                Next::Failed(error) => {
                    let reason = Reason::new(error.code(), error.to_string());
                    Step::Done { identity: None, answer: Answer::Rejected(reason) }
                }
                Next::Credentials { authzid, authcid, password } => {
                    self.judge(&authzid, &authcid, &password).await
                }
            };
            (self as Box<dyn Exchange>, step)
        })
    }
}

impl PasswordExchange {
    async fn judge(&self, authzid: &str, authcid: &str, password: &Secret) -> Step {
        let (claim, identity) = match Claim::new(authcid) {
            Ok(split) => split,
            Err(error) => return refused(None, malformed(error)),
        };
        // Nobody here may act for somebody else (RFC 4616 §2, authorization identity).
        if !authzid.is_empty() && authzid != authcid {
            let reason = Reason::new(ReasonCode::NotAuthorized, "the authzid is somebody else");
            return refused(Some(identity), reason);
        }
        let Self { daemon, context, .. } = self;
        let answer = daemon.verify(&claim, password, context.service, context.origin).await;
        Step::Done { identity: Some(identity), answer }
    }
}

fn malformed(error: IdentityError) -> Reason {
    Reason::new(ReasonCode::Malformed, error.to_string())
}

fn refused(identity: Option<Identity>, reason: Reason) -> Step {
    Step::Done { identity, answer: Answer::Rejected(reason) }
}
