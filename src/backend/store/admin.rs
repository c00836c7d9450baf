//! Users added, changed, removed, listed: what the commands do.
//!
//! Every change is one transaction that is on the disk when the call returns;
//! if it fails, nothing has changed. Hashing happens before the transaction, so
//! that the file is locked for milliseconds only. Blocks: not for async threads.

use std::collections::VecDeque;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::creation;
use super::error::StoreError;
use super::password::{self, Verifiers};
use super::policy::Policy;
use super::record::{Kind, Moment, State, User};
use super::schema::{self, Patience};
use super::settings::{Scram, Settings};
use super::verify::hash_failed;
use crate::backend::hashing::{Cost, Hasher};
use crate::base::{Identity, Secret};

/// What to do if there is no store yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Fail with [`StoreError::Missing`].
    Existing,
    /// Make an empty one.
    Create,
}

/// An open store, for administration.
pub struct Store {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) cost: Cost,
    pub(super) scram: Scram,
    policy: Policy,
    hasher: Hasher,
}

impl Store {
    /// Opens the store of `settings`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open(settings: &Settings, access: Access) -> Result<Self, StoreError> {
        let cost = settings.cost()?;
        if access == Access::Create {
            creation::create_if_missing(&settings.path)?;
        }
        Ok(Self {
            path: settings.path.clone(),
            connection: schema::open(&settings.path, Patience::Seconds)?,
            cost,
            scram: settings.scram,
            policy: settings.policy,
            hasher: Hasher::new(cost),
        })
    }

    /// Adds an active user; without a password nobody can log in as them yet.
    ///
    /// # Errors
    /// `UserExists`, `EmptyPassword`, `Weak`, or why the store cannot be changed.
    pub fn add(
        &mut self,
        identity: &Identity,
        password: Option<&Secret>,
    ) -> Result<(), StoreError> {
        if self.find(identity)?.is_some() {
            return Err(StoreError::UserExists(identity.clone()));
        }
        let verifiers = password.map(|password| self.hash(identity, password)).transpose()?;
        self.change(|transaction| {
            let now = Moment::now().unix();
            let added = transaction.execute(
                "INSERT INTO users (realm, user, state, created, changed)
                 VALUES (?1, ?2, 'active', ?3, ?3) ON CONFLICT DO NOTHING",
                params![identity.realm(), identity.user(), now],
            )?;
            if added == 1
                && let Some(verifiers) = &verifiers
            {
                password::replace(transaction, identity, verifiers, now)?;
            }
            Ok(added == 1)
        })?
        .then_some(())
        .ok_or_else(|| StoreError::UserExists(identity.clone()))
    }

    /// Gives an existing user a new password; the state stays.
    ///
    /// # Errors
    /// `NoSuchUser`, `EmptyPassword`, `Weak`, or why the store cannot be changed.
    pub fn set_password(
        &mut self,
        identity: &Identity,
        password: &Secret,
    ) -> Result<(), StoreError> {
        if self.find(identity)?.is_none() {
            return Err(StoreError::NoSuchUser(identity.clone()));
        }
        let verifiers = self.hash(identity, password)?;
        self.change_user(identity, |transaction, now| {
            password::replace(transaction, identity, &verifiers, now)
        })
    }

    /// Says whether `password` would be good enough for `identity`, so that a
    /// person is told before they type it a second time.
    ///
    /// # Errors
    /// `EmptyPassword`, `Weak`.
    pub fn approve(&self, identity: &Identity, password: &Secret) -> Result<(), StoreError> {
        if password.is_empty() {
            return Err(StoreError::EmptyPassword);
        }
        Ok(self.policy.judge(identity, password)?)
    }

    /// Removes a user with all credentials.
    ///
    /// # Errors
    /// `NoSuchUser`, or why the store cannot be changed.
    pub fn delete(&mut self, identity: &Identity) -> Result<(), StoreError> {
        self.change_user(identity, |transaction, _| {
            transaction
                .execute(
                    "DELETE FROM users WHERE realm = ?1 AND user = ?2",
                    params![identity.realm(), identity.user()],
                )
                .map(drop)
        })
    }

    /// Locks an account; the password is kept, and no login succeeds.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn lock(&mut self, identity: &Identity) -> Result<(), StoreError> {
        self.set_state(identity, State::Locked)
    }

    /// Unlocks an account.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn unlock(&mut self, identity: &Identity) -> Result<(), StoreError> {
        self.set_state(identity, State::Active)
    }

    /// Tells what is known of a user; `None` if there is no such user.
    ///
    /// # Errors
    /// Why the store could not tell.
    pub fn find(&self, identity: &Identity) -> Result<Option<User>, StoreError> {
        let found = self
            .connection
            .prepare_cached(&format!("{SELECT} WHERE u.realm = ?1 AND u.user = ?2 {GROUP}"))
            .and_then(|mut statement| {
                let names = params![identity.realm(), identity.user()];
                statement.query_row(names, RawUser::take).optional()
            })
            .map_err(|error| StoreError::from_sqlite(&self.path, &error))?;
        found.map(|row| row.into_user(self)).transpose()
    }

    /// All users, sorted by realm, then by name. Read in pages: a slow reader
    /// (a pager) holds no lock, and users who come and go meanwhile may be missed.
    #[must_use]
    pub fn list(&self) -> Users<'_> {
        Users { store: self, page: VecDeque::new(), last: Some((String::new(), String::new())) }
    }

    /// Lets the file grow no further, as on a full disk.
    #[cfg(test)]
    pub(super) fn limit_pages_for_tests(&self) {
        let set = |pages: i64| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).expect("a pragma")
        };
        // It never goes below what the file has.
        set(set(1) + 2);
    }

    fn hash(&mut self, identity: &Identity, password: &Secret) -> Result<Verifiers, StoreError> {
        self.approve(identity, password)?;
        self.hasher
            .verifier(self.cost, password)
            .and_then(|verifier| password::with_scram(verifier, self.scram, password))
            .map_err(|error| hash_failed(&error))
    }

    fn set_state(&mut self, identity: &Identity, state: State) -> Result<(), StoreError> {
        self.change_user(identity, |transaction, _| {
            transaction
                .execute(
                    "UPDATE users SET state = ?3 WHERE realm = ?1 AND user = ?2",
                    params![identity.realm(), identity.user(), state.as_str()],
                )
                .map(drop)
        })
    }

    /// Marks an existing user as changed and changes more in the same transaction.
    pub(super) fn change_user(
        &mut self,
        identity: &Identity,
        task: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.change(|transaction| {
            let now = Moment::now().unix();
            let touched = transaction.execute(
                "UPDATE users SET changed = ?3 WHERE realm = ?1 AND user = ?2",
                params![identity.realm(), identity.user(), now],
            )?;
            if touched == 1 {
                task(transaction, now)?;
            }
            Ok(touched == 1)
        })?
        .then_some(())
        .ok_or_else(|| StoreError::NoSuchUser(identity.clone()))
    }

    /// Runs `task` in one transaction. When this returns, its work is on the disk.
    pub(super) fn change<T>(
        &mut self,
        task: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let outcome = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let outcome = task(&transaction)?;
                transaction.commit()?;
                Ok(outcome)
            })
            .map_err(|error| StoreError::from_sqlite(&self.path, &error))?;
        schema::settle(&self.connection);
        Ok(outcome)
    }

    fn page_after(&self, realm: &str, user: &str) -> Result<VecDeque<User>, StoreError> {
        let sql = format!("{SELECT} WHERE (u.realm, u.user) > (?1, ?2) {GROUP} LIMIT {PAGE}");
        let rows = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                let rows = statement.query_map(params![realm, user], RawUser::take)?;
                rows.collect::<rusqlite::Result<Vec<_>>>()
            })
            .map_err(|error| StoreError::from_sqlite(&self.path, &error))?;
        rows.into_iter().map(|row| row.into_user(self)).collect()
    }
}

