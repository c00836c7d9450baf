//! Settings of the password store.

use std::path::PathBuf;

use super::error::StoreError;
use super::policy::Policy;
use super::verify::hash_failed;
use crate::backend::hashing::Cost;

/// Where passwords are kept and what hashing them may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The database file; 0600, owned by the service user.
    pub path: PathBuf,
    /// argon2id memory in KiB (OWASP: 19,456).
    pub memory_kib: u32,
    /// argon2id passes (OWASP: 2).
    pub iterations: u32,
    /// argon2id lanes (OWASP: 1).
    pub lanes: u32,
    /// Threads that hash; 0 is one a core.
    pub hash_threads: usize,
    /// Hashes that may wait for a thread; more are refused as unavailable.
    pub max_waiting: usize,
    /// What a new password must be.
    pub policy: Policy,
    /// Whether a new password also gets a verifier for SCRAM-SHA-256.
    pub scram: Scram,
}

/// Whether there are verifiers for SCRAM-SHA-256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scram {
    /// Passwords are hashed by argon2id only.
    #[default]
    Omitted,
    /// A verifier is made whenever the password is at hand.
    Made,
}

impl Settings {
    /// What a new hash costs.
    ///
    /// # Errors
    /// `Hash` if a value is out of its range.
    pub(super) fn cost(&self) -> Result<Cost, StoreError> {
        Cost::new(self.memory_kib, self.iterations, self.lanes).map_err(|error| hash_failed(&error))
    }
}
