//! `saslgate check --access`: which keys of the access map were tried, and which line decided.

use std::process::ExitCode;

use serde::Serialize;

use super::exit;
use super::output::{show, show_json};
use super::table::{plain_table, rendered};
use crate::config::Config;
use crate::daemon::access::{self, Loaded};
use crate::policy::access::{Answer, Step, explain};

/// Explains `given`, an address or a key, by the files that `config` names.
pub(super) fn run(given: &str, config: &Config, is_json: bool) -> ExitCode {
    let Loaded { site, problems } = match access::load(&config.access, &config.gate.hostname) {
        Ok(loaded) => loaded,
        Err(error) => return failed(&error.to_string(), exit::NO_INPUT),
    };
    let answers = match explain(&site, given) {
        Ok(answers) => answers,
        Err(error) => return failed(&error, exit::USAGE),
    };
    let map = config.access.map.as_ref().map(|path| path.display().to_string());
    if is_json {
        let answers: Vec<Record<'_>> =
            answers.iter().map(|answer| Record::of(answer, map.as_deref())).collect();
        show_json(&answers);
        return ExitCode::SUCCESS;
    }
    let head = match &map {
        Some(map) if problems.is_empty() => format!("{map}: {} keys\n", site.map.len()),
        Some(map) => format!(
            "{map}: {} keys; something is wrong with {} lines, see `saslgate check`\n",
            site.map.len(),
            problems.len()
        ),
        None => "no map: policy.access.map is not set\n".to_owned(),
    };
    let parts: Vec<String> = answers.iter().map(|answer| text(answer, map.as_deref())).collect();
    show(&format!("{head}\n{}", parts.join("\n")));
    ExitCode::SUCCESS
}

fn failed(why: &str, code: u8) -> ExitCode {
    eprintln!("saslgate: {why}");
    ExitCode::from(code)
}

/// One question with its keys below it, and what came of it.
fn text(answer: &Answer, map: Option<&str>) -> String {
    let mut table = plain_table();
    for step in &answer.steps {
        let (line, value) = found(step);
        table.add_row([format!("  {}", step.key), line, value]);
    }
    let keys = if answer.steps.is_empty() { String::new() } else { rendered(table) };
    let place = match (map, answer.line) {
        (Some(map), Some(line)) => format!(" ({map}:{line})"),
        _ => String::new(),
    };
    format!("{}?\n{keys}  => {}{place}\n", capital(answer.question), answer.outcome)
}

fn found(step: &Step) -> (String, String) {
    match &step.found {
        Some((line, value)) => (format!("line {line}"), value.to_string()),
        None => ("-".to_owned(), String::new()),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// An answer as JSON. The names are a contract.
#[derive(Serialize)]
struct Record<'a> {
    question: &'a str,
    tried: Vec<Tried<'a>>,
    outcome: &'a str,
    /// The map, and the line of it that decided; null where none did.
    file: Option<&'a str>,
    line: Option<u32>,
}

#[derive(Serialize)]
struct Tried<'a> {
    key: &'a str,
    line: Option<u32>,
    value: Option<&'a str>,
}

impl<'a> Record<'a> {
    fn of(answer: &'a Answer, file: Option<&'a str>) -> Self {
        let tried = answer.steps.iter().map(|step| Tried {
            key: &step.key,
            line: step.found.as_ref().map(|(line, _)| *line),
            value: step.found.as_ref().map(|(_, value)| &**value),
        });
        Self {
            question: answer.question,
            tried: tried.collect(),
            outcome: &answer.outcome,
            file,
            line: answer.line,
        }
    }
}
