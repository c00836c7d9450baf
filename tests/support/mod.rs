//! Real programs for tests: servers in private directories, mail clients as
//! child processes. Each test program takes the part it needs.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

pub(crate) mod gate;
pub(crate) mod mail_clients;
pub(crate) mod process;
pub(crate) mod saslauthd;
pub(crate) mod sendmail;
