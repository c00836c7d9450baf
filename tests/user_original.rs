//! The table of cases against the distribution's own saslpasswd2 and
//! sasldblistusers2 (package sasl2-bin or cyrus-sasl), on databases of its own.
//!
//! What the table calls the original's behaviour must be that; where it says
//! that we differ, the original must, or the difference is gone and its entry
//! in the README with it.
#![cfg(test)]

mod support;

use std::process::Command;

use support::user_cases::{CASES, problems};

fn original(name: &str) -> Command {
    let path = ["/usr/sbin", "/usr/bin"]
        .iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| std::path::Path::new(path).exists())
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install sasl2-bin"));
    Command::new(path)
}

#[test]
fn the_original_does_what_the_table_says_of_it() {
    let mut wrong = Vec::new();
    for case in CASES {
        let problems = problems(case, original);
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
