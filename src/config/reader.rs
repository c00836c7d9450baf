//! From the text of a file to a [`Config`], noting everything that is wrong.
//!
//! Walks the parsed file along the table of keys. Nothing stops at the first
//! problem: what is wrong is noted and left at its default, and the walk goes
//! on. Called by `load`; calls `kind` for each value and `rules` at the end.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Form, Key, Repeated, Section};
use super::kind::{Fault, FaultClass, describe};
use super::nearest::nearest;
use super::problem::Problem;
use super::reading::{Reading, Site};
use super::{Config, rules};

/// Reads `source` for a host called `fqdn`.
pub(super) fn read(source: &str, fqdn: &str) -> Reading {
    let (document, syntax) = DeTable::parse_recoverable(source);
    let config = Config::with_defaults(fqdn);
    let mut reading = Reading { config, sites: Vec::new(), problems: Vec::new() };
    reading.root(document.get_ref());
    if syntax.is_empty() {
        rules::check(&mut reading);
    } else {
        reading.add_syntax(source, &syntax);
    }
    reading
}

/// Puts every default into `config`, which holds blanks.
pub(super) fn apply_defaults(config: &mut Config) {
    for section in keys::SECTIONS {
        match &section.form {
            Form::Once => section.keys.iter().for_each(|key| apply_default(key, config)),
            Form::Repeated(repeated) => {
                for entry in repeated.defaults {
                    (repeated.begin)(config);
                    section.keys.iter().for_each(|key| apply_default(key, config));
                    apply_entry(section, entry, config);
                }
            }
        }
    }
    rules::settle(config);
}

/// That a default of the table is valid TOML of its kind is kept by a test.
fn apply_default(key: &Key, config: &mut Config) {
    if let Some(Ok(value)) = key.default.map(DeValue::parse) {
        let _ = key.kind.apply(value.get_ref(), config);
    }
}

fn apply_entry(section: &Section, entry: &str, config: &mut Config) {
    let Ok(table) = DeTable::parse(entry) else { return };
    for (name, value) in table.get_ref() {
        if let Some(key) = section.key(name.get_ref()) {
            let _ = key.kind.apply(value.get_ref(), config);
        }
    }
}

