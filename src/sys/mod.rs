//! The operating system, safely.

pub mod host;
pub mod terminal;
