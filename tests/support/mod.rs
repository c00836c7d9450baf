//! Real programs for tests: servers in private directories, mail clients as
//! child processes. Each test program takes the part it needs.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod gate;
pub(crate) mod mail_clients;
pub(crate) mod process;
pub(crate) mod sendmail;
