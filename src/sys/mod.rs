//! The operating system, safely.

pub mod host;