impl Reading {
    fn root(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            match keys::section(text) {
                Some(section) => self.section(section, value),
                None if is_section(value.get_ref()) => {
                    self.problems.push(unknown_section(text, name.span()));
                }
                None => self.problems.push(homeless(text, name.span())),
            }
        }
    }

    fn section(&mut self, section: &'static Section, value: &Spanned<DeValue<'_>>) {
        match (&section.form, value.get_ref()) {
            (Form::Once, DeValue::Table(table)) => self.table(section, 0, table),
            (Form::Repeated(repeated), DeValue::Array(entries)) if !entries.is_empty() => {
                self.entries(section, repeated, entries);
            }
            (_, other) => self.problems.push(wrong_form(section, value.span(), other)),
        }
    }

    fn entries(
        &mut self,
        section: &'static Section,
        repeated: &Repeated,
        entries: &[Spanned<DeValue<'_>>],
    ) {
        (repeated.clear)(&mut self.config);
        for (index, entry) in entries.iter().enumerate() {
            (repeated.begin)(&mut self.config);
            section.keys.iter().for_each(|key| apply_default(key, &mut self.config));
            let DeValue::Table(table) = entry.get_ref() else {
                self.problems.push(wrong_form(section, entry.span(), entry.get_ref()));
                continue;
            };
            if index >= repeated.most {
                self.problems.push(too_many(section, repeated, entry.span()));
            }
            self.table(section, index, table);
            self.missing(section, table, entry.span());
        }
    }

    fn missing(&mut self, section: &Section, table: &DeTable<'_>, header: Range<usize>) {
        let required = section.keys.iter().filter(|key| key.default.is_none());
        for key in required.filter(|key| !table.contains_key(key.name)) {
            self.problems.push(
                Problem::error(format!("{} lacks `{}`", section.header(), key.name))
                    .about(format!("{}.{}", section.name, key.name))
                    .at(header.clone(), format!("expected {}", key.kind.expected()))
                    .help(format!("add a line `{} = ...` to it", key.name)),
            );
        }
    }

    fn table(&mut self, section: &'static Section, entry: usize, table: &DeTable<'_>) {
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            let path = format!("{}.{text}", section.name);
            let below = keys::section(&path);
            // `tls.certificate` is a key, and `[[tls.certificate]]` a section.
            let key = section.key(text).filter(|_| below.is_none() || !is_section(value.get_ref()));
            if let Some(key) = key {
                self.value(key, path, entry, value);
            } else if let Some(below) = below {
                self.section(below, value);
            } else if is_section(value.get_ref()) {
                self.problems.push(unknown_section(&path, name.span()));
            } else {
                self.problems.push(unknown_key(section, text, name.span()));
            }
        }
    }

    fn value(&mut self, key: &Key, path: String, entry: usize, value: &Spanned<DeValue<'_>>) {
        let faults = key.kind.apply(value.get_ref(), &mut self.config);
        let is_good = faults.is_empty();
        self.problems.extend(faults.into_iter().map(|fault| refused(&path, value, fault)));
        self.sites.push(Site { path, entry, value: value.span(), is_good });
    }

    /// Adds what is no TOML, the first of each line. A line that could not be
    /// parsed has no meaning either, so other problems on such a line are dropped.
    fn add_syntax(&mut self, source: &str, errors: &[toml::de::Error]) {
        let line_of = |position: usize| {
            source.as_bytes().iter().take(position).filter(|byte| **byte == b'\n').count()
        };
        let mut broken: BTreeMap<usize, Problem> = BTreeMap::new();
        let causes = causes(errors);
        for error in causes {
            let span = error.span().unwrap_or_default();
            let line = line_of(span.start);
            broken.entry(line).or_insert_with(|| self.syntax(source, error, span));
        }
        // What stands in a list that is never closed means nothing.
        let is_cut = causes.len() < errors.len();
        let cut = causes.last().filter(|_| is_cut).and_then(toml::de::Error::span);
        self.problems.retain(|problem| {
            let start = problem.place.as_ref().map_or(0, |place| place.span.start);
            let is_behind = cut.as_ref().is_some_and(|cut| start >= cut.start);
            !is_behind && !broken.contains_key(&line_of(start))
        });
        self.problems.extend(broken.into_values());
    }

    fn syntax(&self, source: &str, error: &toml::de::Error, span: Range<usize>) -> Problem {
        if error.message() != "duplicate key" {
            return no_toml(error.message(), span);
        }
        let name = source.get(span.clone()).unwrap_or_default();
        let first = self
            .sites
            .iter()
            .filter(|site| {
                site.value.end <= span.start && site.path.rsplit('.').next() == Some(name)
            })
            .max_by_key(|site| site.value.start);
        let problem = Problem::error(format!("`{name}` stands here a second time"))
            .at(span, "only one is possible")
            .help("remove one of the two");
        match first {
            Some(first) => problem.about(&first.path).and(first.value.clone(), "the first one"),
            None => problem,
        }
    }
}

/// The errors up to the first one in a list, where a list is never closed: it
/// makes an error of everything behind it. Else all of them.
fn causes(errors: &[toml::de::Error]) -> &[toml::de::Error] {
    let is_unclosed = |error: &toml::de::Error| error.message().starts_with("unclosed array");
    let is_in_list = |error: &toml::de::Error| error.message().contains("array");
    match errors.iter().position(is_in_list) {
        Some(first) if errors.iter().any(is_unclosed) => &errors[..=first],
        _ => errors,
    }
}

/// How the parser begins to speak about a word without quotes, and about nothing at all.
const BARE_WORD: &str = "string values must be quoted";

