//! The command line of saslauthd 2.1.28, with `-f` of its unreleased successor.
//!
//! Values are checked as they are met, in the order of the command line, and
//! with the words of the original; what stands behind the first mistake is not
//! looked at. Numbers are read as atoi(3) reads them. Pure: nothing is printed
//! or looked up here.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::super::getopt::{Argument, Getopt};

/// As for getopt(3).
const OPTIONS: &str = "a:cdfhO:lm:n:rs:t:vV";

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// `-v`
    Version,
    /// `-h`
    Help,
    /// To serve.
    Serve(Flags),
}

/// Why a command line is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mistake {
    /// Usage, behind these lines of complaint; the original exits 0.
    Usage(String),
    /// A value that cannot be; exit 1.
    Value(String),
    /// No `-a`: this line and then usage, exit 0.
    NoMechanism,
}

/// What to serve, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flags {
    /// `-a`: lower case; several, separated by commas, are ours alone.
    pub(super) mechanisms: Vec<String>,
    /// `-O`: the last one.
    pub(super) option: Option<OsString>,
    /// `-m`
    pub(super) directory: Option<PathBuf>,
    /// `-n`
    pub(super) processes: Option<i64>,
    /// `-c`
    pub(super) is_caching: bool,
    /// `-s`, in KiB
    pub(super) cache_kib: Option<i64>,
    /// `-t`, in seconds; not positive: for ever, as the original takes it.
    pub(super) cache_seconds: Option<i64>,
    /// `-r`
    pub(super) joins_realm: bool,
    /// `-l`
    pub(super) is_without_accept_lock: bool,
    /// `-d` or `-f`
    pub(super) stays: bool,
    /// `-d` or `-V`
    pub(super) is_verbose: bool,
}

/// Takes `words` apart; `called_as` is what complaints begin with.
pub(super) fn parse(called_as: &str, words: Vec<OsString>) -> Result<Wish, Mistake> {
    let mut flags = Flags {
        mechanisms: Vec::new(),
        option: None,
        directory: None,
        processes: None,
        is_caching: false,
        cache_kib: None,
        cache_seconds: None,
        joins_realm: false,
        is_without_accept_lock: false,
        stays: false,
        is_verbose: false,
    };
    let mut words = Getopt::new(called_as, OPTIONS, words);
    while let Some(argument) = words.next() {
        match argument {
            Argument::Flag(b'v') => return Ok(Wish::Version),
            Argument::Flag(b'h') => return Ok(Wish::Help),
            Argument::Flag(letter) => flags.switch(letter),
            Argument::Valued(b'a', _) if !flags.mechanisms.is_empty() => {
                return Err(Mistake::Usage(String::new()));
            }
            Argument::Valued(letter, value) => flags.set(letter, value).map_err(Mistake::Value)?,
            // The original does not look at operands.
            Argument::Operand(_) => {}
            Argument::Wrong => return Err(Mistake::Usage(words.complaints())),
        }
    }
    if flags.mechanisms.is_empty() { Err(Mistake::NoMechanism) } else { Ok(Wish::Serve(flags)) }
}

impl Flags {
    fn switch(&mut self, letter: u8) {
        match letter {
            b'c' => self.is_caching = true,
            b'd' => (self.stays, self.is_verbose) = (true, true),
            b'f' => self.stays = true,
            b'l' => self.is_without_accept_lock = true,
            b'r' => self.joins_realm = true,
            _ => self.is_verbose = true,
        }
    }

    fn set(&mut self, letter: u8, value: OsString) -> Result<(), String> {
        let number = || atoi(value.as_bytes());
        match letter {
            b'a' => {
                let names = value.to_string_lossy().to_ascii_lowercase();
                self.mechanisms = names.split(',').map(str::to_owned).collect();
            }
            b'O' => self.option = Some(value),
            b'm' if value.as_bytes().first() == Some(&b'/') => {
                self.directory = Some(PathBuf::from(OsString::from_vec(trimmed(value))));
            }
            b'm' => return Err("-m requires an absolute pathname".to_owned()),
            b'n' if number() < 0 => {
                return Err("invalid number of worker processes defined".to_owned());
            }
            b'n' => self.processes = Some(number()),
            b's' if number() == 0 => {
                return Err("cache size must be positive and non zero".to_owned());
            }
            b's' => self.cache_kib = Some(number()),
            _ if number() == 0 => return Err("cache timeout must be positive".to_owned()),
            _ => self.cache_seconds = Some(number()),
        }
        Ok(())
    }
}

