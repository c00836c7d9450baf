//! What a process and those that came from it use.

use std::fs;
use std::time::Duration;

use nix::unistd::{Pid, SysconfVar, sysconf};

/// What they hold and have used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Time on a processor, in user and kernel mode.
    pub(crate) cpu: Duration,
    /// Memory, pages that several processes share counted once (PSS), in KiB.
    pub(crate) pss_kib: u64,
    /// Memory, as ps(1) adds it up, in KiB.
    pub(crate) rss_kib: u64,
    /// Processes.
    pub(crate) processes: usize,
}

impl Usage {
    /// What `pid` and its children use now.
    pub(crate) fn of(pid: Pid) -> Self {
        let mut usage = Self::default();
        for pid in family(pid.as_raw()) {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields: Vec<u64> = stat
                .rsplit_once(") ")
                .map(|(_, rest)| rest.split(' ').map(|word| word.parse().unwrap_or(0)).collect())
                .unwrap_or_default();
            // utime, stime, and those of children that have been waited for.
            let ticks: u64 = fields.get(11..15).unwrap_or_default().iter().sum();
            let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
            usage.cpu += Duration::from_secs_f64(ticks as f64 / hertz as f64);
            usage.pss_kib += sum(&format!("/proc/{pid}/smaps_rollup"), "Pss:");
            usage.rss_kib += sum(&format!("/proc/{pid}/status"), "VmRSS:");
            usage.processes += 1;
        }
        usage
    }
}

/// A process and all that come from it.
fn family(first: i32) -> Vec<i32> {
    let mut pids = vec![first];
    let mut next = 0;
    while let Some(pid) = pids.get(next).copied() {
        next += 1;
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    pids
}

/// The number behind `name`, in a file of the kernel's.
fn sum(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
