//! Who can verify: the password store, the database of Cyrus SASL, PAM, and other daemons.
//!
//! All but [`remote`] implement `auth::Verify` for authd; [`remote`]
//! implements `auth::Mechanisms` for the gate. What cannot be asked is
//! *unavailable*, never a denial. Layer 3: knows no server and no protocol of a
//! client; opened by `daemon`, and for its users the store by `cli`.

mod admission;
mod dial;
mod hashing;
pub mod httpform;
pub mod kerberos5;
pub mod ldap;
pub mod pam;
pub mod remote;
pub mod rimap;
pub mod sasldb;
pub mod shadow;
pub mod store;
mod watched_files;
