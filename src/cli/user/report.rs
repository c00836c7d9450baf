//! What an import says: progress while it runs, and at the end what was done
//! and what was left out.
//!
//! Progress goes to standard error and only to a terminal. Users who were left
//! out are named on standard error, the first of them; with `--json` all of them
//! on standard output, a line each, and the summary in the last line.

use std::io::{self, IsTerminal};
use std::time::Instant;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::backend::store::import::{Mode, Outcome};
use crate::base::Printable;
use crate::cli::output::print;

/// For whom the report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A person.
    Text,
    /// A program.
    Json,
}

/// What there is to know of a source.
pub(super) struct Source {
    /// What its records are counted in: `line`, `record`.
    pub(super) place: &'static str,
    /// Bytes, or records of a sasldb2; `None` if nobody knows.
    pub(super) size: Option<u64>,
}

/// What was done so far.
pub(super) struct Report {
    style: Style,
    mode: Mode,
    place: &'static str,
    bar: ProgressBar,
    begun: Instant,
    summary: Summary,
}

/// Users by what became of them. The names are a contract.
#[derive(Default, Serialize)]
struct Summary {
    added: u64,
    replaced: u64,
    unchanged: u64,
    skipped: u64,
    dry_run: bool,
    complete: bool,
}

#[derive(Serialize)]
struct Skipped<'a> {
    skipped: &'a str,
    place: u64,
    reason: &'a str,
}

impl Report {
    pub(super) fn new(style: Style, mode: Mode, source: &Source) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(source.size, target);
        let template = match source.size {
            // The bar comes last and takes what is left: on a narrow terminal nothing.
            Some(_) => "{percent:>3} % {msg} {wide_bar}",
            None => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=>."));
        }
        let summary = Summary { dry_run: mode.dry_run, ..Summary::default() };
        Self { style, mode, place: source.place, bar, begun: Instant::now(), summary }
    }

    /// Counts a user who was not left out.
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Added => self.summary.added += 1,
            Outcome::Replaced => self.summary.replaced += 1,
            Outcome::Unchanged => self.summary.unchanged += 1,
            Outcome::Exists => self.summary.skipped += 1,
        }
    }

    /// Says who was left out, and why.
    pub(super) fn skip(&mut self, place: u64, name: &str, reason: &str) -> io::Result<()> {
        self.summary.skipped += 1;
        if self.style == Style::Json {
            let line = Skipped { skipped: name, place, reason };
            return print(&format!("{}\n", serde_json::to_string(&line)?));
        }
        if self.summary.skipped <= SHOWN {
            let (unit, who) = (self.place, Printable::from(name));
            let line = match name {
                "" => format!("{unit} {place}: {reason}"),
                _ => format!("{unit} {place}: {who}: {reason}"),
            };
            self.bar.suspend(|| eprintln!("{line}"));
        }
        Ok(())
    }

    /// Shows how far the source was read.
    pub(super) fn progress(&mut self, position: u64) {
        self.bar.set_position(position);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let users = self.summary.users();
        #[allow(clippy::cast_precision_loss, reason = "a rate, shown to a person")]
        let rate = users as f64 / seconds;
        // Before the first batch there is nothing to reckon from.
        let left = match self.bar.length() {
            Some(_) if users > 0 => format!(", {:#} left", HumanDuration(self.bar.eta())),
            _ => String::new(),
        };
        self.bar.set_message(format!("{users} users, {rate:.0}/s{left}"));
    }

    /// Says what was done. `is_complete` is false if the source broke off.
    pub(super) fn finish(mut self, is_complete: bool) -> io::Result<()> {
        self.bar.finish_and_clear();
        self.summary.complete = is_complete;
        if self.style == Style::Json {
            return print(&format!("{}\n", serde_json::to_string(&self.summary)?));
        }
        if self.summary.skipped > SHOWN {
            let more = self.summary.skipped - SHOWN;
            eprintln!("... and {more} more were skipped; --json names all of them");
        }
        print(&self.summary.text(self.mode))
    }
}

impl Summary {
    fn users(&self) -> u64 {
        self.added + self.replaced + self.unchanged + self.skipped
    }

    fn text(&self, mode: Mode) -> String {
        let would = if mode.dry_run { " (dry run: nothing was written)" } else { "" };
        let Self { added, replaced, unchanged, skipped, .. } = self;
        format!(
            "{added} added, {replaced} replaced, {unchanged} unchanged, {skipped} skipped{would}\n"
        )
    }
}

/// Users that are named on a terminal; more would hide the rest.
const SHOWN: u64 = 50;
