//! Keeps the gate's certificates fresh: reads files that have changed, and
//! tells in time of what runs out.
//!
//! One task beside the listeners. Sessions are not touched: what is read counts
//! for handshakes from then on. What cannot be used changes nothing and is said.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::files_watch::FilesWatch;
use crate::ops::event::gate::{self as event, Certificate, Ending};
use crate::tls::{Expiry, ServerTls, Stage, Subject};

/// Certificate and key are written one after the other: a pair is read when
/// nothing has happened to either for this long.
const QUIET: Duration = Duration::from_secs(1);
/// How often it is looked what runs out.
const LOOK: Duration = Duration::from_secs(3600);

/// Watches and warns until `stop` is cancelled. `reloaded` is told when the
/// service has loaded other settings into `tls`.
pub(super) async fn keep(tls: ServerTls, reloaded: Arc<Notify>, stop: CancellationToken) {
    let mut notices = Notices::default();
    let mut files = FilesWatch::new(tls.files(), QUIET);
    loop {
        notices.tell(&tls.expiries(), SystemTime::now());
        tokio::select! {
            () = stop.cancelled() => return,
            () = reloaded.notified() => files = FilesWatch::new(tls.files(), QUIET),
            () = files.changed() => refresh(&tls),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn refresh(tls: &ServerTls) {
    match tls.refresh() {
        Ok(()) => tracing::info!("certificates were read again, since a file has changed"),
        Err(error) => {
            tracing::error!("changed certificate files are not used, the old ones stay: {error}");
        }
    }
}

/// What was told, so that nothing is told twice.
#[derive(Default)]
struct Notices {
    told: HashMap<(PathBuf, Timestamp), (Stage, SystemTime)>,
}

/// What has come to its end is told of again after this long.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Notices {
    fn tell(&mut self, expiries: &[Expiry], now: SystemTime) {
        for expiry in self.due(expiries, now) {
            let names: Vec<&str> = expiry.names.iter().map(String::as_str).collect();
            event::certificate(&Certificate {
                what: match expiry.subject {
                    Subject::Certificate => "certificate",
                    Subject::Staple => "ocsp-response",
                    Subject::RevocationList => "revocation-list",
                },
                file: &expiry.file,
                names: &names,
                not_before: expiry.not_before,
                not_after: expiry.not_after,
                ending: match expiry.stage(now) {
                    _ if expiry.is_ahead(now) => Ending::NotYetValid,
                    Stage::Over => Ending::Expired,
                    _ => Ending::Expires { days: expiry.days_left(now) },
                },
            });
        }
    }

    /// What is to be told at `now`: each thing when it comes to another stage,
    /// and daily from its end on; one that is not valid yet, daily.
    fn due<'a>(&mut self, expiries: &'a [Expiry], now: SystemTime) -> Vec<&'a Expiry> {
        let key = |expiry: &Expiry| (expiry.file.clone(), expiry.not_after);
        let mut told = HashMap::new();
        let mut due = Vec::new();
        for expiry in expiries {
            let stage = expiry.stage(now);
            let before = self.told.get(&key(expiry)).copied();
            let is_urgent = stage == Stage::Over || expiry.is_ahead(now);
            let is_due = match before {
                None => stage > Stage::Far || is_urgent,
                Some((earlier, at)) => {
                    stage > earlier
                        || (is_urgent && now.duration_since(at).is_ok_and(|passed| passed >= DAY))
                }
            };
            if is_due {
                due.push(expiry);
                told.insert(key(expiry), (stage, now));
            } else if let Some(before) = before {
                told.insert(key(expiry), before);
            }
        }
        // What is not in use any more is forgotten.
        self.told = told;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        SystemTime::from(text.parse::<Timestamp>().unwrap())
    }

    fn certificate(not_after: &str) -> Expiry {
        Expiry {
            subject: Subject::Certificate,
            file: PathBuf::from("/x.pem"),
            names: Vec::new(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: not_after.parse().unwrap(),
        }
    }

    #[test]
    fn tells_at_30_7_and_1_days_and_then_daily() {
        let one = [certificate("2026-12-31T12:00:00Z")];
        let mut notices = Notices::default();
        let hour = Duration::from_secs(3600);
        let start = at("2026-11-25T12:00:00Z");
        let told: Vec<i64> = (0..24 * 40)
            .map(|hours| start + hour * hours)
            .filter(|now| !notices.due(&one, *now).is_empty())
            .map(|now| one[0].days_left(now))
            .collect();
        assert_eq!(told, [30, 7, 1, -1, -2, -3, -4]);
    }

    #[test]
    fn a_start_tells_at_once_and_a_reload_does_not_repeat_it() {
        let mut notices = Notices::default();
        let old = [certificate("2026-12-31T12:00:00Z")];
        let now = at("2026-12-28T00:00:00Z");
        assert_eq!(notices.due(&old, now).len(), 1);
        assert_eq!(notices.due(&old, now + Duration::from_secs(5)).len(), 0);
        // A renewed one is another one, and the old one is forgotten.
        let new = [certificate("2027-01-05T12:00:00Z")];
        assert_eq!(notices.due(&new, now).len(), 1);
        assert_eq!(notices.told.len(), 1);
        assert_eq!(notices.due(&[certificate("2027-12-31T12:00:00Z")], now).len(), 0);
        assert!(notices.told.is_empty());
    }

    #[test]
    fn one_from_the_future_is_told_of_daily() {
        let one = [certificate("2027-12-31T12:00:00Z")];
        let mut notices = Notices::default();
        let start = at("2025-12-29T00:00:00Z");
        let day = |days: u32| start + DAY * days;
        let told = (0..5).filter(|days| !notices.due(&one, day(*days)).is_empty()).count();
        assert_eq!(told, 3);
    }
}
