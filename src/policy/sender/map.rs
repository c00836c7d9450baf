//! The file that says which logins may use which senders.
//!
//! ```text
//! # login:  senders, separated by commas or blanks
//! alice@example.org:  sales@example.org, @alice.example
//! bob@example.org:    bob@*.example.org
//!                     robert@example.org        (a line that begins with a blank goes on)
//! *@example.org:      info@example.org
//! mailer@example.org: *
//! ```
//!
//! Both sides are [`Pattern`]s. All lines that are for a login count together.
//! A login without a realm stands for the one in the default realm. Pure: the
//! text comes in, and what is wrong with it comes out, each with its line.

use std::collections::HashMap;

use crate::policy::pattern::{Pattern, PatternError};

/// Which logins may use which senders.
#[derive(Debug, Default)]
pub struct SenderMap {
    /// Logins that are written out, folded.
    single: HashMap<Box<str>, Vec<Pattern>>,
    /// Logins with a star.
    several: Vec<(Pattern, Vec<Pattern>)>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct MapError {
    /// From 1 on.
    pub line: usize,
    /// What it is.
    pub fault: Fault,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No colon behind a login.
    #[error(
        "a login, a colon and its senders are expected, as in: alice@example.org: @example.org"
    )]
    NoColon,
    /// A line that goes on from none.
    #[error("it begins with a blank, so it goes on from the line above, but there is none")]
    NothingToContinue,
    /// The text in front of the colon.
    #[error("the login {text:?}: {error}")]
    Login {
        /// As written, cut.
        text: String,
        /// Why.
        error: PatternError,
    },
    /// One of the texts behind the colon.
    #[error("the sender {text:?}: {error}")]
    Sender {
        /// As written, cut.
        text: String,
        /// Why.
        error: PatternError,
    },
    /// A sender without an `@`.
    #[error("the sender {0:?} has no @: write {0}@ and its domain, @{0} for a domain, or *")]
    NoDomain(String),
    /// Nothing behind the colon.
    #[error("no sender stands behind the login {0:?}")]
    NoSenders(String),
    /// More than `MOST_FAULTS`.
    #[error("there are more faults below")]
    More,
}

/// Faults that are told of one file.
const MOST_FAULTS: usize = 20;
/// Characters of a text that a fault repeats.
const SHOWN_CHARS: usize = 60;

impl SenderMap {
    /// Reads the file's text. `default_realm` is put behind logins that have none.
    ///
    /// # Errors
    /// What is wrong with it, in the order of the lines; never an empty list.
    pub fn parse(text: &str, default_realm: &str) -> Result<Self, Vec<MapError>> {
        let mut reading = Reading { default_realm, ..Reading::default() };
        for (number, line) in text.lines().enumerate() {
            if let Err(fault) = reading.line(line, number + 1) {
                reading.faults.push(MapError { line: number + 1, fault });
            }
            if reading.faults.len() >= MOST_FAULTS {
                reading.faults.push(MapError { line: number + 1, fault: Fault::More });
                break;
            }
        }
        reading.finish_entry();
        if reading.faults.is_empty() { Ok(reading.map) } else { Err(reading.faults) }
    }

    /// True if a line lets `login` use `sender`.
    #[must_use]
    pub fn allows(&self, login: &str, sender: &str) -> bool {
        let is_among = |senders: &[Pattern]| senders.iter().any(|it| it.matches(sender));
        let folded = login.to_ascii_lowercase();
        self.single.get(folded.as_str()).is_some_and(|senders| is_among(senders))
            || self.several.iter().any(|(who, senders)| who.matches(login) && is_among(senders))
    }

    /// Logins that the file names, patterns included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.single.len() + self.several.len()
    }

    /// True if it allows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Default)]
struct Reading<'a> {
    default_realm: &'a str,
    map: SenderMap,
    faults: Vec<MapError>,
    /// The login of the entry that is being read.
    entry: Option<Entry>,
}

struct Entry {
    login: Pattern,
    name: String,
    line: usize,
    senders: Vec<Pattern>,
    /// One fault of an entry is enough.
    is_faulty: bool,
}

