//! The verifiers of a new password: which are made, and how they replace the old ones.

use rusqlite::{Transaction, params};

use super::record::Kind;
use super::settings::Scram;
use crate::backend::hashing::{HashError, scram};
use crate::base::{Identity, Secret};

/// What is stored of one password: kinds, each once, and verifiers.
pub(super) type Verifiers = Vec<(Kind, String)>;

/// The argon2id `verifier` of `password`, and one for SCRAM if it is wanted and can be.
///
/// # Errors
/// `Random`.
pub(super) fn with_scram(
    verifier: String,
    scram: Scram,
    password: &Secret,
) -> Result<Verifiers, HashError> {
    let mut made = vec![(Kind::Argon2id, verifier)];
    if scram == Scram::Made {
        made.extend(scram::verifier(password)?.map(|text| (Kind::Scram, text)));
    }
    Ok(made)
}

/// Puts `verifiers` in place of all that the account's password had. App
/// passwords stay: they are passwords of their own.
pub(super) fn replace(
    transaction: &Transaction<'_>,
    identity: &Identity,
    verifiers: &Verifiers,
    now: i64,
) -> rusqlite::Result<()> {
    let (realm, user) = (identity.realm(), identity.user());
    transaction
        .prepare_cached("DELETE FROM credentials WHERE realm = ?1 AND user = ?2 AND label = ''")?
        .execute(params![realm, user])?;
    for (kind, verifier) in verifiers {
        transaction
            .prepare_cached(
                "INSERT INTO credentials (realm, user, kind, label, verifier, created, changed)
                 VALUES (?1, ?2, ?3, '', ?4, ?5, ?5)",
            )?
            .execute(params![realm, user, kind.as_str(), verifier, now])?;
    }
    Ok(())
}
