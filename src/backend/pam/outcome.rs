//! What a result of libpam means: the one table.
//!
//! Linux-PAM's numbers (`security/_pam_types.h`), the stage they came from, and
//! our answer. "No" is only what a module said about this user; whatever tells
//! that PAM could not do its work, and every code that nobody expects there, is
//! *unavailable*. Pure; called by `client`, spoken by `worker`.

use crate::base::ReasonCode;

/// Result codes of Linux-PAM that we name.
pub(super) mod code {
    /// The step succeeded.
    pub(in crate::backend::pam) const SUCCESS: i32 = 0;
    /// Out of memory.
    pub(in crate::backend::pam) const BUF_ERR: i32 = 5;
    pub(super) const PERM_DENIED: i32 = 6;
    pub(super) const AUTH_ERR: i32 = 7;
    pub(super) const USER_UNKNOWN: i32 = 10;
    pub(super) const MAXTRIES: i32 = 11;
    pub(super) const NEW_AUTHTOK_REQD: i32 = 12;
    pub(super) const ACCT_EXPIRED: i32 = 13;
    /// The conversation failed.
    pub(in crate::backend::pam) const CONV_ERR: i32 = 19;
    pub(super) const AUTHTOK_EXPIRED: i32 = 27;
    /// An item could not be set or read.
    pub(in crate::backend::pam) const BAD_ITEM: i32 = 29;
}

/// The steps of one verification, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// `pam_start` and setting the items.
    Start = 0,
    /// `pam_authenticate`.
    Authenticate = 1,
    /// `pam_acct_mgmt`, and reading the user again.
    Account = 2,
}

impl Stage {
    /// The stage of a byte on the PAM socket.
    pub(super) fn from_wire(byte: u8) -> Option<Self> {
        [Self::Start, Self::Authenticate, Self::Account]
            .into_iter()
            .find(|stage| *stage as u8 == byte)
    }

    /// The name in log lines, as saslauthd 2.1.28 has it (`PAM auth error`).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Authenticate => "auth",
            Self::Account => "acct",
        }
    }
}

/// What a result means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The password is right and the account may be used.
    Accepted,
    /// No module knows the user: another backend may.
    Unknown,
    /// A module said no.
    Rejected(ReasonCode),
    /// PAM could not tell.
    Unavailable,
}

/// Looks up the result `code` of `stage`.
pub(super) fn meaning(stage: Stage, code: i32) -> Meaning {
    use Meaning::{Accepted, Rejected, Unavailable, Unknown};
    use ReasonCode::{AccessDenied, AccountExpired, BadCredentials, PasswordExpired};
    match (stage, code) {
        (Stage::Account, code::SUCCESS) => Accepted,
        (Stage::Authenticate, code::USER_UNKNOWN) => Unknown,
        (Stage::Authenticate, code::AUTH_ERR | code::MAXTRIES | code::PERM_DENIED) => {
            Rejected(BadCredentials)
        }
        // Modules of directories tell of these at either stage.
        (Stage::Authenticate | Stage::Account, code::ACCT_EXPIRED) => Rejected(AccountExpired),
        (Stage::Authenticate | Stage::Account, code::NEW_AUTHTOK_REQD | code::AUTHTOK_EXPIRED) => {
            Rejected(PasswordExpired)
        }
        // The password was right; pam_nologin says AUTH_ERR here, pam_unix
        // USER_UNKNOWN of a user that only another module knows.
        (
            Stage::Account,
            code::PERM_DENIED | code::AUTH_ERR | code::USER_UNKNOWN | code::MAXTRIES,
        ) => Rejected(AccessDenied),
        // Among the rest is PAM_CRED_INSUFFICIENT: it is we who may not read the
        // authentication data (pam(3)), which says nothing of the password.
        _ => Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_every_stage_means_this() {
        use Meaning::{Accepted, Rejected, Unknown};
        use ReasonCode::{AccessDenied, AccountExpired, BadCredentials, PasswordExpired};
        let known = [
            (Stage::Authenticate, 6, Rejected(BadCredentials)),
            (Stage::Authenticate, 7, Rejected(BadCredentials)),
            (Stage::Authenticate, 10, Unknown),
            (Stage::Authenticate, 11, Rejected(BadCredentials)),
            (Stage::Authenticate, 12, Rejected(PasswordExpired)),
            (Stage::Authenticate, 13, Rejected(AccountExpired)),
            (Stage::Authenticate, 27, Rejected(PasswordExpired)),
            (Stage::Account, 0, Accepted),
            (Stage::Account, 6, Rejected(AccessDenied)),
            (Stage::Account, 7, Rejected(AccessDenied)),
            (Stage::Account, 10, Rejected(AccessDenied)),
            (Stage::Account, 11, Rejected(AccessDenied)),
            (Stage::Account, 12, Rejected(PasswordExpired)),
            (Stage::Account, 13, Rejected(AccountExpired)),
            (Stage::Account, 27, Rejected(PasswordExpired)),
        ];
        for stage in [Stage::Start, Stage::Authenticate, Stage::Account] {
            for code in -2..64 {
                let expected = known
                    .iter()
                    .find(|(at, number, _)| (*at, *number) == (stage, code))
                    .map_or(Meaning::Unavailable, |(_, _, meaning)| *meaning);
                assert_eq!(meaning(stage, code), expected, "{stage:?} {code}");
            }
        }
    }

    #[test]
    fn success_before_the_account_was_checked_is_no_pass() {
        assert_eq!(meaning(Stage::Authenticate, code::SUCCESS), Meaning::Unavailable);
        assert_eq!(meaning(Stage::Start, code::SUCCESS), Meaning::Unavailable);
    }

    #[test]
    fn stages_survive_the_wire() {
        for stage in [Stage::Start, Stage::Authenticate, Stage::Account] {
            assert_eq!(Stage::from_wire(stage as u8), Some(stage));
        }
        assert_eq!(Stage::from_wire(3), None);
    }
}
