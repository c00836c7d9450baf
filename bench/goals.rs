//! What was to be reached, and what was, as a table at the end.

use crate::table;

/// What was to be reached, and what was.
pub(crate) struct Goals(Vec<[String; 4]>);

impl Goals {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// `found` should be `goal` or more.
    pub(crate) fn at_least(&mut self, what: &str, goal: f64, found: f64) {
        self.add(what, format!(">= {goal:.2}"), found, found >= goal);
    }

    /// `found` should be `goal` or less.
    pub(crate) fn at_most(&mut self, what: &str, goal: f64, found: f64) {
        self.add(what, format!("<= {goal:.2}"), found, found <= goal);
    }

    fn add(&mut self, what: &str, goal: String, found: f64, is_reached: bool) {
        let word = if is_reached { "reached" } else { "MISSED" };
        self.0.push([what.to_owned(), goal, format!("{found:.2}"), word.to_owned()]);
    }

    /// Prints all of it as a table.
    pub(crate) fn print(self) {
        let mut table = table::new("goals", &["", "to reach", "measured", ""]);
        table.add_rows(self.0);
        println!("{table}");
    }
}
