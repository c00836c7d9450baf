//! getopt(3), which the originals parse with: letters in clusters, a value
//! joined or in the next word, operands anywhere, `--` ends the options.
//!
//! Of glibc, with its complaints word for word. Other parsers take the `=` out
//! of `-p=x`; getopt does not, and a password may begin with one. No long
//! options: `--help` is a cluster of unknown letters. Called by the faces;
//! nothing is printed here.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::vec;

/// The words of one command line, taken apart one by one.
pub(super) struct Getopt {
    program: String,
    options: &'static str,
    words: vec::IntoIter<OsString>,
    /// What is left of the word that is being taken apart, without its dash.
    cluster: vec::IntoIter<u8>,
    /// `--` was seen: only operands follow.
    is_over: bool,
    complaints: String,
}

/// What the next thing on a command line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Argument {
    /// A letter without a value.
    Flag(u8),
    /// A letter and its value, which may be empty.
    Valued(u8, OsString),
    /// A word that is no option, a lone dash included.
    Operand(OsString),
    /// An unknown letter, or one that lacks its value; [`Getopt::complaints`] says which.
    Wrong,
}

impl Getopt {
    /// Takes `words` apart, which do not begin with the program's name; complaints do.
    /// `options` are letters, those with a value before a colon, as for getopt(3).
    pub(super) fn new(
        program: impl Into<String>,
        options: &'static str,
        words: Vec<OsString>,
    ) -> Self {
        Self {
            program: program.into(),
            options,
            words: words.into_iter(),
            cluster: Vec::new().into_iter(),
            is_over: false,
            complaints: String::new(),
        }
    }

    /// The lines that glibc prints about what was wrong so far.
    pub(super) fn complaints(self) -> String {
        self.complaints
    }

    fn option(&mut self, letter: u8) -> Argument {
        let mut known = self.options.bytes().skip_while(|known| *known != letter);
        // A colon is no letter, though it stands among them.
        if letter == b':' || known.next().is_none() {
            return self.wrong("invalid option", letter);
        }
        if known.next() != Some(b':') {
            return Argument::Flag(letter);
        }
        let joined: Vec<u8> = self.cluster.by_ref().collect();
        let value = Some(OsString::from_vec(joined)).filter(|value| !value.is_empty());
        match value.or_else(|| self.words.next()) {
            Some(value) => Argument::Valued(letter, value),
            None => self.wrong("option requires an argument", letter),
        }
    }

    fn wrong(&mut self, what: &str, letter: u8) -> Argument {
        let letter = String::from_utf8_lossy(&[letter]).into_owned();
        self.complaints.push_str(&format!("{}: {what} -- '{letter}'\n", self.program));
        Argument::Wrong
    }
}

impl Iterator for Getopt {
    type Item = Argument;

    fn next(&mut self) -> Option<Argument> {
        loop {
            if let Some(letter) = self.cluster.next() {
                return Some(self.option(letter));
            }
            let word = self.words.next()?;
            match word.as_bytes() {
                b"--" if !self.is_over => self.is_over = true,
                [b'-', letters @ ..] if !self.is_over && !letters.is_empty() => {
                    self.cluster = Vec::from(letters).into_iter();
                }
                _ => return Some(Argument::Operand(word)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Argument::{Flag, Operand, Valued, Wrong};
    use super::*;

    fn parsed(words: &[&str]) -> (Vec<Argument>, String) {
        let words = words.iter().map(OsString::from).collect();
        let mut getopt = Getopt::new("prog", "cpf:u:", words);
        let arguments = getopt.by_ref().collect();
        (arguments, getopt.complaints())
    }

    fn valued(letter: u8, value: &str) -> Argument {
        Valued(letter, value.into())
    }

    #[test]
    fn takes_clusters_and_values_joined_or_apart() {
        let (arguments, complaints) = parsed(&["-cpfDB", "-u", "-x", "alice", "-f", "", "-c"]);
        let expected = [
            Flag(b'c'),
            Flag(b'p'),
            valued(b'f', "DB"),
            valued(b'u', "-x"),
            Operand("alice".into()),
            valued(b'f', ""),
            Flag(b'c'),
        ];
        assert_eq!(arguments, expected);
        assert_eq!(complaints, "");
    }

    #[test]
    fn leaves_an_equals_sign_to_the_value_it_begins() {
        assert_eq!(parsed(&["-f=x", "-u="]).0, [valued(b'f', "=x"), valued(b'u', "=")]);
    }

    #[test]
    fn takes_what_follows_two_dashes_and_a_lone_dash_for_operands() {
        let operand = |word: &str| Operand(word.into());
        let (arguments, _) = parsed(&["-", "--", "-c", "--"]);
        assert_eq!(arguments, [operand("-"), operand("-c"), operand("--")]);
    }

    #[test]
    fn complains_of_every_letter_as_glibc_does() {
        let (arguments, complaints) = parsed(&["-x:c", "-u"]);
        assert_eq!(arguments, [Wrong, Wrong, Flag(b'c'), Wrong]);
        let expected = "prog: invalid option -- 'x'\nprog: invalid option -- ':'\n\
                        prog: option requires an argument -- 'u'\n";
        assert_eq!(complaints, expected);
        let (arguments, complaints) = parsed(&["--up"]);
        assert_eq!(arguments, [Wrong, valued(b'u', "p")]);
        assert_eq!(complaints, "prog: invalid option -- '-'\n");
    }
}