/// The users of a store, sorted; ends after the first error.
pub struct Users<'a> {
    store: &'a Store,
    page: VecDeque<User>,
    /// Realm and name behind which the next page begins; `None`: there is none.
    last: Option<(String, String)>,
}

impl Iterator for Users<'_> {
    type Item = Result<User, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            let (realm, user) = self.last.take()?;
            match self.store.page_after(&realm, &user) {
                Ok(page) => self.page = page,
                Err(error) => return Some(Err(error)),
            }
            let last = self.page.back()?;
            self.last = Some((last.identity.realm().to_owned(), last.identity.user().to_owned()));
        }
        self.page.pop_front().map(Ok)
    }
}

/// A row as it is; judged by [`RawUser::into_user`].
struct RawUser {
    realm: String,
    user: String,
    state: String,
    created: i64,
    changed: i64,
    last_used: Option<i64>,
    kinds: Option<String>,
}

impl RawUser {
    fn take(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            realm: row.get(0)?,
            user: row.get(1)?,
            state: row.get(2)?,
            created: row.get(3)?,
            changed: row.get(4)?,
            last_used: row.get(5)?,
            kinds: row.get(6)?,
        })
    }

    fn into_user(self, store: &Store) -> Result<User, StoreError> {
        let damaged = |detail: String| StoreError::Damaged { path: store.path.clone(), detail };
        let identity = Identity::new(&self.user, &self.realm)
            .map_err(|error| damaged(format!("a stored name is none: {error}")))?;
        let state = State::from_word(&self.state)
            .ok_or_else(|| damaged(format!("{identity} has an unknown state")))?;
        // A kind of a later version serves no login of ours.
        let words = self.kinds.unwrap_or_default();
        let mut kinds: Vec<Kind> = words.split_whitespace().filter_map(Kind::from_word).collect();
        kinds.sort();
        kinds.dedup();
        Ok(User {
            identity,
            state,
            kinds,
            created: Moment::from_unix(self.created),
            changed: Moment::from_unix(self.changed),
            last_used: self.last_used.map(Moment::from_unix),
        })
    }
}

const SELECT: &str = "SELECT u.realm, u.user, u.state, u.created, u.changed, u.last_used,
     group_concat(c.kind, ' ') FROM users u
     LEFT JOIN credentials c ON c.realm = u.realm AND c.user = u.user";
const GROUP: &str = "GROUP BY u.realm, u.user ORDER BY u.realm, u.user";
/// Users read at once.
const PAGE: usize = 512;
