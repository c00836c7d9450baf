//! What a value looks like: reads one from the parsed file and hands it to its setter.
//!
//! A [`Kind`] is the type of a key together with the function that puts a
//! checked value into [`Config`], so a key that is read is a key that lands
//! somewhere. Called by `reader` for the file and for the defaults; `keys`
//! holds the instances.

use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::Config;
use super::forms::TextForm;
use super::nearest::nearest;
use super::units;

/// Type, bounds and destination of a value.
pub enum Kind {
    /// A whole number.
    Count {
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
        /// Puts the value in place.
        set: fn(&mut Config, u32),
    },
    /// A time, as `units` reads it.
    Time {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
        /// Puts the value in place.
        set: fn(&mut Config, Duration),
    },
    /// An amount of bytes, as `units` reads it, or a plain number of bytes.
    Size {
        /// Smallest in bytes.
        min: u64,
        /// Largest in bytes.
        max: u64,
        /// The value is a multiple of this many bytes; 1 for any.
        multiple: u64,
        /// Puts the value in place.
        set: fn(&mut Config, u64),
    },
    /// A text of a certain form.
    Text {
        /// How it must look.
        form: TextForm,
        /// Puts the value in place, or says what is wrong with it.
        set: fn(&mut Config, &str) -> Result<(), String>,
    },
    /// One word of several.
    Choice(&'static [Choice]),
    /// True or false.
    Flag {
        /// Puts the value in place.
        set: fn(&mut Config, bool),
    },
    /// Several different texts.
    List {
        /// Items at least: 0 where the list may be empty.
        least: usize,
        /// What every item must be, to be read behind "expected a list of".
        expected: &'static str,
        /// Words an item is chosen from; empty if any is possible that `check` lets pass.
        words: &'static [&'static str],
        /// Says what is wrong with an item.
        check: fn(&str) -> Result<(), String>,
        /// Puts the value in place.
        set: fn(&mut Config, Vec<String>),
    },
}

/// One word of a [`Kind::Choice`].
pub struct Choice {
    /// The word.
    pub name: &'static str,
    /// Puts it in place.
    pub set: fn(&mut Config),
}

/// Why a value is refused. `label` stands at the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What class of mistake it is.
    pub(super) class: FaultClass,
    /// What was found and what was expected.
    pub(super) label: String,
    /// What to write instead, if that can be said.
    pub(super) help: Option<String>,
    /// Which item of a list it is about.
    pub(super) item: Option<usize>,
}

/// Class of a [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultClass {
    /// Another TOML type was expected.
    Type,
    /// The type is right, its form is not.
    Form,
    /// Below the smallest or above the largest.
    Range,
}

