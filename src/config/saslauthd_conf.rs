//! The file of the original saslauthd, `/etc/saslauthd.conf`: lines of `key: value`.
//!
//! ```text
//! # comment                        a '#' is one at the beginning of a line only
//! ldap_servers: ldap://a/ ldap://b/
//! KEY      = letters, digits, '-', '_'; capitals mean the same
//! value    = from the first character that is no blank to the end of the line
//! ```
//!
//! As saslauthd 2.1.28 reads it: its ldap, kerberos5 and httpform share the
//! file, so each takes the keys of its own prefix and leaves the others alone.
//! A line without a colon or a value is an error there, and here. Pure: text
//! in, entries with their places out. Called by the parts of `config` that
//! make a backend's `Settings` of it.

use std::ops::Range;

use super::problem::Problem;

/// Longest line in bytes: the original cuts at 4,095 and reads the rest as a line of its own.
const LINE_BYTES: usize = 4095;

/// The lines of a file, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslauthdConf<'a> {
    entries: Vec<Entry<'a>>,
}

/// One line.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key, lower case.
    pub key: String,
    /// The value: not empty; blanks at its end belong to it.
    pub value: &'a str,
    /// Where the key stands, in bytes of the file.
    pub key_span: Range<usize>,
    /// Where the value stands.
    pub value_span: Range<usize>,
}

impl std::fmt::Debug for Entry<'_> {
    /// Without the value, which may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:?}", self.key, self.value_span)
    }
}

impl<'a> SaslauthdConf<'a> {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every line that is none.
    pub fn parse(source: &'a str) -> Result<Self, Vec<Problem>> {
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        let mut start = 0;
        for line in source.split_inclusive('\n') {
            let text = line.strip_suffix('\n').unwrap_or(line);
            // An editor on Windows leaves these; the original takes them into the value.
            let text = text.strip_suffix('\r').unwrap_or(text);
            match entry(text, start) {
                Ok(found) => entries.extend(found),
                Err(problem) => problems.push(*problem),
            }
            start += line.len();
        }
        if problems.is_empty() { Ok(Self { entries }) } else { Err(problems) }
    }

    /// Every line, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<'a>> {
        self.entries.iter()
    }

    /// The first line with that key: the one that counts for kerberos5 and httpform.
    #[must_use]
    pub fn first(&self, key: &str) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The last line with one of those keys: the one that counts for ldap.
    #[must_use]
    pub fn last_of(&self, keys: &[&str]) -> Option<&Entry<'a>> {
        self.entries.iter().rfind(|entry| keys.contains(&entry.key.as_str()))
    }
}

impl Entry<'_> {
    /// The value as a switch, as the original tells them apart: 0, n..., of..., f...
    /// and 1, y..., on..., t... .
    ///
    /// # Errors
    /// Anything else, `Yes` included: the original silently takes it for *no*.
    pub fn switch(&self) -> Result<bool, Box<Problem>> {
        let begins = |with: &[&str]| with.iter().any(|word| self.value.starts_with(word));
        if begins(&["0", "n", "of", "f"]) {
            return Ok(false);
        }
        if begins(&["1", "y", "on", "t"]) {
            return Ok(true);
        }
        let problem = self.refused("expected yes or no, in small letters");
        Err(Box::new(problem.help("write yes or no; saslauthd took this for no, without a word")))
    }

    /// The value as a whole number within bounds.
    ///
    /// # Errors
    /// Anything else; the original takes a text for 0.
    pub fn number(&self, bounds: std::ops::RangeInclusive<u32>) -> Result<u32, Box<Problem>> {
        let number = self.value.trim_end().parse().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (bounds.start(), bounds.end());
            Box::new(self.refused(&format!("expected a whole number from {least} to {most}")))
        })
    }

    /// The value as one of several words, small or capital letters.
    ///
    /// # Errors
    /// Anything else; the original keeps its default.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Box<Problem>> {
        let asked = self.value.trim_end();
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(asked));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Box::new(self.refused(&format!("expected one of: {}", known.join(", "))))
        })
    }

    /// An error at the value, with `label` behind the caret.
    #[must_use]
    pub fn refused(&self, label: &str) -> Problem {
        Problem::error(format!("the value of `{}` is refused", self.key))
            .about(self.key.as_str())
            .at(self.value_span.clone(), label)
    }
}

