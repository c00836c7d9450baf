//! Metrics as text: the exposition format of OpenMetrics 1.0, which Prometheus reads.
//!
//! ```text
//! # HELP saslgate_gate_messages Messages by what became of them.
//! # TYPE saslgate_gate_messages counter
//! saslgate_gate_messages_total{outcome="accepted"} 17
//! # EOF
//! ```
//!
//! A family is begun once and its samples follow it. Label values are escaped,
//! so that a name in a certificate is nothing but a name.

use std::fmt::{self, Display, Write};

use super::values::{BOUNDS_MICROS, Histogram};

/// What [`Exposition::finish`] gives is of this media type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A label and its value.
pub type Label<'a> = (&'a str, &'a str);

/// The text as it grows.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    family: &'static str,
}

impl Exposition {
    /// Begins a family of numbers that only grow. `name` has no `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) {
        self.begin(name, "counter", help);
    }

    /// Begins a family of numbers that go up and down.
    pub fn gauge(&mut self, name: &'static str, help: &str) {
        self.begin(name, "gauge", help);
    }

    /// Begins a family of histograms of seconds. `name` ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &str) {
        self.begin(name, "histogram", help);
    }

    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A counter of the family.
    pub fn count(&mut self, labels: &[Label<'_>], count: u64) {
        self.sample("_total", labels, None, count);
    }

    /// A gauge of the family.
    pub fn level(&mut self, labels: &[Label<'_>], level: impl Display) {
        self.sample("", labels, None, level);
    }

    /// A histogram of the family.
    pub fn times(&mut self, labels: &[Label<'_>], histogram: &Histogram) {
        let sums = histogram.cumulated();
        let bounds = BOUNDS_MICROS.iter().map(|micros| seconds(*micros));
        for (bound, sum) in bounds.chain(["+Inf".to_owned()]).zip(&sums) {
            self.sample("_bucket", labels, Some(("le", &bound)), sum);
        }
        self.sample("_count", labels, None, sums.last().copied().unwrap_or_default());
        self.sample("_sum", labels, None, histogram.sum().as_secs_f64());
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: &[Label<'_>],
        last: Option<Label<'_>>,
        value: impl Display,
    ) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        for (index, (name, value)) in labels.iter().copied().chain(last).enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{}\"", LabelValue(value));
        }
        if !labels.is_empty() || last.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The whole text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

/// Microseconds as seconds, a decimal number as OpenMetrics wants it: `0.0001`, `1.0`.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

struct LabelValue<'a>(&'a str);

impl Display for LabelValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_families_and_their_samples() {
        let mut text = Exposition::default();
        text.counter("x_things", "Things.");
        text.count(&[("kind", "a\"b\\c\nd"), ("n", "")], 3);
        text.gauge("x_level", "A level.");
        text.level(&[], -1);
        assert_eq!(
            text.finish(),
            "# HELP x_things Things.\n# TYPE x_things counter\n\
             x_things_total{kind=\"a\\\"b\\\\c\\nd\",n=\"\"} 3\n\
             # HELP x_level A level.\n# TYPE x_level gauge\nx_level -1\n# EOF\n"
        );
    }

    #[test]
    fn writes_a_histogram_with_every_bucket() {
        let histogram = Histogram::new();
        histogram.note(Duration::from_millis(2));
        let mut text = Exposition::default();
        text.histogram("x_seconds", "Times.");
        text.times(&[("what", "mail")], &histogram);
        let text = text.finish();
        assert!(text.contains("x_seconds_bucket{what=\"mail\",le=\"0.001\"} 0\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{what=\"mail\",le=\"0.0025\"} 1\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{what=\"mail\",le=\"1.0\"} 1\n"), "{text}");
        assert!(text.contains("x_seconds_bucket{what=\"mail\",le=\"+Inf\"} 1\n"), "{text}");
        assert!(text.contains("x_seconds_count{what=\"mail\"} 1\n"), "{text}");
        assert!(text.contains("x_seconds_sum{what=\"mail\"} 0.002\n"), "{text}");
    }
}