impl Kind {
    /// The sort of value, one to three words: `size`, `host and port`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count { .. } => "whole number",
            Self::Time { .. } => "duration",
            Self::Size { .. } => "size",
            Self::Text { form, .. } => form.name,
            Self::Choice(_) => "choice",
            Self::Flag { .. } => "true or false",
            Self::List { .. } => "list",
        }
    }

    /// What is expected, bounds included, to be read behind "expected".
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Count { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Time { min, max, .. } => {
                let [min, max] = [min, max].map(|bound| units::show_duration(*bound));
                format!("a duration from \"{min}\" to \"{max}\"")
            }
            Self::Size { min, max, multiple, .. } => {
                let [min, max] = [min, max].map(|bound| units::show_size(*bound));
                let step = match multiple {
                    1 => String::new(),
                    _ => format!(", a multiple of {}", units::show_size(*multiple)),
                };
                format!("a size from \"{min}\" to \"{max}\"{step}")
            }
            Self::Text { form, .. } => form.expected.to_owned(),
            Self::Choice(choices) => {
                one_of(&choices.iter().map(|choice| choice.name).collect::<Vec<_>>())
            }
            Self::Flag { .. } => "true or false, without quotes".to_owned(),
            Self::List { expected, .. } => format!("a list of {expected}"),
        }
    }

    /// Checks `value` and puts it into `config`, or says everything that is
    /// wrong with it; then `config` is as before.
    pub(super) fn apply(&self, value: &DeValue<'_>, config: &mut Config) -> Vec<Fault> {
        match (self, value) {
            (Self::List { .. }, DeValue::Array(items)) => self.apply_list(items, config),
            _ => self.apply_one(value, config).err().into_iter().collect(),
        }
    }

    fn apply_one(&self, value: &DeValue<'_>, config: &mut Config) -> Result<(), Fault> {
        match (self, value) {
            (Self::Count { min, max, set }, DeValue::Integer(number)) => {
                let number = self.within(number, (*min).into(), (*max).into())?;
                // Fits: it is at most `max`.
                set(config, u32::try_from(number).unwrap_or(*max));
                Ok(())
            }
            (Self::Size { min, max, .. }, DeValue::Integer(number)) => {
                let bytes = self.within(number, *min, *max)?;
                self.apply_size(bytes, &number.to_string(), config)
            }
            (Self::Size { .. }, DeValue::String(text)) => match units::size(text) {
                Some(bytes) => self.apply_size(bytes, &quoted(text), config),
                None => Err(self.fault(FaultClass::Form, &quoted(text)).help(SIZE_HELP)),
            },
            (Self::Time { min, max, set }, DeValue::String(text)) => match units::duration(text) {
                Some(time) if (*min..=*max).contains(&time) => {
                    set(config, time);
                    Ok(())
                }
                Some(_) => Err(self.fault(FaultClass::Range, &quoted(text))),
                None => Err(self.fault(FaultClass::Form, &quoted(text)).help(TIME_HELP)),
            },
            (Self::Text { set, .. }, DeValue::String(text)) => set(config, text).map_err(|why| {
                self.fault(FaultClass::Form, &format!("{}, but {why}", quoted(text)))
            }),
            (Self::Choice(choices), DeValue::String(text)) => {
                let Some(choice) = choices.iter().find(|choice| choice.name == text.as_ref())
                else {
                    let nearest = nearest(text, choices.iter().map(|choice| choice.name));
                    return Err(self.fault(FaultClass::Form, &quoted(text)).nearest(nearest));
                };
                (choice.set)(config);
                Ok(())
            }
            (Self::Flag { set }, DeValue::Boolean(truth)) => {
                set(config, *truth);
                Ok(())
            }
            (_, other) => Err(self.wrong_type(other)),
        }
    }

    fn apply_size(&self, bytes: u64, found: &str, config: &mut Config) -> Result<(), Fault> {
        let Self::Size { min, max, multiple, set } = self else { return Ok(()) };
        if !(*min..=*max).contains(&bytes) {
            return Err(self.fault(FaultClass::Range, found));
        }
        if !bytes.is_multiple_of(*multiple) {
            return Err(self.fault(FaultClass::Form, found));
        }
        set(config, bytes);
        Ok(())
    }

    fn apply_list(&self, items: &[toml::Spanned<DeValue<'_>>], config: &mut Config) -> Vec<Fault> {
        let Self::List { least, set, .. } = self else { return Vec::new() };
        if items.len() < *least {
            let found = if items.is_empty() { "an empty list" } else { "a list that is too short" };
            return vec![self.fault(FaultClass::Form, found)];
        }
        let mut texts: Vec<String> = Vec::with_capacity(items.len());
        let mut faults = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match self.item(item.get_ref(), &texts) {
                Ok(text) => texts.push(text),
                Err(fault) => faults.push(Fault { item: Some(index), ..fault }),
            }
        }
        if faults.is_empty() {
            set(config, texts);
        }
        faults
    }

    /// One item of a list, `known` being those before it.
    fn item(&self, item: &DeValue<'_>, known: &[String]) -> Result<String, Fault> {
        let Self::List { words, check, .. } = self else { return Err(self.wrong_type(item)) };
        let DeValue::String(text) = item else { return Err(self.wrong_type(item)) };
        if !words.is_empty() && !words.contains(&text.as_ref()) {
            let nearest = nearest(text, words.iter().copied());
            return Err(self.fault(FaultClass::Form, &quoted(text)).nearest(nearest));
        }
        if let Err(why) = check(text) {
            return Err(self.fault(FaultClass::Form, &format!("{}, but {why}", quoted(text))));
        }
        if known.iter().any(|known| known == text) {
            return Err(self.fault(FaultClass::Form, &format!("{} a second time", quoted(text))));
        }
        Ok(text.clone().into_owned())
    }

    fn within(&self, number: &DeInteger<'_>, min: u64, max: u64) -> Result<u64, Fault> {
        integer(number)
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.fault(FaultClass::Range, &number.to_string()))
    }

    fn wrong_type(&self, found: &DeValue<'_>) -> Fault {
        let fault = self.fault(FaultClass::Type, &describe(found));
        match (self, found) {
            (Self::Time { .. }, DeValue::Integer(number)) => fault.help(format!(
                "a duration has a unit: \"{number}s\", \"{number}ms\", \"{number}m\""
            )),
            (Self::Text { form, .. }, DeValue::Integer(number)) if form.name == "mode" => {
                fault.help(format!("write it in quotes: \"{number:0>4}\""))
            }
            (Self::Flag { .. }, DeValue::String(text)) if text.parse::<bool>().is_ok() => {
                fault.help(format!("write it without quotes: {text}"))
            }
            (Self::Count { .. }, DeValue::String(text)) if text.parse::<u32>().is_ok() => {
                fault.help(format!("write it without quotes: {text}"))
            }
            (Self::List { .. }, DeValue::String(text)) => {
                fault.help(format!("write it as a list: [{}]", quoted(text)))
            }
            _ => fault,
        }
    }

    fn fault(&self, class: FaultClass, found: &str) -> Fault {
        let label = format!("found {found}; expected {}", self.expected());
        Fault { class, label, help: None, item: None }
    }
}

const TIME_HELP: &str = "a duration is a whole number and a unit: ms, s, m or h, without a blank";
const SIZE_HELP: &str = "a size is a whole number and a unit: B, KiB, MiB or GiB, without a blank";

impl Fault {
    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn nearest(mut self, nearest: Option<&str>) -> Self {
        self.help = nearest.map(|word| format!("did you mean \"{word}\"?"));
        self
    }
}

/// What was found, in words: `the boolean true`, `a table`.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the decimal number {}", number.as_str()),
        DeValue::Boolean(truth) => format!("the boolean {truth}"),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// The value of a TOML integer if it is one from 0 on.
fn integer(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A text in quotes, with what a terminal could act on escaped, and cut where it gets long.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Characters of a found text that a message repeats; the source line shows the rest.
const SHOWN_CHARS: usize = 60;

fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match words.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        words => words.concat(),
    }
}
