//! What a client is told: the texts that libsasl2 clients and scripts know from the original.
//!
//! Clients throw the reason away; people read it with `testsaslauthd`-like
//! tools of their own, and it stands in the log. It tells nothing that a wrong
//! password would not tell too: what is wrong with an account is told only to
//! whoever had its password right.

use super::settings::UnavailableReply;
use crate::auth::Verdict;
use crate::base::{IdentityError, ReasonCode};
use crate::wire::saslauthd::{Refusal, Reply};

/// Whose texts refusals have: those of the PAM mechanism where PAM is among the
/// backends, else those of mechanisms that give no reason (sasldb).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `NO PAM auth error`, `NO PAM acct error`
    Pam,
    /// `NO`
    Bare,
}

/// The reply to a verdict; `None` closes without one.
pub(super) fn reply(
    verdict: &Verdict,
    dialect: Dialect,
    unavailable: UnavailableReply,
) -> Option<Reply> {
    match (verdict, dialect) {
        (Verdict::Accepted(_), _) => Some(Reply::Ok),
        (Verdict::Rejected(_), Dialect::Bare) => Some(Reply::No),
        (Verdict::Rejected(reason), Dialect::Pam) => Some(pam_text(reason.code)),
        (Verdict::Unavailable(_), _) => match unavailable {
            UnavailableReply::Close => None,
            UnavailableReply::No => Some(Reply::No),
        },
    }
}

fn pam_text(code: ReasonCode) -> Reply {
    Reply::NoBecause(match code {
        // pam_acct_mgmt runs only behind a right password.
        ReasonCode::AccountExpired | ReasonCode::PasswordExpired | ReasonCode::AccessDenied => {
            "PAM acct error"
        }
        _ => "PAM auth error",
    })
}

/// The reply to bytes that are no request, and the code for the log.
pub(super) fn refusal(refusal: Refusal) -> (Reply, ReasonCode) {
    match refusal {
        // As the original: `NO` and a blank.
        Refusal::TooLong { .. } => (Reply::NoBecause(""), ReasonCode::Malformed),
        Refusal::EmptyLogin => (Reply::NoBecause(NULL_LOGIN), ReasonCode::EmptyLogin),
        Refusal::EmptyPassword => {
            (Reply::NoBecause("NULL password received"), ReasonCode::EmptyPassword)
        }
        Refusal::ControlCharacter(_) => {
            (Reply::NoBecause("invalid character received"), ReasonCode::Malformed)
        }
    }
}

/// The reply to a login that can be nobody's.
pub(super) fn nobody(error: IdentityError) -> (Reply, ReasonCode) {
    match error {
        IdentityError::EmptyUser => (Reply::NoBecause(NULL_LOGIN), ReasonCode::EmptyLogin),
        _ => (Reply::NoBecause("invalid login received"), ReasonCode::Malformed),
    }
}

const NULL_LOGIN: &str = "NULL login received";

/// The reply to a service that is no name.
pub(super) const BAD_SERVICE: Reply = Reply::NoBecause("invalid service received");

/// What stands behind `NO`, for the log.
pub(super) fn told(reply: Option<Reply>) -> &'static str {
    match reply {
        Some(Reply::NoBecause(reason)) => reason,
        Some(Reply::Ok | Reply::No) | None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Reason;

    fn bytes(verdict: &Verdict, dialect: Dialect) -> Option<Vec<u8>> {
        reply(verdict, dialect, UnavailableReply::Close).map(Reply::encode)
    }

    #[test]
    fn says_what_the_original_says() {
        let rejected = |code: ReasonCode| Verdict::Rejected(code.into());
        let wrong = rejected(ReasonCode::BadCredentials);
        assert_eq!(bytes(&wrong, Dialect::Pam).unwrap(), b"\0\x11NO PAM auth error");
        assert_eq!(bytes(&wrong, Dialect::Bare).unwrap(), b"\0\x02NO");
        let expired = rejected(ReasonCode::AccountExpired);
        assert_eq!(bytes(&expired, Dialect::Pam).unwrap(), b"\0\x11NO PAM acct error");
        assert_eq!(bytes(&expired, Dialect::Bare).unwrap(), b"\0\x02NO");
        let accepted =
            Verdict::Accepted(crate::auth::Authenticated::for_tests("alice", "example.org"));
        assert_eq!(bytes(&accepted, Dialect::Pam).unwrap(), b"\0\x02OK");
    }

    #[test]
    fn does_not_tell_a_locked_account_from_a_wrong_password() {
        let locked = Verdict::Rejected(ReasonCode::AccountLocked.into());
        let wrong = Verdict::Rejected(ReasonCode::BadCredentials.into());
        for dialect in [Dialect::Pam, Dialect::Bare] {
            assert_eq!(bytes(&locked, dialect), bytes(&wrong, dialect));
        }
    }

    #[test]
    fn an_outage_is_silence_or_no_by_setting() {
        let outage = Verdict::Unavailable(Reason::from(ReasonCode::Timeout));
        assert_eq!(reply(&outage, Dialect::Pam, UnavailableReply::Close), None);
        let said = reply(&outage, Dialect::Pam, UnavailableReply::No);
        assert_eq!(said, Some(Reply::No));
    }
}
