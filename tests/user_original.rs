//! The table of cases against the distribution's own saslpasswd2 and
//! sasldblistusers2 (package sasl2-bin or cyrus-sasl), on databases of its own.
//!
//! What the table calls the original's behaviour must be that; where it says
//! that we differ, the original must, or the difference is gone and its entry
//! in the README with it.
#![cfg(test)]

mod support;

use support::sasldb::cyrus;
use support::user_cases::{CASES, problems};

#[test]
fn the_original_does_what_the_table_says_of_it() {
    let mut wrong = Vec::new();
    for case in CASES {
        let problems = problems(case, cyrus);
        match (case.differs, problems.is_empty()) {
            (None, false) => wrong.push(format!("{}: {}", case.name, problems.join("; "))),
            (Some(why), true) => {
                wrong.push(format!("{}: does as ours does, though \"{why}\"", case.name));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
