//! Accounts of this host, checked against their crypt(3) hashes: the backends
//! `shadow` and `getpwent`, as saslauthd has them.
//!
//! libc is asked, so nsswitch.conf counts and users of a directory that has
//! hashes to give are found, too. That may block and hashing takes its time:
//! both happen on the backend's own threads. Needs root, or the group that may
//! read `/etc/shadow`. Not here: PAM and what it knows beside the password
//! (pam_nologin, faillock, shells); that is the backend `pam`.
//!
//! | file | what |
//! |---|---|
//! | `verify` | the backend: one look-up and one hash for each attempt, whoever it names |
//! | `aging` | whether an account or its password has expired |
//! | `files` | when `/etc/passwd` and `/etc/shadow` have changed, and for whom |

mod aging;
mod files;
mod settings;
mod verify;

pub use settings::Settings;
pub use verify::{Accounts, AccountsError, Database};
