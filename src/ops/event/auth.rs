//! Authentication outcomes: one line each, in the form of saslauthd 2.1.28, extended.
//!
//! ```text
//! auth success: [user=U] [service=S] [realm=R] [mech=M] [remote=A] [verdict=accepted] [uid=N] [ms=N]
//! auth success (cached): ... as a success
//! auth failure: [user=U] [service=S] [realm=R] [mech=M] [reason=T] [remote=A] [verdict=rejected]
//!               [code=C] [uid=N] [ms=N]
//! auth unavailable: ... as a failure, with [verdict=unavailable]
//! ```
//!
//! (each is one line; the order never changes; `[detail=T]` follows at the end
//! where there is one.) The head up to `[reason=...]` is what fail2ban filters
//! for saslauthd match; `[remote=...]` stands where unreleased saslauthd has it
//! in its replies' order, as an address alone. Values are escaped and cut by
//! [`Printable`], brackets included, so a user name cannot forge a field.
//!
//! | value | meaning |
//! |---|---|
//! | user, realm | who was claimed; for a request that was refused, as far as it could be read |
//! | mech | the backend that decided, now or when the login was cached; empty where none was asked |
//! | reason | what the client was told behind `NO`; `Unknown` where that was nothing |
//! | remote | address of the mail client; empty where the request named none |
//! | code | [`ReasonCode`](crate::base::ReasonCode) |
//! | uid | uid of the local process that asked; empty if unknown |
//! | ms | how long the backends took, in milliseconds, without the floor on refusals; without a backend, since the connection came |
//!
//! Success and failure are logged at info, unavailable at warning.

use std::fmt;
use std::time::Duration;

use crate::base::{Origin, Printable, Reason};
use crate::ops::log::json::{Members, Object};
use crate::ops::metrics::authd::{AUTHD, Outcome};

/// What is known of an attempt when its outcome is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// User part of the claim.
    pub user: &'a [u8],
    /// Realm part of the claim.
    pub realm: &'a [u8],
    /// Service that was asked for.
    pub service: &'a [u8],
    /// Where the attempt came from.
    pub origin: Origin,
    /// Backend that decided; empty where none was asked.
    pub mech: &'a str,
    /// How long it took.
    pub elapsed: Duration,
}

/// How a claim was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The backend was asked.
    Fresh,
    /// It was proven before, and nothing has changed since.
    Cached,
}

/// Records that the claim was proven.
pub fn accepted(facts: &Facts<'_>, proof: Proof) {
    let outcome = match proof {
        Proof::Fresh => Outcome::Accepted,
        Proof::Cached => Outcome::Cached,
    };
    AUTHD.decided(facts.mech, outcome, facts.elapsed);
    tell!(info, &Decision { facts, answer: Answer::Yes(proof) });
}

/// Records a refusal. `told` is what the client was told; empty for a bare `NO`.
pub fn rejected(facts: &Facts<'_>, told: &str, reason: &Reason) {
    AUTHD.decided(facts.mech, Outcome::Rejected, facts.elapsed);
    AUTHD.reason(reason.code);
    tell!(info, &Decision { facts, answer: Answer::No(REJECTED, told, reason) });
}

/// Records that nobody could be asked.
pub fn unavailable(facts: &Facts<'_>, told: &str, reason: &Reason) {
    AUTHD.decided(facts.mech, Outcome::Unavailable, facts.elapsed);
    AUTHD.reason(reason.code);
    tell!(warn, &Decision { facts, answer: Answer::No(UNAVAILABLE, told, reason) });
}

struct Decision<'a> {
    facts: &'a Facts<'a>,
    answer: Answer<'a>,
}

enum Answer<'a> {
    Yes(Proof),
    /// With what the client was told, and why.
    No(Words, &'a str, &'a Reason),
}

/// How a line begins, and its verdict.
#[derive(Debug, Clone, Copy)]
struct Words(&'static str, &'static str);

const REJECTED: Words = Words("auth failure", "rejected");
const UNAVAILABLE: Words = Words("auth unavailable", "unavailable");

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.facts;
        let (claim, remote, rest) = (Claim(facts), Remote(facts), Circumstances(facts));
        match &self.answer {
            Answer::Yes(proof) => {
                let cached = if *proof == Proof::Cached { " (cached)" } else { "" };
                write!(f, "auth success{cached}: {claim} {remote} [verdict=accepted] {rest}")
            }
            Answer::No(Words(head, verdict), told, reason) => {
                let (told, code, detail) = (Told(told), reason.code.as_str(), Detail(reason));
                write!(f, "{head}: {claim} [reason={told}] {remote} [verdict={verdict}] ")?;
                write!(f, "[code={code}] {rest}{detail}")
            }
        }
    }
}

