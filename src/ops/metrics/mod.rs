//! Metrics: what is counted, and how Prometheus reads it.
//!
//! | module | what |
//! |---|---|
//! | [`values`] | counters, gauges, histograms that cost an atomic addition |
//! | [`gate`], [`authd`] | what each service counts; a `static` each, since a process has one log and one set of counts |
//! | [`exposition`] | the text |
//!
//! What has an outcome is counted where its line is written, in `ops::event`;
//! what has none (bytes, replies) where it happens. The HTTP endpoint is
//! `server::metrics`. Names of metrics are a contract, as those of log fields.

pub mod authd;
pub mod exposition;
pub mod gate;
pub mod values;

pub use exposition::Exposition;

/// What stands for every label value that is not worth a series of its own.
const OTHER: &str = "other";

/// The place of `word` among `words`; that of the last one if it is none of them.
fn place(words: &[&str], word: &str) -> usize {
    words.iter().position(|known| *known == word).unwrap_or(words.len() - 1)
}
