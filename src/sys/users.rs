//! Accounts and groups of the host, by name or number.
//!
//! Asks the account database of libc (files, LDAP, whatever nsswitch.conf
//! says), so it may block: for start-up only, never on an async thread.

use nix::unistd::{Gid, Group, Uid, User};

/// The account a service runs as, with its primary group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name it was found under.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
    /// Its primary gid.
    pub gid: Gid,
}

impl Account {
    /// True if the process runs as this account.
    #[must_use]
    pub fn is_us(&self) -> bool {
        nix::unistd::geteuid() == self.uid
    }
}

/// Who is to own a file; a part that is `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The owning account.
    pub uid: Option<Uid>,
    /// The owning group.
    pub gid: Option<Gid>,
}

/// Why a name could not be turned into a number.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such account.
    #[error("there is no account `{0}` on this host")]
    NoAccount(String),
    /// No such group.
    #[error("there is no group `{0}` on this host")]
    NoGroup(String),
    /// The account database could not be read.
    #[error("the account database cannot be read: {0}")]
    Database(#[from] nix::Error),
}

/// Finds the account called `name`, or the one with that number.
///
/// # Errors
/// [`UserError::NoAccount`], or [`UserError::Database`] if nobody could tell.
pub fn account(name: &str) -> Result<Account, UserError> {
    let found = match User::from_name(name)? {
        Some(user) => Some(user),
        None => match name.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number))?,
            Err(_) => None,
        },
    };
    let user = found.ok_or_else(|| UserError::NoAccount(name.to_owned()))?;
    Ok(Account { name: user.name, uid: user.uid, gid: user.gid })
}

/// The uid of the account called `name`; a number is one that need not have an account.
///
/// # Errors
/// As [`account`].
pub fn uid(name: &str) -> Result<Uid, UserError> {
    if let Some(user) = User::from_name(name)? {
        return Ok(user.uid);
    }
    name.parse().map(Uid::from_raw).map_err(|_| UserError::NoAccount(name.to_owned()))
}

/// Reads `user`, `user:group` or `:group`, names or numbers, as chown(1) does.
///
/// # Errors
/// The part that does not exist, or [`UserError::Database`].
pub fn owner(text: &str) -> Result<Owner, UserError> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let uid = if user.is_empty() { None } else { Some(account(user)?.uid) };
    let gid = if group.is_empty() { None } else { Some(gid(group)?) };
    Ok(Owner { uid, gid })
}

fn gid(name: &str) -> Result<Gid, UserError> {
    if let Some(group) = Group::from_name(name)? {
        return Ok(group.gid);
    }
    match name.parse() {
        Ok(number) => Ok(Gid::from_raw(number)),
        Err(_) => Err(UserError::NoGroup(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_owners_as_chown_does() {
        let root = owner("root").unwrap();
        assert_eq!((root.uid, root.gid), (Some(Uid::from_raw(0)), None));
        let both = owner("0:0").unwrap();
        assert_eq!((both.uid, both.gid), (Some(Uid::from_raw(0)), Some(Gid::from_raw(0))));
        assert_eq!(owner(":root").unwrap().uid, None);
        assert!(matches!(owner("no-such-user-here"), Err(UserError::NoAccount(_))));
        assert_eq!((uid("root").unwrap().as_raw(), uid("4242").unwrap().as_raw()), (0, 4242));
        assert!(matches!(uid("no-such-user-here"), Err(UserError::NoAccount(_))));
        assert!(matches!(owner("root:no-such-group-here"), Err(UserError::NoGroup(_))));
    }
}
