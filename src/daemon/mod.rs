//! Composition roots: configuration to objects to tasks to signals, one file per service.

pub mod authd;
pub mod gate;
pub mod pam;
pub mod signals;
