//! Bytes to values and back, without I/O: one module a protocol.
//!
//! Decoders take bytes as they come and say when they have a whole; nothing
//! here knows a socket, a clock, a session or a log. What a value means is the
//! business of `server`, `gate` and `backend`, which call this.
//! Layer 1: names `base` only.

pub mod control;
pub mod imap;
pub mod kerberos;
pub mod ldap;
pub mod proxy;
pub mod saslauthd;
pub mod smtp;
pub mod xclient;
