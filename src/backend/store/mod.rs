//! The password store: one SQLite file, argon2id, many processes at once.

mod settings;

pub use settings::Settings;