/// The parser's words, and ours where a common mistake has odd ones.
fn no_toml(message: &str, span: Range<usize>) -> Problem {
    let problem = Problem::error("not valid TOML");
    if message.starts_with(BARE_WORD) && span.is_empty() {
        return problem.at(span, "the value is missing");
    }
    if message.starts_with(BARE_WORD) {
        return problem.at(span, "found a bare word").help("a text stands in quotes");
    }
    if message.starts_with("missing comma between array elements") {
        return problem
            .at(span, "found this inside of a list; expected `,` or `]`")
            .help("close the list above with `]`, or put a comma between its items");
    }
    if message.starts_with("key with no value") {
        return problem.at(span, message).help("a setting is written `name = value`");
    }
    problem.at(span, message)
}

fn is_section(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.iter().any(|item| item.get_ref().is_table()),
        _ => false,
    }
}

fn unknown_section(path: &str, span: Range<usize>) -> Problem {
    let help = nearest(path, keys::SECTIONS.iter().map(|section| section.name))
        .and_then(keys::section)
        .map_or_else(
            || {
                let headers: Vec<String> = keys::SECTIONS.iter().map(Section::header).collect();
                format!("the sections are {}", headers.join(", "))
            },
            |section| format!("did you mean {}?", section.header()),
        );
    Problem::error(format!("unknown section `{path}`"))
        .about(path)
        .at(span, "no such section")
        .help(help)
}

fn homeless(name: &str, span: Range<usize>) -> Problem {
    Problem::error(format!("`{name}` stands outside of every section"))
        .about(name)
        .at(span, "found in front of the first section")
        .help(home_of(name).unwrap_or_else(|| "every key is in a section".to_owned()))
}

fn refused(path: &str, value: &Spanned<DeValue<'_>>, fault: Fault) -> Problem {
    let title = match fault.class {
        FaultClass::Type => format!("wrong type for `{path}`"),
        FaultClass::Form => format!("bad value for `{path}`"),
        FaultClass::Range => format!("value of `{path}` is out of range"),
    };
    let span = fault.item.and_then(|item| value.get_ref().get(item)).unwrap_or(value).span();
    let problem = Problem::error(title).about(path).at(span, fault.label);
    Problem { help: fault.help, ..problem }
}

fn wrong_form(section: &Section, span: Range<usize>, found: &DeValue<'_>) -> Problem {
    let header = section.header();
    let help = match section.form {
        Form::Once => format!("write {header}, once"),
        Form::Repeated(_) => format!("write {header}, for every entry again"),
    };
    Problem::error(format!("`{}` is not written as a section", section.name))
        .about(section.name)
        .at(span, format!("found {}; expected {header}", describe(found)))
        .help(help)
}

fn too_many(section: &Section, repeated: &Repeated, span: Range<usize>) -> Problem {
    Problem::error(format!("too many {}", section.header()))
        .about(section.name)
        .at(span, format!("at most {} can be used", repeated.most))
        .help("remove this one")
}

fn unknown_key(section: &Section, name: &str, span: Range<usize>) -> Problem {
    let header = section.header();
    let problem = Problem::error(format!("unknown key `{name}` in {header}"))
        .about(format!("{}.{name}", section.name))
        .at(span, "no such key");
    let names = section.keys.iter().map(|key| key.name);
    let help = nearest(name, names)
        .map(|name| format!("did you mean `{name}`?"))
        .or_else(|| home_of(name))
        .unwrap_or_else(|| format!("`saslgate config {}` lists its keys", section.name));
    problem.help(help)
}

/// Where a key of that name, or nearly that name, would be right.
fn home_of(name: &str) -> Option<String> {
    let sections: Vec<String> = keys::all()
        .filter(|(_, key)| key.name == name)
        .map(|(section, _)| section.header())
        .collect();
    if !sections.is_empty() {
        return Some(format!("`{name}` belongs into {}", sections.join(" or ")));
    }
    let near = nearest(name, keys::all().map(|(_, key)| key.name))?;
    let (section, _) = keys::all().find(|(_, key)| key.name == near)?;
    Some(format!("did you mean `{near}` in {}?", section.header()))
}
