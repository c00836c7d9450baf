//! Verification through libpam, in processes of their own.
//!
//! PAM modules are other people's C code: they leak, hang and crash. So authd
//! never calls libpam. It holds a [`Pam`] (the client), which keeps connections
//! to `saslgate-pam`; each connection is one worker process there, which runs
//! one request at a time. [`Supervisor`] forks, bounds and, past their
//! deadline, kills the workers; [`Helper`] keeps a supervisor running for an
//! authd that has none.
//!
//! ```text
//! authd: client (pool) --ipc over a Unix socket--> worker (transaction, sys) -> libpam
//!        helper (spawns) ----------------------->  supervisor (fork, board, kill)
//! ```
//!
//! Not for what a PAM result means to a protocol: that is `auth`. What it means
//! to us stands in one table, `outcome`.

mod board;
mod client;
mod dialogue;
mod duties;
mod helper;
mod ipc;
mod outcome;
mod service;
mod settings;
mod shares;
mod standby;
mod supervisor;
mod sys;
mod transaction;
mod worker;

pub use client::{Pam, Reach};
pub use duties::{Duties, Reread, Succession};
pub use helper::{Helper, HelperError, HelperOptions};
pub use settings::{Settings, UserForm};
pub use standby::Standby;
pub use supervisor::{Ending, Supervisor};
pub use worker::Worker;

#[cfg(test)]
mod tests;
