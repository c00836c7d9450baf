//! `saslgate config`: every setting with its default and meaning, or one explained.
//!
//! The texts are `config::manual`'s; this adds what is in force. A file with
//! problems does not keep anybody from reading the manual.

use std::process::ExitCode;

use serde::Serialize;

use super::output::{show, show_json};
use super::{ConfigSource, exit};
use crate::config::keys::{self, Key, Section};
use crate::config::manual::{self, Topic};
use crate::config::{self, Inspected};
use crate::sys;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A key (gate.max_message) or a section (gate) to explain; without one,
    /// an annotated file with every key at its default is printed.
    key: Option<String>,
    /// Print as JSON, with the values in force.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print docs/configuration.md.
    #[arg(long, hide = true, conflicts_with = "key")]
    markdown: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, config: &ConfigSource) -> ExitCode {
    if args.markdown {
        show(&manual::markdown());
        return ExitCode::SUCCESS;
    }
    let Some(name) = &args.key else {
        match args.json {
            true => show_json(&describe_all(keys::all(), &InForce::of(config))),
            false => show(&manual::example()),
        }
        return ExitCode::SUCCESS;
    };
    match manual::topic(name) {
        Ok(topic) => explain(&topic, args, &InForce::of(config)),
        Err(near) => {
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`saslgate config` shows them all".to_owned(),
            };
            eprintln!("saslgate config: there is no key or section `{name}`; {hint}");
            return ExitCode::from(exit::USAGE);
        }
    }
    ExitCode::SUCCESS
}

fn explain(topic: &Topic, args: &Args, in_force: &InForce) {
    match (topic, args.json) {
        (Topic::Section(section), false) => show(&manual::explain_section(section)),
        (Topic::Section(section), true) => {
            let keys = section.keys.iter().map(|key| (*section, key));
            show_json(&describe_all(keys, in_force));
        }
        (Topic::Key(section, key), true) => show_json(&in_force.describe(section, key)),
        (Topic::Key(section, key), false) => {
            let mut text = format!("{}.{}\n", section.name, key.name);
            for line in in_force.lines(section, key) {
                text.push_str(&format!("  in force  {line}\n"));
            }
            text.push_str(&manual::explain(key));
            show(&text);
        }
    }
}

/// What the configuration file sets, as far as it can be told.
enum InForce {
    /// No file: every key has its default.
    Defaults,
    /// What this file sets.
    File(Box<Inspected>, String),
    /// The file has problems, or cannot be read.
    Unknown(String),
}

/// A key as other programs read it. Values and defaults are TOML.
#[derive(Debug, Serialize)]
struct Described {
    key: String,
    kind: &'static str,
    expected: String,
    default: Option<&'static str>,
    /// Null where the file sets nothing, or cannot be read; one for each entry.
    values: Option<Vec<String>>,
    text: &'static str,
}

impl InForce {
    fn of(config: &ConfigSource) -> Self {
        let path = config.path();
        if config.is_absent() {
            return Self::Defaults;
        }
        let shown = path.display().to_string();
        match config::inspect(path, &sys::host::fqdn()) {
            Ok(file) => Self::File(Box::new(file), shown),
            Err(_) => Self::Unknown(shown),
        }
    }

    /// What is in force and why, a line for each entry.
    fn lines(&self, section: &Section, key: &Key) -> Vec<String> {
        let path = format!("{}.{}", section.name, key.name);
        match self {
            Self::Unknown(file) => {
                vec![format!("unknown: {file} has problems, which `saslgate check` shows")]
            }
            Self::File(file, name) if !file.settings(&path).is_empty() => file
                .settings(&path)
                .iter()
                .map(|setting| {
                    let value = setting.value.replace('\n', "\n            ");
                    format!("{name}:{}: {value}", setting.line)
                })
                .collect(),
            _ => key.default.map(|_| "the default".to_owned()).into_iter().collect(),
        }
    }

    fn describe(&self, section: &Section, key: &'static Key) -> Described {
        let path = format!("{}.{}", section.name, key.name);
        let values: Option<Vec<String>> = match self {
            Self::File(file, _) => {
                Some(file.settings(&path).iter().map(|setting| setting.value.to_owned()).collect())
            }
            _ => None,
        };
        Described {
            key: path,
            kind: key.kind.name(),
            expected: key.kind.expected(),
            default: key.default,
            values: values.filter(|values| !values.is_empty()),
            text: key.text,
        }
    }
}

fn describe_all(
    keys: impl Iterator<Item = (&'static Section, &'static Key)>,
    in_force: &InForce,
) -> Vec<Described> {
    keys.map(|(section, key)| in_force.describe(section, key)).collect()
}
