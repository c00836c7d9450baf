//! The relay gate: an SMTP submission front that holds no secret and no queue.
//!
//! | module | what it does |
//! |---|---|
//! | [`session`] | decides: a pure state machine, events in, turns out |
//! | [`arrival`] | whose connection it is: the PROXY header of a load balancer |
//! | [`driver`] | performs: one client's connection, all of its I/O |
//! | `client` | the client's side of the wire: lines in, replies out |
//! | `content` | a message's content on its way from client to backend |
//! | `introduction` | how the backend learns whose mail it is |
//! | [`access`] | what sendmail's access map says, for the desk |
//! | [`desk`] | what policy says of a client, a sender, a recipient |
//! | [`names`] | what the DNS says of a client |
//! | [`sending`] | who sends as whom, and how much |
//! | [`relay`] | one connection to the backend; opening one needs a `Permit` |
//! | [`backends`] | the mail servers behind the gate, each with its route, health and pool |
//! | [`pool`] | connections to the backend that wait for the next session |
//! | [`probe`] | what the backend can do, asked at start and at intervals |
//! | [`roster`], [`control`] | who is here, told and ended over a local socket |
//! | [`figures`] | metrics |
//! | [`transcript`] | sessions written down, secrets masked |
//! | `trace` | the `Received:` header |
//! | `record` | log lines, each outcome once |
//!
//! Layer 4: knows auth, tls, listen, wire and ops; no backend and no config.

pub mod access;
pub mod arrival;
pub mod backends;
pub mod control;
pub mod desk;
pub mod driver;
pub mod figures;
pub mod names;
pub mod pool;
pub mod probe;
pub mod relay;
pub mod roster;
pub mod sending;
pub mod session;

mod client;
mod content;
mod introduction;
mod record;
mod settings;
mod stream;
mod trace;
pub mod transcript;

pub use control::ControlSettings;
pub use settings::{
    AuthSource, BackendSettings, BackendTls, BareNewlines, IdentityWay, Limits, ListenerKind,
    ListenerSettings, OwnLimits, PoolSettings, ServiceAccount, Settings, Timeouts, TlsMode,
};
pub use transcript::TranscriptSettings;
