//! What the keys of `[metrics]` mean together.

use crate::config::problem::Problem;
use crate::config::reading::Reading;
use crate::server::metrics::Place;

/// Metrics are for who runs this host, unless that is said otherwise.
pub(super) fn metrics_stay_here(reading: &Reading) -> Vec<Problem> {
    let metrics = &reading.config.metrics;
    if metrics.is_remote_allowed || reading.is_refused(&["metrics.allow_remote"]) {
        return Vec::new();
    }
    let places = [("metrics.gate", &metrics.gate), ("metrics.authd", &metrics.authd)];
    let remote = places.into_iter().filter(|(_, place)| {
        matches!(place, Some(Place::Tcp(address)) if !address.ip().to_canonical().is_loopback())
    });
    let problems = remote.filter_map(|(path, _)| {
        let problem = Problem::error("others could read the metrics").about(path);
        let problem = problem.at(reading.site(path, 0)?, "not a loopback address");
        Some(problem.help("use 127.0.0.1 or [::1], or set `allow_remote = true` in [metrics]"))
    });
    problems.collect()
}
