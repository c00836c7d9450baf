//! Rounds: daemons are asked in turns, and what comes of it is a median.

use std::time::Duration;

use comfy_table::Table;

use crate::daemons::Daemon;
use crate::knocking::{self, Figures, Group};
use crate::table;

/// Rounds of each comparison.
const ROUNDS: usize = 5;

/// One round of one daemon.
pub(crate) struct Round {
    groups: Vec<Figures>,
    /// Processor time of the daemon for one request.
    cpu: Duration,
}

/// All rounds of one daemon.
pub(crate) struct Run(Vec<Round>);

impl Run {
    /// Logins a second of the first group.
    pub(crate) const RATE: fn(&Round) -> f64 = |round| round.groups[0].rate;
    /// What 99 of 100 logins of the first group took at most.
    pub(crate) const P99: fn(&Round) -> f64 = |round| round.groups[0].p99.as_secs_f64();
    /// Processor time of one request.
    pub(crate) const CPU: fn(&Round) -> f64 = |round| round.cpu.as_secs_f64();

    /// Logins a second of a group.
    pub(crate) fn rate(&self, group: usize) -> f64 {
        median(self.0.iter().map(|round| round.groups[group].rate).collect())
    }

    fn p99(&self, group: usize) -> Duration {
        let times = self.0.iter().map(|round| round.groups[group].p99.as_secs_f64());
        Duration::from_secs_f64(median(times.collect()))
    }

    fn cpu(&self) -> Duration {
        Duration::from_secs_f64(median(self.0.iter().map(Self::CPU).collect()))
    }

    fn failed(&self, group: usize) -> usize {
        self.0.iter().map(|round| round.groups[group].failed).sum()
    }
}

/// Has each daemon asked by its groups of clients for `time`, in turns.
pub(crate) fn alternate(daemons: &[(&Daemon, &[Group])], time: Duration) -> Vec<Run> {
    let mut runs: Vec<Run> = daemons.iter().map(|_| Run(Vec::new())).collect();
    for _ in 0..ROUNDS {
        for ((daemon, groups), run) in daemons.iter().zip(&mut runs) {
            let before = daemon.usage().cpu;
            let groups = knocking::run(&daemon.socket, groups, time);
            let used = daemon.usage().cpu.saturating_sub(before);
            let requests: usize = groups.iter().map(|figures| figures.all).sum();
            let cpu = used.div_f64((requests as f64).max(1.0));
            run.0.push(Round { groups, cpu });
        }
    }
    runs
}

/// The median of `of`, ours over theirs, round by round.
pub(crate) fn ratio(ours: &Run, theirs: &Run, of: fn(&Round) -> f64) -> f64 {
    let pairs = ours.0.iter().zip(&theirs.0);
    median(pairs.map(|(ours, theirs)| of(ours) / of(theirs)).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A table of comparisons.
pub(crate) fn table(title: &str) -> Table {
    let columns = [
        "",
        "saslgate/s",
        "Cyrus/s",
        "ratio",
        "p99 ms",
        "Cyrus p99",
        "ratio",
        "CPU us",
        "Cyrus CPU",
    ];
    table::new(title, &columns)
}

/// Adds the comparison of a group of clients; without `theirs` only the first figures.
pub(crate) fn row(table: &mut Table, what: &str, group: usize, ours: &Run, theirs: Option<&Run>) {
    let rate = |run: &Run| match run.failed(group) {
        0 => table::rate(run.rate(group)),
        failed => format!("{} ({failed} failed)", table::rate(run.rate(group))),
    };
    let micros = |run: &Run| format!("{:.1}", run.cpu().as_secs_f64() * 1e6);
    let their = |text: &dyn Fn(&Run) -> String| theirs.map(text).unwrap_or_default();
    table.add_row([
        what.to_owned(),
        rate(ours),
        their(&rate),
        their(&|run| ratio_of(ours.rate(group), run.rate(group))),
        table::ms(ours.p99(group)),
        their(&|run| table::ms(run.p99(group))),
        their(&|run| ratio_of(ours.p99(group).as_secs_f64(), run.p99(group).as_secs_f64())),
        micros(ours),
        their(&micros),
    ]);
}

/// How many times as much; what is better is up to the column.
fn ratio_of(ours: f64, theirs: f64) -> String {
    if theirs == 0.0 { "-".to_owned() } else { format!("{:.2}x", ours / theirs) }
}
