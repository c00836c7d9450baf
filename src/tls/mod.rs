//! Certificates and what was negotiated.

mod settings;

pub use settings::{MinimumVersion, Settings};
