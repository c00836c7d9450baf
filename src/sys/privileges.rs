//! Giving up root for good, and checking that it is gone.
//!
//! For services that an init script starts as root; under systemd they never
//! are root. Called by `daemon` before the process has threads: setresuid(2)
//! of libc reaches all of them, but nothing may run in between.

use nix::unistd::{self, Gid, Uid};

use super::users::Account;

/// Why privileges could not be given up. The process must then end.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    /// A system call was refused.
    #[error("cannot become `{account}`: {call}: {source}")]
    Refused {
        /// Whom the process wanted to be.
        account: String,
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        source: nix::Error,
    },
    /// All calls succeeded, and yet root is not gone.
    #[error("became `{0}`, but privileges are still there")]
    StillPrivileged(String),
}

/// True if the process runs as root.
#[must_use]
pub fn is_root() -> bool {
    unistd::geteuid().is_root()
}

/// Becomes `account`: supplementary groups of the account, its gid, its uid, all of
/// them real, effective and saved, for every thread of the process. Checked afterwards:
/// the ids are those wanted, and root cannot be regained.
///
/// # Errors
/// See [`DropError`].
pub fn become_account(account: &Account) -> Result<(), DropError> {
    let refused =
        |call| move |source| DropError::Refused { account: account.name.clone(), call, source };
    let name = std::ffi::CString::new(account.name.as_str())
        .map_err(|_| refused("initgroups")(nix::Error::EINVAL))?;
    unistd::initgroups(&name, account.gid).map_err(refused("initgroups"))?;
    unistd::setresgid(account.gid, account.gid, account.gid).map_err(refused("setresgid"))?;
    unistd::setresuid(account.uid, account.uid, account.uid).map_err(refused("setresuid"))?;
    verify(account)
}

fn verify(account: &Account) -> Result<(), DropError> {
    let still = || DropError::StillPrivileged(account.name.clone());
    let uids = unistd::getresuid().map_err(|_| still())?;
    let gids = unistd::getresgid().map_err(|_| still())?;
    let is_all_of = |uid: Uid, gid: Gid| {
        [uids.real, uids.effective, uids.saved] == [uid; 3]
            && [gids.real, gids.effective, gids.saved] == [gid; 3]
    };
    if !is_all_of(account.uid, account.gid) {
        return Err(still());
    }
    let can_return = !account.uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok();
    if can_return { Err(still()) } else { Ok(()) }
}