/// A path without slashes at its end, as `DIR/mux` is made of it.
fn trimmed(path: OsString) -> Vec<u8> {
    let mut bytes = path.into_vec();
    while bytes.len() > 1 && bytes.last() == Some(&b'/') {
        bytes.pop();
    }
    bytes
}

/// A number as atoi(3) reads it: blanks, a sign, digits, and then anything; 0 where there is none.
fn atoi(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    // Longer ones overflow in C; here they stay what they are, very large.
    let most = i64::from(i32::MAX);
    let number = digits.fold(0, |sum: i64, digit| {
        sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(most)
    });
    if is_negative { -number } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Wish, Mistake> {
        parse("saslauthd", words.iter().map(OsString::from).collect())
    }

    fn flags(words: &[&str]) -> Flags {
        match parsed(words) {
            Ok(Wish::Serve(flags)) => flags,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn takes_every_flag_of_the_original() {
        let line =
            "-c -m /var/spool/postfix/run/ -n 20 -r -s 128 -t 60 -lV -O x -a PAM -O host/993";
        let words: Vec<&str> = line.split(' ').collect();
        let flags = flags(&words);
        assert_eq!(flags.mechanisms, ["pam"]);
        assert_eq!(flags.option.unwrap(), "host/993", "the last one");
        assert_eq!(flags.directory.unwrap(), PathBuf::from("/var/spool/postfix/run"));
        assert_eq!(
            (flags.processes, flags.cache_kib, flags.cache_seconds),
            (Some(20), Some(128), Some(60))
        );
        assert!(flags.is_caching && flags.joins_realm && flags.is_without_accept_lock);
        assert!(flags.is_verbose && !flags.stays);
    }

    #[test]
    fn debugging_stays_and_talks_and_f_only_stays() {
        let both = |words: &[&str]| (flags(words).stays, flags(words).is_verbose);
        assert_eq!(both(&["-d", "-a", "pam"]), (true, true));
        assert_eq!(both(&["-f", "-apam"]), (true, false));
        assert_eq!(both(&["-apam"]), (false, false));
    }

    #[test]
    fn several_mechanisms_are_asked_in_their_order() {
        assert_eq!(flags(&["-a", "Store,sasldb,PAM"]).mechanisms, ["store", "sasldb", "pam"]);
    }

    #[test]
    fn reads_numbers_as_atoi_does() {
        for (text, number) in [("5", 5), (" +7x", 7), ("abc", 0), ("", 0), ("-3", -3), ("-", 0)] {
            assert_eq!(atoi(text.as_bytes()), number, "{text:?}");
        }
        assert_eq!(atoi(b"99999999999999999999"), i64::from(i32::MAX));
        assert_eq!(flags(&["-a", "pam", "-n", "abc"]).processes, Some(0));
        assert_eq!(flags(&["-a", "pam", "-t", "-5"]).cache_seconds, Some(-5));
    }

    #[test]
    fn the_first_mistake_counts_and_has_the_words_of_the_original() {
        let value = |text: &str| Err(Mistake::Value(text.to_owned()));
        let usage = |text: &str| Err(Mistake::Usage(text.to_owned()));
        assert_eq!(parsed(&[]), Err(Mistake::NoMechanism));
        assert_eq!(parsed(&["-a", "pam", "-a", "pam"]), usage(""));
        assert_eq!(parsed(&["-T"]), usage("saslauthd: invalid option -- 'T'\n"));
        assert_eq!(parsed(&["-H", "x"]), usage("saslauthd: invalid option -- 'H'\n"));
        assert_eq!(parsed(&["-a"]), usage("saslauthd: option requires an argument -- 'a'\n"));
        assert_eq!(parsed(&["-x", "-v"]), usage("saslauthd: invalid option -- 'x'\n"));
        assert_eq!(parsed(&["-v", "-x"]), Ok(Wish::Version));
        assert_eq!(parsed(&["-a", "pam", "-h", "-v"]), Ok(Wish::Help));
        assert_eq!(parsed(&["-m", "rel", "-v"]), value("-m requires an absolute pathname"));
        assert_eq!(parsed(&["-n-1", "-x"]), value("invalid number of worker processes defined"));
        assert_eq!(parsed(&["-s", "x"]), value("cache size must be positive and non zero"));
        assert_eq!(parsed(&["-t", "0"]), value("cache timeout must be positive"));
    }
}
