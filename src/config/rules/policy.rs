//! What the keys of `[policy]` mean together.

use crate::config::problem::Problem;
use crate::config::reading::Reading;

/// Where everything is allowed, nothing needs to be; and somebody should be.
pub(super) fn somebody_may_send(reading: &Reading) -> Vec<Problem> {
    let allow = "policy.sender.allow";
    if reading.is_refused(&[allow, "policy.sender.map"]) {
        return Vec::new();
    }
    let sending = &reading.config.gate.sending;
    let sender = &sending.sender;
    if sender.any {
        let set = [
            ("policy.sender.map", sending.sender_map.is_some()),
            ("policy.sender.check_from", sender.check_from),
        ];
        let idle = set.into_iter().filter_map(|(path, is_set)| {
            let site = reading.site(path, 0).filter(|_| is_set)?;
            let problem = Problem::error(format!("`{path}` has no effect")).about(path);
            let problem = problem.at(site, "every sender is allowed as it is");
            Some(problem.help("set `allow = [\"own\"]` in [policy.sender], or remove this"))
        });
        return idle.collect();
    }
    let is_nobody = !sender.own && !sender.domain && sending.sender_map.is_none();
    let Some(site) = reading.site(allow, 0).filter(|_| is_nobody) else { return Vec::new() };
    let problem = Problem::error("nobody could send anything").about(allow);
    let help = "add \"own\", or name a `map`";
    vec![problem.at(site, "nothing is allowed, and there is no map").help(help)]
}

/// A hard limit at or below the soft one would refuse for good what is only too early.
pub(super) fn hard_is_beyond_soft(reading: &Reading) -> Vec<Problem> {
    let (limit, hard) = ("policy.rate.limit", "policy.rate.hard");
    let limits = reading.config.gate.sending.rate.limits.iter().enumerate();
    let problems = limits.filter_map(|(entry, it)| {
        it.hard.filter(|hard| *hard <= it.soft)?;
        let problem = Problem::error("a hard limit must be above the limit").about(hard);
        let problem = problem.at(reading.site(hard, entry)?, "not above it");
        Some(problem.and(reading.site(limit, entry)?, "the limit"))
    });
    problems.collect()
}
