//! The saslauthd protocol, spoken by hand to a running daemon.
//!
//! The same cases for each subject: without `SUBJECT` our authd with the
//! password store; `SUBJECT=original` Cyrus saslauthd, `SUBJECT=pam` our authd
//! through PAM (both need libpam-wrapper, the first sasl2-bin as well).
#![cfg(test)]

#[path = "support/saslauthd/cases.rs"]
mod cases;
mod support;

use cases::saslauthd_cases;
use support::saslauthd::Kind;

saslauthd_cases!(Kind::from_env());