impl Reading<'_> {
    fn line(&mut self, line: &str, number: usize) -> Result<(), Fault> {
        let goes_on = line.starts_with([' ', '\t']);
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        if line.trim().is_empty() {
            return Ok(());
        }
        if goes_on {
            let entry = self.entry.as_mut().ok_or(Fault::NothingToContinue)?;
            return entry.take(line);
        }
        self.finish_entry();
        let (name, senders) = line.split_once(':').ok_or(Fault::NoColon)?;
        let name = name.trim();
        let full = match name {
            "*" => name.to_owned(),
            _ if name.contains('@') || self.default_realm.is_empty() => name.to_owned(),
            _ => format!("{name}@{}", self.default_realm),
        };
        let login = Pattern::parse(if name.is_empty() { "" } else { &full })
            .map_err(|error| Fault::Login { text: shown(name), error })?;
        let name = shown(name);
        let entry = Entry { login, name, line: number, senders: Vec::new(), is_faulty: false };
        self.entry.insert(entry).take(senders)
    }

    fn finish_entry(&mut self) {
        let Some(entry) = self.entry.take() else { return };
        if entry.senders.is_empty() {
            if !entry.is_faulty {
                let fault = Fault::NoSenders(entry.name);
                self.faults.push(MapError { line: entry.line, fault });
            }
            return;
        }
        match entry.login.single() {
            Some(login) => self.map.single.entry(login.into()).or_default().extend(entry.senders),
            None => self.map.several.push((entry.login, entry.senders)),
        }
    }
}

impl Entry {
    fn take(&mut self, senders: &str) -> Result<(), Fault> {
        let words = senders.split([',', ' ', '\t', '\r']).filter(|word| !word.is_empty());
        for word in words {
            let sender = sender(word).inspect_err(|_| self.is_faulty = true)?;
            self.senders.push(sender);
        }
        Ok(())
    }
}

fn sender(text: &str) -> Result<Pattern, Fault> {
    let pattern =
        Pattern::parse(text).map_err(|error| Fault::Sender { text: shown(text), error })?;
    if text.contains('@') || text == "*" {
        return Ok(pattern);
    }
    Err(Fault::NoDomain(shown(text)))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> SenderMap {
        SenderMap::parse(text, "example.org").unwrap()
    }

    fn faults(text: &str) -> Vec<String> {
        let faults = SenderMap::parse(text, "example.org").unwrap_err();
        faults.iter().map(ToString::to_string).collect()
    }

    const FILE: &str = "\
# who may use what
alice:               sales@example.org, @alice.example   # and more below
                     robin@example.org\tinfo@*.example.com
alice@example.org:   second@example.org
bob@example.net:     bob@example.org

*@example.org:       info@example.org
*:                   nobody@example.org
mailer@example.org:  *
";

    #[test]
    fn a_login_may_use_what_any_line_of_it_says() {
        let map = map(FILE);
        for (login, sender) in [
            ("alice@example.org", "sales@example.org"),
            ("ALICE@example.org", "Sales@Example.Org"),
            ("alice@example.org", "anything@alice.example"),
            ("alice@example.org", "robin@example.org"),
            ("alice@example.org", "info@deep.example.com"),
            ("alice@example.org", "second@example.org"),
            ("alice@example.org", "info@example.org"),
            ("bob@example.net", "bob@example.org"),
            ("bob@example.net", "nobody@example.org"),
            ("mailer@example.org", "whoever@wherever.example"),
        ] {
            assert!(map.allows(login, sender), "{login} {sender}");
        }
        for (login, sender) in [
            ("bob@example.org", "sales@example.org"),
            ("alice@example.net", "sales@example.org"),
            ("alice@example.org", "a@sub.alice.example"),
            ("bob@example.net", "info@example.org"),
            ("alice@example.org", "info@example.com"),
        ] {
            assert!(!map.allows(login, sender), "{login} {sender}");
        }
        assert_eq!(map.len(), 5);
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let faults = faults(
            "alice: a@b\n  c\nbob\n: a@b\ncarol:\n\ndave: a@*.*.*.*.*.x\nx y: a@b\nerin:\n  e@f\n",
        );
        assert_eq!(
            faults,
            [
                "line 2: the sender \"c\" has no @: write c@ and its domain, @c for a domain, or *",
                "line 3: a login, a colon and its senders are expected, as in: \
                 alice@example.org: @example.org",
                "line 4: the login \"\": nothing stands there, or nothing behind the @",
                "line 5: no sender stands behind the login \"carol\"",
                "line 7: the sender \"a@*.*.*.*.*.x\": \
                 it has more than 4 stars on one side of the @",
                "line 8: the login \"x y\": a blank or control character stands in it",
            ]
        );
    }

    #[test]
    fn a_file_that_begins_in_the_middle_is_refused() {
        let first = &faults("  a@b\n")[0];
        assert!(first.starts_with("line 1: it begins with a blank"), "{first}");
    }

    #[test]
    fn a_file_of_another_kind_is_not_told_line_by_line() {
        let faults = faults(&"nonsense\n".repeat(1000));
        assert_eq!(faults.len(), MOST_FAULTS + 1);
        assert_eq!(faults[MOST_FAULTS], "line 20: there are more faults below");
    }

    #[test]
    fn line_ends_of_either_kind_and_none_at_the_end() {
        let map = map("alice: a@b,\r\n\tc@d\r\nbob: e@f");
        assert!(map.allows("alice@example.org", "c@d"));
        assert!(map.allows("bob@example.org", "e@f"));
    }
}
