//! Entries of the shadow file, as libc finds them: in `/etc/shadow`, or where
//! nsswitch.conf says.
//!
//! nix knows the account database but not this one, hence the binding. May
//! block for as long as a directory service takes: never on an async thread.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use zeroize::Zeroizing;

/// One user's line (shadow(5)). Holds a hash: no `Debug`.
pub struct ShadowEntry {
    /// The password field as it stands there; often no hash.
    pub password: Zeroizing<Vec<u8>>,
    /// The other fields.
    pub aging: Aging,
}

/// The ages of a password and an account, in days; of dates, days since 1970-01-01.
/// `None` where the field is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Aging {
    /// When the password was changed; 0 demands a change at the next login.
    pub last_change: Option<i64>,
    /// The password must be changed after this many days.
    pub max: Option<i64>,
    /// So many days later the account is closed.
    pub inactive: Option<i64>,
    /// The account is closed from this day on.
    pub expire: Option<i64>,
}

/// Finds the entry of `name`; `None` if there is none. Without permission for
/// `/etc/shadow` libc may say either: look at the file before you believe it.
///
/// # Errors
/// Those of `getspnam_r(3)`, and `InvalidInput` for a name with a NUL.
pub fn shadow_entry(name: &str) -> io::Result<Option<ShadowEntry>> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut buffer = Zeroizing::new(vec![0u8; FIRST_BYTES]);
    loop {
        match look_up(&name, &mut buffer) {
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
                if buffer.len() >= MAX_BYTES {
                    return Err(io::Error::other("the entry is longer than any can be"));
                }
                buffer = Zeroizing::new(vec![0; buffer.len() * 2]);
            }
            found => return found,
        }
    }
}

fn look_up(name: &CStr, buffer: &mut [u8]) -> io::Result<Option<ShadowEntry>> {
    let mut entry = MaybeUninit::<libc::spwd>::zeroed();
    let mut found: *mut libc::spwd = ptr::null_mut();
    // SAFETY: `name` ends with a NUL; `entry`, `buffer` (with its true length)
    // and `found` are ours and outlive the call, which keeps none of them.
    let code = unsafe {
        libc::getspnam_r(
            name.as_ptr(),
            entry.as_mut_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            &raw mut found,
        )
    };
    if found.is_null() {
        // Some services say "no such file" for "no such entry".
        return match code {
            0 | libc::ENOENT | libc::ESRCH => Ok(None),
            code => Err(io::Error::from_raw_os_error(code)),
        };
    }
    // SAFETY: zeroed at first, so it is a valid spwd whatever libc has filled in.
    let entry = unsafe { entry.assume_init() };
    if entry.sp_pwdp.is_null() {
        return Ok(None);
    }
    // SAFETY: libc has put a string with its NUL into `buffer`, which is still there.
    let password = unsafe { CStr::from_ptr(entry.sp_pwdp) };
    Ok(Some(ShadowEntry {
        password: Zeroizing::new(password.to_bytes().to_vec()),
        aging: Aging {
            last_change: days(entry.sp_lstchg),
            max: days(entry.sp_max),
            inactive: days(entry.sp_inact),
            expire: days(entry.sp_expire),
        },
    }))
}

/// -1 stands for an empty field.
fn days(field: libc::c_long) -> Option<i64> {
    (field >= 0).then_some(field)
}

/// Room for most entries.
const FIRST_BYTES: usize = 1024;
/// Beyond it something is broken.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_has_is_nobody_or_not_for_us_to_know() {
        match shadow_entry("no-such-user-here") {
            Ok(found) => assert!(found.is_none()),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied),
        }
        assert_eq!(
            shadow_entry("a\0b").err().map(|error| error.kind()),
            Some(io::ErrorKind::InvalidInput)
        );
    }

    #[test]
    fn an_empty_field_is_none() {
        assert_eq!((days(-1), days(0), days(20_000)), (None, Some(0), Some(20_000)));
    }
}
