//! What authd counts. Called by `ops::event::auth`, once for each request.

use std::time::Duration;

use super::values::{Gauge, Histogram, Table};
use super::{Exposition, OTHER, place};
use crate::base::ReasonCode;

/// The counts of this process.
pub static AUTHD: Authd = Authd::new();

/// Everything about requests.
#[derive(Debug)]
pub struct Authd {
    requests: [Table<{ OUTCOMES.len() }>; BACKENDS.len()],
    reasons: Table<{ REASONS.len() }>,
    latency: [Histogram; OUTCOMES.len()],
    /// PAM workers that have a request.
    pub pam_busy: Gauge,
    /// Requests that wait for a PAM worker.
    pub pam_waiting: Gauge,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A backend said yes.
    Accepted,
    /// It was remembered.
    Cached,
    /// No.
    Rejected,
    /// Nobody could be asked.
    Unavailable,
}

const OUTCOMES: [&str; 4] = ["accepted", "cached", "rejected", "unavailable"];
/// Backends by their names; `none` where none was asked.
const BACKENDS: [&str; 11] = [
    "none",
    "pam",
    "store",
    "ldap",
    "kerberos5",
    "sasldb",
    "shadow",
    "getpwent",
    "rimap",
    "httpform",
    OTHER,
];
/// What a refusal or an outage can have for its reason.
const REASONS: [ReasonCode; 19] = [
    ReasonCode::BadCredentials,
    ReasonCode::AccountLocked,
    ReasonCode::AccountExpired,
    ReasonCode::PasswordExpired,
    ReasonCode::AccessDenied,
    ReasonCode::ServiceNotAllowed,
    ReasonCode::Throttled,
    ReasonCode::PeerNotAllowed,
    ReasonCode::EmptyLogin,
    ReasonCode::EmptyPassword,
    ReasonCode::Malformed,
    ReasonCode::NotAuthorized,
    ReasonCode::NoMechanism,
    ReasonCode::Cancelled,
    ReasonCode::Timeout,
    ReasonCode::Busy,
    ReasonCode::BackendDown,
    ReasonCode::Damaged,
    ReasonCode::Stopping,
];

impl Authd {
    const fn new() -> Self {
        Self {
            requests: [const { Table::new() }; BACKENDS.len()],
            reasons: Table::new(),
            latency: [const { Histogram::new() }; OUTCOMES.len()],
            pam_busy: Gauge::new(),
            pam_waiting: Gauge::new(),
        }
    }

    /// A request that `backend` (empty: none) decided after `time`.
    pub fn decided(&self, backend: &str, outcome: Outcome, time: Duration) {
        let backend = if backend.is_empty() { "none" } else { backend };
        self.requests[place(&BACKENDS, backend)].of(outcome as usize).one();
        self.latency[outcome as usize].note(time);
    }

    /// Why a request was refused, or nobody could be asked.
    pub fn reason(&self, code: ReasonCode) {
        let place = REASONS.iter().position(|known| *known == code);
        self.reasons.of(place.unwrap_or(REASONS.len())).one();
    }

    /// All of it, as Prometheus reads it.
    pub fn write(&self, to: &mut Exposition) {
        to.counter("saslgate_authd_requests", "Requests by who decided and what became of them.");
        for (backend, table) in BACKENDS.iter().zip(&self.requests) {
            for (outcome, count) in OUTCOMES.iter().zip(table.iter()) {
                to.count(&[("backend", backend), ("outcome", outcome)], count.get());
            }
        }
        to.counter("saslgate_authd_refusals", "Requests that were not accepted, by reason.");
        for (reason, count) in REASONS.iter().zip(self.reasons.iter()) {
            to.count(&[("reason", reason.as_str())], count.get());
        }
        to.histogram("saslgate_authd_request_seconds", "Time that backends took to decide.");
        for (outcome, histogram) in OUTCOMES.iter().zip(&self.latency) {
            to.times(&[("outcome", outcome)], histogram);
        }
        to.gauge("saslgate_authd_pam_requests", "Requests at PAM workers, and waiting for one.");
        to.level(&[("state", "busy")], self.pam_busy.get());
        to.level(&[("state", "waiting")], self.pam_waiting.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_count_by_backend_outcome_and_reason() {
        let authd = Authd::new();
        authd.decided("pam", Outcome::Accepted, Duration::from_millis(3));
        authd.decided("store", Outcome::Cached, Duration::ZERO);
        authd.decided("", Outcome::Rejected, Duration::ZERO);
        authd.reason(ReasonCode::Throttled);
        authd.reason(ReasonCode::Stopping);
        let mut text = Exposition::default();
        authd.write(&mut text);
        let text = text.finish();
        for line in [
            "saslgate_authd_requests_total{backend=\"pam\",outcome=\"accepted\"} 1\n",
            "saslgate_authd_requests_total{backend=\"store\",outcome=\"cached\"} 1\n",
            "saslgate_authd_requests_total{backend=\"none\",outcome=\"rejected\"} 1\n",
            "saslgate_authd_refusals_total{reason=\"throttled\"} 1\n",
            "saslgate_authd_refusals_total{reason=\"stopping\"} 1\n",
            "saslgate_authd_request_seconds_count{outcome=\"accepted\"} 1\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }
}
