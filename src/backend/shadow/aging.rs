//! Whether an account may be used today, by the dates in its shadow entry.
//!
//! As pam_unix reads them, which is stricter than saslauthd 2.1.28 in three
//! ways: an account ends on the day of its expiry, not the day after; a
//! password that must be changed (`chage -d 0`) is no password for mail; and
//! the two limits of a password's age are both looked at. Pure: the caller
//! brings the time.

use std::time::Duration;

use crate::base::{Reason, ReasonCode};
use crate::sys::shadow::Aging;

const DAY: u64 = 24 * 60 * 60;

/// Says why the account may not be used at `now` (since 1970-01-01 UTC), or for
/// how long it still may; `None` if nothing ends.
pub(super) fn check(aging: &Aging, now: Duration) -> Result<Option<Duration>, Reason> {
    let today = i64::try_from(now.as_secs() / DAY).unwrap_or(i64::MAX);
    if aging.expire.is_some_and(|day| today >= day) {
        return Err(ReasonCode::AccountExpired.into());
    }
    if aging.last_change == Some(0) {
        let detail = "its password must be changed at the next login (chage -d 0)";
        return Err(Reason::new(ReasonCode::PasswordExpired, detail));
    }
    let last_good = match (aging.last_change, aging.max) {
        (Some(changed), Some(max)) => Some(changed.saturating_add(max)),
        _ => None,
    };
    if let Some(day) = last_good.filter(|day| today > *day) {
        let closed = aging.inactive.filter(|days| today > day.saturating_add(*days));
        return Err(match closed {
            Some(_) => {
                let detail = "its password expired so long ago that the account is closed";
                Reason::new(ReasonCode::AccountExpired, detail)
            }
            None => ReasonCode::PasswordExpired.into(),
        });
    }
    let ends = [aging.expire, last_good.map(|day| day.saturating_add(1))];
    let end = ends.into_iter().flatten().min();
    let start = |day: i64| Duration::from_secs(u64::try_from(day).unwrap_or(0).saturating_mul(DAY));
    Ok(end.map(|day| start(day).saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: i64 = 20_000;

    fn now() -> Duration {
        Duration::from_secs(TODAY as u64 * DAY + 3600)
    }

    fn refused(aging: Aging) -> Option<ReasonCode> {
        check(&aging, now()).err().map(|reason| reason.code)
    }

    fn good(aging: Aging) -> Option<Duration> {
        check(&aging, now()).unwrap()
    }

    #[test]
    fn empty_fields_end_nothing() {
        assert_eq!(good(Aging::default()), None);
        assert_eq!(good(Aging { max: Some(99_999), ..Aging::default() }), None);
        assert_eq!(good(Aging { last_change: Some(TODAY), ..Aging::default() }), None);
    }

    #[test]
    fn an_account_ends_on_the_day_of_its_expiry() {
        let until = |day| Aging { expire: Some(day), ..Aging::default() };
        assert_eq!(good(until(TODAY + 1)), Some(Duration::from_secs(23 * 3600)));
        assert_eq!(refused(until(TODAY)), Some(ReasonCode::AccountExpired));
        assert_eq!(refused(until(0)), Some(ReasonCode::AccountExpired));
    }

    #[test]
    fn a_password_is_good_for_its_days_and_no_longer() {
        let aged =
            |changed, max| Aging { last_change: Some(changed), max: Some(max), ..Aging::default() };
        assert_eq!(good(aged(TODAY - 90, 90)), Some(Duration::from_secs(23 * 3600)));
        assert_eq!(refused(aged(TODAY - 91, 90)), Some(ReasonCode::PasswordExpired));
        assert_eq!(good(aged(TODAY + 5, 90)).map(|left| left.as_secs() / DAY), Some(95));
        let closing = |inactive| Aging { inactive: Some(inactive), ..aged(TODAY - 91, 90) };
        assert_eq!(refused(closing(1)), Some(ReasonCode::PasswordExpired));
        assert_eq!(refused(closing(0)), Some(ReasonCode::AccountExpired));
        assert!(check(&aged(i64::MAX, i64::MAX), now()).is_ok());
    }

    #[test]
    fn a_forced_change_is_refused() {
        let forced = Aging { last_change: Some(0), ..Aging::default() };
        assert_eq!(refused(forced), Some(ReasonCode::PasswordExpired));
    }
}