/// The entry on a line that begins at byte `start` of the file; `None` for
/// comments and empty lines.
fn entry(line: &str, start: usize) -> Result<Option<Entry<'_>>, Box<Problem>> {
    let body = line.trim_start_matches(is_blank);
    let at = start + line.len() - body.len();
    if body.is_empty() || body.starts_with('#') {
        return Ok(None);
    }
    if line.len() > LINE_BYTES {
        let title = format!("the line is longer than {LINE_BYTES} bytes");
        let problem = Problem::error(title).at(at..start + line.len(), "saslauthd would cut it");
        return Err(Box::new(problem));
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let end = body.find(|c| !is_key(c)).unwrap_or(body.len());
    let (key, rest) = body.split_at(end);
    let Some(rest) = rest.strip_prefix(':').filter(|_| !key.is_empty()) else {
        let found = at + end..at + end + rest.chars().next().map_or(0, char::len_utf8);
        let problem = Problem::error("this is no line of `key: value`")
            .at(found, "expected `:`")
            .help("a key is followed by a colon at once; a comment begins with #");
        return Err(Box::new(problem));
    };
    let value = rest.trim_start_matches(is_blank);
    if value.is_empty() {
        let problem = Problem::error(format!("`{key}` has no value"))
            .about(key.to_ascii_lowercase())
            .at(at..at + end, "nothing stands behind the colon")
            .help("remove the line to have the default");
        return Err(Box::new(problem));
    }
    let value_start = start + line.len() - value.len();
    Ok(Some(Entry {
        key: key.to_ascii_lowercase(),
        value,
        key_span: at..at + end,
        value_span: value_start..value_start + value.len(),
    }))
}

/// isspace(3) in the C locale.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0b' | '\x0c' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Vec<(String, String)> {
        let conf = SaslauthdConf::parse(source).unwrap();
        conf.entries().map(|entry| (entry.key.clone(), entry.value.to_owned())).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn reads_lines_as_the_original_does() {
        let source = "# comment\n\n  \t\n\t LDAP_Servers:ldap://a/\n ldap_filter: (uid=%u) # no comment \n\
                      ldap_bind_pw: a: b#c\r\nhttpform_port:\t80";
        let expected = [
            pair("ldap_servers", "ldap://a/"),
            pair("ldap_filter", "(uid=%u) # no comment "),
            pair("ldap_bind_pw", "a: b#c"),
            pair("httpform_port", "80"),
        ];
        assert_eq!(read(source), expected);
    }

    #[test]
    fn every_entry_knows_its_place() {
        let source = "# x\n  Key-1:  value \nother: \u{fc}\n";
        for entry in SaslauthdConf::parse(source).unwrap().entries() {
            assert_eq!(&source[entry.value_span.clone()], entry.value);
            assert_eq!(source[entry.key_span.clone()].to_ascii_lowercase(), entry.key);
        }
    }

    #[test]
    fn the_first_counts_for_some_and_the_last_for_others() {
        let conf = SaslauthdConf::parse("a: 1\nb: 2\na: 3\nc: 4\n").unwrap();
        assert_eq!(conf.first("a").map(|entry| entry.value), Some("1"));
        assert_eq!(conf.last_of(&["a", "b"]).map(|entry| entry.value), Some("3"));
        assert_eq!(conf.first("d"), None);
    }

    #[test]
    fn names_every_line_that_is_none() {
        let problems = SaslauthdConf::parse(
            "key\nkey value\nkey:\nkey:  \n: x\nk\u{fc}y: x\nkey = v\ngood: 1\n",
        )
        .unwrap_err();
        assert_eq!(problems.len(), 7);
        assert!(SaslauthdConf::parse(&format!("a: {}", "x".repeat(4092))).is_ok());
        assert!(SaslauthdConf::parse(&format!("a: {}", "x".repeat(4093))).is_err());
    }

    #[test]
    fn values_are_read_strictly() {
        let value = |value: &'static str| Entry {
            key: "k".to_owned(),
            value,
            key_span: 0..1,
            value_span: 3..4,
        };
        for (text, expected) in [("no", false), ("off", false), ("0", false), ("false", false)] {
            assert_eq!(value(text).switch().ok(), Some(expected), "{text}");
        }
        for text in ["yes", "on", "1", "true"] {
            assert_eq!(value(text).switch().ok(), Some(true), "{text}");
        }
        for text in ["Yes", "o", "ja", "-1"] {
            assert!(value(text).switch().is_err(), "{text}");
        }
        assert_eq!(value("7 ").number(1..=9).ok(), Some(7));
        for text in ["0", "10", "x", "-1", "7x"] {
            assert!(value(text).number(1..=9).is_err(), "{text}");
        }
        assert_eq!(value("SUB ").word(&[("sub", 1), ("one", 2)]).ok(), Some(1));
        assert!(value("two").word(&[("sub", 1), ("one", 2)]).is_err());
    }

    #[test]
    fn survives_every_truncation_and_every_mutation() {
        let source = "# c\nldap_servers: ldap://a/ ldaps://b:1/\nLDAP_FILTER: (&(uid=%u)(x=%r))\n";
        for end in 0..source.len() {
            let _ = SaslauthdConf::parse(&source[..end]);
            for other in ["\n", ":", " ", "#", "\u{fc}", "\0"] {
                let changed = format!("{}{other}{}", &source[..end], &source[end + 1..]);
                let _ = SaslauthdConf::parse(&changed);
            }
        }
    }

    #[test]
    fn a_value_is_not_in_the_debug_text() {
        let conf = SaslauthdConf::parse("ldap_bind_pw: Zauberwort\n").unwrap();
        assert!(!format!("{conf:?}").contains("Zauberwort"));
    }
}
