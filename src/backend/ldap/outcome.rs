//! What the result of a user's bind means: the table, and nothing else.
//!
//! | result | means |
//! |---|---|
//! | 0 | right |
//! | 49 | wrong; with Active Directory, what `data` says |
//! | 48 (the entry has no password) | wrong |
//! | 32 (no such entry) | unknown |
//! | 34 (no name) | unknown: a login made one that is none |
//! | 19 | locked (389 Directory Server) |
//! | all others: 51, 52, 53, 8, 13, ... | could not be asked |

use super::trouble::{Trouble, told};
use crate::base::{Reason, ReasonCode};
use crate::wire::ldap::{Outcome, ResultCode};

/// What a bind says of a password.
#[derive(Debug)]
pub(super) enum Bound {
    Right,
    Rejected(Reason),
    Unknown,
}

/// Reads the outcome of a bind as a user.
pub(super) fn bound(outcome: Outcome) -> Result<Bound, Trouble> {
    let rejected = |code: ReasonCode| Bound::Rejected(Reason::new(code, told(&outcome)));
    Ok(match outcome.code {
        ResultCode::SUCCESS => Bound::Right,
        ResultCode::CREDENTIALS => match active_directory(&outcome.text) {
            Some(Account::Unknown) => Bound::Unknown,
            Some(Account::Refused(code)) => rejected(code),
            None => rejected(ReasonCode::BadCredentials),
        },
        ResultCode::INAPPROPRIATE => rejected(ReasonCode::BadCredentials),
        ResultCode::CONSTRAINT => rejected(ReasonCode::AccountLocked),
        ResultCode::NO_OBJECT | ResultCode::BAD_NAME => Bound::Unknown,
        _ => return Err(Trouble::Refused { what: "the bind as the user", outcome }),
    })
}

enum Account {
    Unknown,
    Refused(ReasonCode),
}

/// What Active Directory says with its 49:
/// `80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 775, v4563`.
fn active_directory(text: &str) -> Option<Account> {
    let (_, behind) = text.split_once("AcceptSecurityContext")?;
    let (_, behind) = behind.split_once("data ")?;
    let data = behind.split([',', ' ']).next()?;
    Some(match data {
        "525" => Account::Unknown,
        // Not at this hour; not from this workstation; no such logon right.
        "530" | "531" | "569" => Account::Refused(ReasonCode::AccessDenied),
        "532" | "773" => Account::Refused(ReasonCode::PasswordExpired),
        "533" | "775" => Account::Refused(ReasonCode::AccountLocked),
        "701" => Account::Refused(ReasonCode::AccountExpired),
        _ => Account::Refused(ReasonCode::BadCredentials),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(code: u32, text: &str) -> String {
        match bound(Outcome { code: ResultCode(code), text: text.to_owned() }) {
            Ok(Bound::Right) => "right".to_owned(),
            Ok(Bound::Unknown) => "unknown".to_owned(),
            Ok(Bound::Rejected(reason)) => reason.code.as_str().to_owned(),
            Err(trouble) => trouble.code().as_str().to_owned(),
        }
    }

    #[test]
    fn no_and_could_not_ask_are_told_apart() {
        let table = [
            (0, "right"),
            (49, "bad-credentials"),
            (48, "bad-credentials"),
            (19, "account-locked"),
            (32, "unknown"),
            (34, "unknown"),
            (51, "busy"),
            (3, "timeout"),
        ];
        for (code, expected) in table {
            assert_eq!(meaning(code, ""), expected, "{code}");
        }
        for code in [1, 2, 7, 8, 10, 11, 13, 14, 50, 52, 53, 80, 4096, u32::MAX] {
            assert_eq!(meaning(code, ""), "backend-down", "{code}");
        }
    }

    #[test]
    fn active_directory_says_what_is_wrong_with_the_account() {
        let text = |data: &str| {
            format!(
                "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {data}, v4563\0"
            )
        };
        let table = [
            ("525", "unknown"),
            ("52e", "bad-credentials"),
            ("530", "access-denied"),
            ("531", "access-denied"),
            ("532", "password-expired"),
            ("533", "account-locked"),
            ("701", "account-expired"),
            ("773", "password-expired"),
            ("775", "account-locked"),
            ("999", "bad-credentials"),
        ];
        for (data, expected) in table {
            assert_eq!(meaning(49, &text(data)), expected, "{data}");
        }
        // Another server's text means nothing.
        assert_eq!(meaning(49, "data 775"), "bad-credentials");
    }
}
