//! What runs out: certificates, OCSP responses, revocation lists, each with its last day.
//!
//! Values only. The service tells of them in time, metrics and `check` show them.

use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;

/// Something that is in use and is valid for a period only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What it is.
    pub subject: Subject,
    /// Where it was read from.
    pub file: PathBuf,
    /// The names of a certificate; the issuer of a revocation list.
    pub names: Vec<String>,
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
}

/// What it is that runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One of the gate's certificates: clients refuse it afterwards.
    Certificate,
    /// An OCSP response: clients that look at it refuse the certificate.
    Staple,
    /// A revocation list: certificates of its issuer are not accepted any more.
    RevocationList,
}

/// How near the end is, from far to past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing to say yet.
    Far,
    /// At most 30 days.
    Month,
    /// At most 7 days.
    Week,
    /// At most one day.
    Day,
    /// It has come.
    Over,
}

const DAY_SECONDS: i64 = 86_400;

impl Expiry {
    /// How near the end is at `now`. OCSP responses and revocation lists live
    /// for days and are replaced by a timer, so before their end there is nothing to say.
    #[must_use]
    pub fn stage(&self, now: SystemTime) -> Stage {
        let left = self.seconds_left(now);
        match self.subject {
            _ if left < 0 => Stage::Over,
            Subject::Staple | Subject::RevocationList => Stage::Far,
            Subject::Certificate if left <= DAY_SECONDS => Stage::Day,
            Subject::Certificate if left <= 7 * DAY_SECONDS => Stage::Week,
            Subject::Certificate if left <= 30 * DAY_SECONDS => Stage::Month,
            Subject::Certificate => Stage::Far,
        }
    }

    /// What it is and how long it has, as one sentence for people.
    #[must_use]
    pub fn sentence(&self, now: SystemTime) -> String {
        let what = match self.subject {
            Subject::Certificate => "the certificate",
            Subject::Staple => "the OCSP response",
            Subject::RevocationList => "the revocation list",
        };
        let (file, end) = (self.file.display(), self.not_after);
        match self.days_left(now) {
            days if days < 0 => format!("{what} {file} has expired on {end}"),
            days => format!("{what} {file} expires in {days} days, on {end}"),
        }
    }

    /// Whole days until the end; negative once it has come.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        self.seconds_left(now).div_euclid(DAY_SECONDS)
    }

    /// True if the period has not begun at `now`: a clock is wrong, ours or the authority's.
    #[must_use]
    pub fn is_ahead(&self, now: SystemTime) -> bool {
        Timestamp::try_from(now).is_ok_and(|now| now < self.not_before)
    }

    fn seconds_left(&self, now: SystemTime) -> i64 {
        // A clock beyond the year 9999 has passed everything.
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        self.not_after.as_second() - now.as_second()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        SystemTime::from(text.parse::<Timestamp>().unwrap())
    }

    fn expiry(subject: Subject) -> Expiry {
        Expiry {
            subject,
            file: PathBuf::from("/x"),
            names: Vec::new(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2026-12-31T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn tells_how_near_the_end_of_a_certificate_is() {
        let expiry = expiry(Subject::Certificate);
        for (now, stage, days) in [
            ("2025-12-31T23:59:59Z", Stage::Far, 364),
            ("2026-12-01T11:59:59Z", Stage::Far, 30),
            ("2026-12-01T12:00:00Z", Stage::Month, 30),
            ("2026-12-24T12:00:00Z", Stage::Week, 7),
            ("2026-12-30T12:00:00Z", Stage::Day, 1),
            ("2026-12-31T12:00:00Z", Stage::Day, 0),
            ("2026-12-31T12:00:01Z", Stage::Over, -1),
            ("2027-01-02T13:00:00Z", Stage::Over, -3),
        ] {
            let found = (expiry.stage(at(now)), expiry.days_left(at(now)));
            assert_eq!(found, (stage, days), "{now}");
        }
        assert!(expiry.is_ahead(at("2025-12-31T23:59:59Z")));
        assert!(!expiry.is_ahead(at("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn what_is_replaced_by_a_timer_is_told_of_at_its_end_only() {
        for subject in [Subject::Staple, Subject::RevocationList] {
            assert_eq!(expiry(subject).stage(at("2026-12-31T11:00:00Z")), Stage::Far);
            assert_eq!(expiry(subject).stage(at("2026-12-31T13:00:00Z")), Stage::Over);
        }
    }
}
