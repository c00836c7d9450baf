//! What is wrong with a configuration, with line, column and caret.

use std::fmt;

/// Every problem found in one file. `Display` renders them all, each with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    rendered: Vec<String>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rendered.iter().try_for_each(|text| writeln!(f, "{text}"))
    }
}
