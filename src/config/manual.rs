//! The table of keys as text: annotated example, manual, explanation of one key.
//!
//! Nothing is written here that the table says. `packaging/saslgate.toml` and
//! `docs/configuration.md` are [`example`] and [`markdown`] of the present
//! table, which a test compares. Called by `saslgate config`.

use super::keys::{self, Form, Key, Section};
use super::nearest::nearest;

/// Longest line of the example and of an explanation.
const WIDTH: usize = 79;

/// The annotated example: TOML in which every key stands at its default,
/// commented out by a `#` without a blank. Without these `#` it means the same.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(EXAMPLE_HEAD);
    for section in keys::SECTIONS {
        text.push('\n');
        text.push_str(&comment(section.text));
        match &section.form {
            Form::Once => {
                text.push_str(&format!("{}\n", section.header()));
                for key in section.keys {
                    text.push_str(&format!("\n{}{}", annotation(key), default_lines(key)));
                }
            }
            Form::Repeated(repeated) => {
                text.push_str(&repeated_example(section, repeated.defaults));
            }
        }
    }
    text
}

const EXAMPLE_HEAD: &str = "\
# /etc/saslgate/saslgate.toml: every setting, at its default.
#
# A setting is a line with a # and no blank behind it: remove the # and change
# the value. What stays as it is follows the defaults of the next version.
# `saslgate check` looks for mistakes, `saslgate config KEY` explains one key.
# Changes count when the service is reloaded or restarted.
";

/// An entry needs its own header, so all of it is commented out.
fn repeated_example(section: &Section, entries: &[&str]) -> String {
    let mut text = String::new();
    for key in section.keys {
        text.push_str("#\n");
        text.push_str(&comment(&format!("{}: {}", key.name, key.text)));
        text.push_str(&comment(&sentence(&key.kind.expected())));
    }
    for entry in entries {
        text.push_str(&format!("#{}\n", section.header()));
        for key in section.keys.iter().filter(|key| key.default.is_some()) {
            text.push_str(&default_lines(key));
        }
        for line in entry.lines() {
            text.push_str(&format!("#{line}\n"));
        }
    }
    text
}

fn annotation(key: &Key) -> String {
    format!("{}{}", comment(key.text), comment(&sentence(&key.kind.expected())))
}

/// `#name = default`, a long list over several lines.
fn default_lines(key: &Key) -> String {
    let setting = format!("{} = {}", key.name, key.default.unwrap_or("\"\""));
    wrapped(&setting, WIDTH - 1).into_iter().map(|line| format!("#{line}\n")).collect()
}

fn comment(text: &str) -> String {
    wrapped(text, WIDTH - 2).into_iter().map(|line| format!("# {line}\n")).collect()
}

/// The manual page of all keys in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(MARKDOWN_HEAD);
    for section in keys::SECTIONS {
        text.push_str(&format!("\n## `{}`\n\n{}\n", section.header(), section.text));
        for key in section.keys {
            let default = key.default.map_or_else(
                || "must be given".to_owned(),
                |default| format!("default `{default}`"),
            );
            text.push_str(&format!("\n### `{}.{}`\n\n", section.name, key.name));
            text.push_str(&format!("{}; {default}\n\n", capital(&key.kind.expected())));
            text.push_str(&format!("{}\n", key.text));
        }
        if let Form::Repeated(repeated) = &section.form {
            text.push_str(&default_entries(section, repeated.defaults));
        }
    }
    text
}

const MARKDOWN_HEAD: &str = "\
# Configuration

saslgate reads `/etc/saslgate/saslgate.toml` (`--config` names another file), which is
[TOML](https://toml.io). Every key has a default, an empty file is a working one, and a
file with a mistake is refused as a whole: `saslgate check` shows every mistake with its
place. `saslgate config` prints this as an annotated file, `saslgate config KEY` explains
one key and says what is in force.

A duration is a whole number and a unit: `\"500ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`. A size is one
with `B`, `KiB`, `MiB` or `GiB`, or a plain number of bytes.
";

fn default_entries(section: &Section, entries: &[&str]) -> String {
    let entries: Vec<&str> = entries.iter().copied().filter(|entry| !entry.is_empty()).collect();
    if entries.is_empty() {
        return String::new();
    }
    let header = section.header();
    let entries: Vec<String> = entries.iter().map(|entry| format!("{header}\n{entry}\n")).collect();
    format!("\nWithout any:\n\n```toml\n{}```\n", entries.join("\n"))
}

/// What a name given to `saslgate config` stands for.
pub enum Topic {
    /// A key: `gate.max_message`.
    Key(&'static Section, &'static Key),
    /// A section: `gate`.
    Section(&'static Section),
}

/// Finds the key or section of that name.
///
/// # Errors
/// The nearest full name, if one is near: a slip of the finger, or a key
/// without its section.
pub fn topic(name: &str) -> Result<Topic, Option<String>> {
    if let Some((section, key)) = keys::find(name) {
        return Ok(Topic::Key(section, key));
    }
    if let Some(section) = keys::section(name.trim_matches(['[', ']'])) {
        return Ok(Topic::Section(section));
    }
    let full = |(section, key): (&Section, &Key)| format!("{}.{}", section.name, key.name);
    let last = name.rsplit('.').next().unwrap_or(name);
    let names: Vec<String> = keys::all().map(full).collect();
    let sections = keys::SECTIONS.iter().map(|section| section.name);
    if let Some(near) = nearest(name, names.iter().map(String::as_str).chain(sections)) {
        return Err(Some(near.to_owned()));
    }
    let near = nearest(last, keys::all().map(|(_, key)| key.name));
    Err(near.and_then(|near| keys::all().find(|(_, key)| key.name == near).map(full)))
}

/// A key in words: what it holds, its default, what it does.
#[must_use]
pub fn explain(key: &Key) -> String {
    let default = key.default.unwrap_or("none, it must be given");
    let mut text = hanging("holds", &key.kind.expected());
    text.push_str(&hanging("default", default));
    text.push('\n');
    for line in wrapped(key.text, WIDTH - INDENT.len()) {
        text.push_str(&format!("{INDENT}{line}\n"));
    }
    text
}

/// A section in words, with its keys and their defaults.
#[must_use]
pub fn explain_section(section: &Section) -> String {
    let mut text = format!("{}\n", section.header());
    for line in wrapped(section.text, WIDTH - INDENT.len()) {
        text.push_str(&format!("{INDENT}{line}\n"));
    }
    text.push('\n');
    for key in section.keys {
        let default = key.default.map_or_else(String::new, |default| format!(" = {default}"));
        text.push_str(&format!("{INDENT}{}{default}\n", key.name));
    }
    text
}

const INDENT: &str = "  ";

/// A word and, in a column of its own, a text over as many lines as it takes.
fn hanging(word: &str, text: &str) -> String {
    let column = INDENT.len() + "in force  ".len();
    let lines = wrapped(text, WIDTH - column);
    let first = format!("{INDENT}{word:<width$}", width = column - INDENT.len());
    lines
        .iter()
        .enumerate()
        .map(|(index, line)| match index {
            0 => format!("{first}{line}\n"),
            _ => format!("{:column$}{line}\n", ""),
        })
        .collect()
}

/// `text` in lines of at most `width` characters, broken at blanks; a word that
/// is longer has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

fn sentence(text: &str) -> String {
    format!("{}.", capital(text))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", chars.as_str())
}
