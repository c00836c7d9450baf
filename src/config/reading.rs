//! What a reading of the file gives: a configuration, where its keys stand, what is wrong.
//!
//! Filled by `reader`, judged as a whole by `rules`, kept by [`super::Inspected`].

use std::ops::Range;

use super::Config;
use super::problem::Problem;

/// Where a key stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Full name: `gate.listener.address`.
    pub(super) path: String,
    /// Which entry of a repeated section, from 0 on; 0 elsewhere.
    pub(super) entry: usize,
    /// Its value.
    pub(super) value: Range<usize>,
    /// False if the value was refused.
    pub(super) is_good: bool,
}

/// What a reading gives.
pub(super) struct Reading {
    /// The configuration; where something is wrong, with defaults in its place.
    pub(super) config: Config,
    /// Every key that the file sets.
    pub(super) sites: Vec<Site>,
    /// What is wrong, in no order.
    pub(super) problems: Vec<Problem>,
}

impl Reading {
    /// The place of a key's value in the file, if the file sets it and the value is good.
    pub(super) fn site(&self, path: &str, entry: usize) -> Option<Range<usize>> {
        let site = self.sites.iter().find(|site| site.path == path && site.entry == entry)?;
        site.is_good.then(|| site.value.clone())
    }

    /// True if the value of one of those keys was refused.
    pub(super) fn is_refused(&self, paths: &[&str]) -> bool {
        self.sites.iter().any(|site| !site.is_good && paths.contains(&site.path.as_str()))
    }
}
