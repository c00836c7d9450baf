//! The contract between servers that ask and backends that know.
//!
//! A server (saslauthd socket, gate) brings an [`Attempt`]; backends implement
//! [`Verify`] (a password) or [`Exchange`] (a mechanism, step by step) and give
//! an [`Answer`]; what comes out is a [`Verdict`]. [`Authenticated`] has no
//! public constructor: only this module makes one, so whoever holds one has
//! been authenticated.
//!
//! Layer 2: names `base` only; knows no backend and no server.

mod authenticator;
mod cache;
mod chain;
mod exchange;
mod handover;
mod inquiry;
mod route;
mod settings;
mod tag;
mod throttle;
mod verdict;
mod verify;

pub use authenticator::{Authentication, Authenticator, Outcome, Source};
pub use cache::CacheSettings;
pub use chain::{Chain, NoBackend};
pub use exchange::{
    Conversation, Exchange, ExchangeContext, Mechanisms, Response, Step, StepResult,
};
pub use handover::{DEFAULT_SOCKET, HandoverRules, HandoverSettings, HandoverToken};
pub use route::Route;
pub use settings::{Entrance, Settings};
pub use tag::TagKey;
pub use throttle::ThrottleSettings;
pub use verdict::{Authenticated, Verdict};
pub use verify::{
    Accepted, Answer, Attempt, Grounds, Pending, RealmSource, Revision, Service, Verification,
    Verify,
};