impl Members for Decision<'_> {
    const EVENT: &'static str = "auth";

    fn write(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        let Facts { user, realm, service, origin, mech, elapsed } = *self.facts;
        to.bytes("user", user)?;
        to.bytes("realm", realm)?;
        to.bytes("service", service)?;
        to.text("mech", mech)?;
        match &self.answer {
            Answer::Yes(proof) => {
                to.text("verdict", "accepted")?;
                to.text("proof", if *proof == Proof::Cached { "cached" } else { "fresh" })?;
            }
            Answer::No(Words(_, verdict), told, reason) => {
                to.text("verdict", verdict)?;
                to.shown("reason", Told(told))?;
                to.text("code", reason.code.as_str())?;
                if !reason.detail.is_empty() {
                    to.text("detail", &reason.detail)?;
                }
            }
        }
        if let Some(address) = origin.client {
            to.shown("remote", address)?;
        }
        if let Some(uid) = origin.uid {
            to.number("uid", uid)?;
        }
        to.number("ms", u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }
}

struct Claim<'a>(&'a Facts<'a>);

impl fmt::Display for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { user, service, realm, mech, .. } = self.0;
        let [user, service, realm] = [user, service, realm].map(|text| Printable(text));
        write!(f, "[user={user}] [service={service}] [realm={realm}] [mech={mech}]")
    }
}

struct Told<'a>(&'a str);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // saslauthd 2.1.28 writes the same word for a bare NO.
        f.write_str(if self.0.is_empty() { "Unknown" } else { self.0 })
    }
}

struct Remote<'a>(&'a Facts<'a>);

impl fmt::Display for Remote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.origin.client {
            Some(address) => write!(f, "[remote={address}]"),
            None => f.write_str("[remote=]"),
        }
    }
}

struct Circumstances<'a>(&'a Facts<'a>);

impl fmt::Display for Circumstances<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.origin.uid {
            Some(uid) => write!(f, "[uid={uid}]")?,
            None => f.write_str("[uid=]")?,
        }
        write!(f, " [ms={}]", self.0.elapsed.as_millis())
    }
}

struct Detail<'a>(&'a Reason);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.detail.is_empty() {
            return Ok(());
        }
        write!(f, " [detail={}]", Printable::from(&*self.0.detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ReasonCode;
    use crate::ops::log::{Level, capture};

    fn facts() -> Facts<'static> {
        Facts {
            user: b"alice",
            realm: b"example.org",
            service: b"smtp",
            origin: Origin {
                client: Some("192.0.2.7".parse().unwrap()),
                port: Some(25),
                uid: Some(89),
            },
            mech: "pam",
            elapsed: Duration::from_micros(12_900),
        }
    }

    #[test]
    fn writes_a_success() {
        let line = capture::journal(Level::Error, || accepted(&facts(), Proof::Fresh));
        assert_eq!(
            line,
            "<6>auth success: [user=alice] [service=smtp] [realm=example.org] [mech=pam] \
             [remote=192.0.2.7] [verdict=accepted] [uid=89] [ms=12]\n"
        );
        let cached = capture::journal(Level::Error, || accepted(&facts(), Proof::Cached));
        assert_eq!(cached, line.replace("success:", "success (cached):"));
    }

    #[test]
    fn writes_a_failure_as_fail2ban_knows_it() {
        let reason = Reason::from(ReasonCode::BadCredentials);
        let line = capture::journal(Level::Error, || rejected(&facts(), "PAM auth error", &reason));
        assert_eq!(
            line,
            "<6>auth failure: [user=alice] [service=smtp] [realm=example.org] [mech=pam] \
             [reason=PAM auth error] [remote=192.0.2.7] [verdict=rejected] \
             [code=bad-credentials] [uid=89] [ms=12]\n"
        );
    }

    #[test]
    fn writes_an_outage_with_what_to_do() {
        let reason = Reason::new(ReasonCode::BackendDown, "saslgate-pam is gone\nstart it");
        let nobody = Facts { origin: Origin::default(), mech: "", ..facts() };
        let line = capture::journal(Level::Error, || unavailable(&nobody, "", &reason));
        assert_eq!(
            line,
            "<4>auth unavailable: [user=alice] [service=smtp] [realm=example.org] [mech=] \
             [reason=Unknown] [remote=] [verdict=unavailable] [code=backend-down] [uid=] [ms=12] \
             [detail=saslgate-pam is gone\\x0astart it]\n"
        );
    }

    #[test]
    fn lets_no_name_forge_a_field_or_a_line() {
        let evil = Facts { user: b"x] [verdict=accepted]\n<6>auth success: [user=root", ..facts() };
        let reason = Reason::from(ReasonCode::Malformed);
        let line = capture::journal(Level::Error, || rejected(&evil, "", &reason));
        assert_eq!(line.lines().count(), 1);
        assert_eq!(line.matches("[verdict=").count(), 1);
        assert_eq!(line.matches("[user=").count(), 1);
    }
}
