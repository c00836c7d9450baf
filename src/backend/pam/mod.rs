//! Verification through libpam, in processes of their own.

mod settings;

pub use settings::{Settings, UserForm};
