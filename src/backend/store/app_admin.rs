//! App passwords made, listed and revoked.

use rusqlite::{Row, Transaction, params};

use super::admin::Store;
use super::app_password;
use super::error::StoreError;
use super::record::{AppPassword, Kind, Moment};
use super::scope::{Label, Scope};
use crate::base::{Identity, Secret};

impl Store {
    /// Draws an app password for `identity` and stores its digest. This is the
    /// only time that anybody sees it: 28 letters and digits in groups of four.
    ///
    /// # Errors
    /// `NoSuchUser`, `LabelExists`, `Hash` without random bytes, or why the
    /// store cannot be changed.
    pub fn add_app_password(
        &mut self,
        identity: &Identity,
        label: &Label,
        scope: &Scope,
        expires: Option<Moment>,
    ) -> Result<Secret, StoreError> {
        let (password, verifier) = app_password::draw(identity)
            .map_err(|error| StoreError::Hash(format!("no random bytes: {error}")))?;
        let exists =
            StoreError::LabelExists { identity: identity.clone(), label: label.as_str().into() };
        self.change_app(identity, exists, |transaction, now| {
            transaction.execute(
                "INSERT INTO credentials
                 (realm, user, kind, label, verifier, created, changed, services, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                params![
                    identity.realm(),
                    identity.user(),
                    Kind::AppPassword.as_str(),
                    label.as_str(),
                    verifier,
                    now,
                    scope.as_str(),
                    expires.map(Moment::unix),
                ],
            )
        })?;
        Ok(password)
    }

    /// Takes an app password away: it is refused from the next request on.
    ///
    /// # Errors
    /// `NoSuchUser`, `NoSuchLabel`, or why the store cannot be changed.
    pub fn revoke_app_password(
        &mut self,
        identity: &Identity,
        label: &Label,
    ) -> Result<(), StoreError> {
        let missing =
            StoreError::NoSuchLabel { identity: identity.clone(), label: label.as_str().into() };
        self.change_app(identity, missing, |transaction, _| {
            transaction.execute(
                "DELETE FROM credentials
                 WHERE realm = ?1 AND user = ?2 AND kind = ?3 AND label = ?4",
                params![
                    identity.realm(),
                    identity.user(),
                    Kind::AppPassword.as_str(),
                    label.as_str()
                ],
            )
        })
    }

    /// Runs `task`, which changes one row, and marks the user as changed;
    /// `otherwise` if it has changed none.
    fn change_app(
        &mut self,
        identity: &Identity,
        otherwise: StoreError,
        task: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<usize>,
    ) -> Result<(), StoreError> {
        if self.find(identity)?.is_none() {
            return Err(StoreError::NoSuchUser(identity.clone()));
        }
        let names = params![identity.realm(), identity.user()];
        let has_changed = self.change(|transaction| {
            let now = Moment::now().unix();
            // Somebody else may have deleted the user since.
            let is_there = transaction
                .prepare("SELECT 1 FROM users WHERE realm = ?1 AND user = ?2")?
                .exists(names)?;
            if !is_there || task(transaction, now)? != 1 {
                return Ok(false);
            }
            let mark = "UPDATE users SET changed = ?3 WHERE realm = ?1 AND user = ?2";
            transaction.execute(mark, params![identity.realm(), identity.user(), now])?;
            Ok(true)
        })?;
        has_changed.then_some(()).ok_or(otherwise)
    }

    /// The app passwords of `identity`, by label.
    ///
    /// # Errors
    /// `NoSuchUser`, or why the store could not tell.
    pub fn app_passwords(&self, identity: &Identity) -> Result<Vec<AppPassword>, StoreError> {
        if self.find(identity)?.is_none() {
            return Err(StoreError::NoSuchUser(identity.clone()));
        }
        let rows = self
            .connection
            .prepare_cached(
                "SELECT label, services, expires, created, last_used FROM credentials
                 WHERE realm = ?1 AND user = ?2 AND kind = ?3 ORDER BY label",
            )
            .and_then(|mut statement| {
                let names = params![identity.realm(), identity.user(), Kind::AppPassword.as_str()];
                let rows = statement.query_map(names, |row| take(identity, row))?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            })
            .map_err(|error| StoreError::from_sqlite(&self.path, &error))?;
        rows.into_iter()
            .map(|found| {
                found.ok_or_else(|| StoreError::Damaged {
                    path: self.path.clone(),
                    detail: format!("an app password of {identity} has no label"),
                })
            })
            .collect()
    }
}

/// `None` for a label that is none.
fn take(identity: &Identity, row: &Row<'_>) -> rusqlite::Result<Option<AppPassword>> {
    let Ok(label) = Label::new(row.get_ref(0)?.as_str()?) else { return Ok(None) };
    let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|it| it.map(Moment::from_unix));
    Ok(Some(AppPassword {
        identity: identity.clone(),
        label,
        scope: Scope::from_column(row.get_ref(1)?.as_str()?),
        expires: moment(2)?,
        created: Moment::from_unix(row.get(3)?),
        last_used: moment(4)?,
    }))
}
