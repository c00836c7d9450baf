//! Composition roots: configuration to objects to tasks to signals, one file per service.
//!
//! The only place but `cli` that knows everybody. A service is prepared (what
//! only root may have), then served until a signal; a reload builds what
//! changed and swaps it in, or changes nothing. Called by `cli`.

pub mod access;
pub mod authd;
pub mod gate;
pub mod gate_policy;
pub mod pam;
pub mod policy_file;
pub mod signals;

mod certificates;
mod files_watch;
mod gate_windows;
pub mod sender_map;
mod service;
