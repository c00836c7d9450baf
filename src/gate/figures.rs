//! The gate's metrics, as Prometheus reads them: what this process counted, and
//! how backends, pools and certificates are at this moment.

use super::driver::Gate;
use super::probe::Availability;
use crate::ops::metrics::Exposition;
use crate::ops::metrics::gate::GATE;
use crate::tls::Subject;

/// Writes all of it.
pub fn write(gate: &Gate, to: &mut Exposition) {
    GATE.write(to);
    write_backends(gate, to);
    to.gauge(
        "saslgate_certificate_expiry_timestamp_seconds",
        "Last moment of what the gate shows: certificates, stapled responses, revocation lists.",
    );
    for expiry in gate.tls.expiries() {
        let what = match expiry.subject {
            Subject::Certificate => "certificate",
            Subject::Staple => "ocsp-response",
            Subject::RevocationList => "revocation-list",
        };
        let file = expiry.file.to_string_lossy();
        let names = expiry.names.join(",");
        let labels = [("what", what), ("file", &*file), ("names", names.as_str())];
        to.level(&labels, expiry.not_after.as_second());
    }
}

fn write_backends(gate: &Gate, to: &mut Exposition) {
    let backends = || gate.backends.iter().map(|it| (it, it.route.settings.name.as_str()));
    to.gauge("saslgate_backend_up", "1 if the backend answered when it was last asked.");
    for (backend, name) in backends() {
        let is_up = backend.health.state() == Availability::Up;
        to.level(&[("backend", name)], u8::from(is_up));
    }
    to.gauge("saslgate_backend_idle_connections", "Connections that wait for a session.");
    for (backend, name) in backends() {
        to.level(&[("backend", name)], backend.pool.idle());
    }
    to.counter(
        "saslgate_backend_connections",
        "Connections to backends, made for a session and taken over by one.",
    );
    for (backend, name) in backends() {
        let counts = &backend.counts;
        to.count(&[("backend", name), ("how", "opened")], counts.opened.get());
        to.count(&[("backend", name), ("how", "reused")], counts.reused.get());
    }
    to.counter("saslgate_backend_failures", "Times that a backend failed a session.");
    for (backend, name) in backends() {
        to.count(&[("backend", name)], backend.counts.failed.get());
    }
    to.histogram("saslgate_backend_latency_seconds", "How long backends take for each step.");
    for (backend, name) in backends() {
        for (step, histogram) in backend.counts.latencies() {
            to.times(&[("backend", name), ("step", step)], histogram);
        }
    }
}
