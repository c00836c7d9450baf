//! The saslauthd socket: accepts, reads one request, answers once.

mod settings;

pub use settings::{Settings, UnavailableReply};
