//! Hashes of passwords, and the threads that compute them.
//!
//! Used by every backend that holds or reads hashes: the store, the shadow
//! file. A hash costs milliseconds by design, so it never runs on an async
//! thread: a backend submits a job to its [`HashPool`], and the job computes
//! with the [`Worker`] it is given. Knows no file and no user.
//!
//! | file | what |
//! |---|---|
//! | `argon2id` | one argon2id computation, made and checked, in memory that is kept and wiped |
//! | `crypt` | hashes of crypt(3), checked |
//! | `salted` | salted digests of LDAP servers and Dovecot, checked |
//! | `foreign` | either of the two |
//! | `scram` | verifiers of SCRAM-SHA-256, made |
//! | `pool` | bounded threads and a bounded queue |

mod argon2id;
mod crypt;
mod foreign;
mod pool;
mod salted;
pub(in crate::backend) mod scram;

pub(in crate::backend) use argon2id::{Cost, HashError, Hasher, Verifier};
pub(in crate::backend) use crypt::{CryptError, CryptHash};
pub(in crate::backend) use foreign::ForeignHash;
pub(in crate::backend) use pool::{HashPool, Refused, Worker};
pub(in crate::backend) use salted::SaltedHash;
