//! Real programs for tests: servers in private directories, mail clients as
//! child processes; and the gate's neighbours as threads of the test. Each test
//! program takes the part it needs.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test program uses a part of it, and a test that cannot go on fails"
)]

pub(crate) mod activation;
pub(crate) mod clients;
pub(crate) mod dialogue;
pub(crate) mod face;
pub(crate) mod fake_authd;
pub(crate) mod gate;
pub(crate) mod gate_world;
pub(crate) mod kdc;
pub(crate) mod ldap;
pub(crate) mod mail_clients;
pub(crate) mod milter;
pub(crate) mod pam;
pub(crate) mod pki;
pub(crate) mod process;
pub(crate) mod saslauthd;
pub(crate) mod sasldb;
pub(crate) mod scripted_backend;
pub(crate) mod sendmail;
pub(crate) mod site;
pub(crate) mod slapd;
pub(crate) mod smtp_client;
pub(crate) mod user_cases;
