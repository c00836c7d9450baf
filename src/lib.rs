//! saslgate: a drop-in for Cyrus saslauthd, and a submission gate in front of sendmail.
//!
//! Values below, decisions in the middle, sockets above; only `daemon` and
//! `cli` know everybody. `tests/layering.rs` keeps this table:
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | 0 | [`base`] | nothing |
//! | 1 | [`sys`], [`wire`], [`sasl`], [`policy`] | base (sasl also wire's codecs) |
//! | 2 | [`ops`], [`tls`], [`auth`] | layers 0 to 1 |
//! | 3 | [`backend`], [`listen`] | layers 0 to 2 |
//! | 4 | [`server`], [`gate`] | layers 0 to 2, listen; never backend, never config |
//! | 5 | [`config`] | the `Settings` types of all above |
//! | 6 | [`cli`], [`daemon`] | all |
//!
//! The house as built is described in `docs/architecture.md`.

pub mod auth;
pub mod backend;
pub mod base;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod gate;
pub mod listen;
pub mod ops;
pub mod policy;
pub mod sasl;
pub mod server;
pub mod sys;
pub mod tls;
pub mod wire;
