//! The relay gate: an SMTP submission front that holds no secret and no queue.

mod settings;

pub use settings::{
    AuthSource, BackendSettings, BackendTls, BareNewlines, Limits, ListenerSettings, Settings,
    Timeouts, TlsMode,
};
