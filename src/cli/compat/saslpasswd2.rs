//! The face of Cyrus saslpasswd2 2.1.28: sets and deletes passwords.
//!
//! Flags, prompts, texts and exit codes are the original's; the passwords go to
//! our store. Where the original does something dangerous we differ:
//!
//! - a password is taken whole (up to 8,162 bytes) or refused, never cut at
//!   2,048 bytes, at a NUL or behind a line break;
//! - `-d` of a user that does not exist fails (20, `SASL_NOUSER`);
//! - `user@realm` is split at the last `@`, where the login splits it; the
//!   realm of a name without one is the configured default, not the short host name;
//! - names that nobody could log in with (empty, blanks around, control
//!   characters) are refused (7, `SASL_BADPARAM`);
//! - `generic failure` says what failed;
//! - a password that `store.min_length` or `store.min_score` refuses has the code
//!   and the words that libsasl2 has for one (27, `SASL_WEAKPASS`).
//!
//! As in the original, `-c` changes nothing (a missing user is created without
//! it) and `-n` leaves the password out: the user exists, cannot use PLAIN or
//! LOGIN, and one that has a password keeps it. `-a` names a configuration file
//! of libsasl2, which we have none of; the name is checked and that is all.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::getopt::{Argument, Getopt};
use crate::backend::store::{Access, Store, StoreError};
use crate::base::{Identity, Secret};
use crate::cli::ConfigSource;
use crate::cli::user::password::{self, PasswordError};
use crate::config::Config;
use crate::sys::terminal::InputError;

/// Runs it with the words behind the program name.
pub(super) fn run(words: Vec<OsString>) -> ExitCode {
    let flags = match Flags::parse(words) {
        Ok(Request::Set(flags)) => flags,
        Ok(Request::Version) => {
            eprintln!("saslgate {}, as saslpasswd2 of LibSasl version 2.1.28", super::VERSION);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprint!("{problem}{USAGE}");
            return ExitCode::from(FAIL);
        }
    };
    if flags.application.as_deref().is_some_and(|name| name.contains('/')) {
        eprintln!("appname must not contain /");
        return ExitCode::from(FAIL);
    }
    let config = match ConfigSource(None).load_or_explain() {
        Ok(config) => flags.applied_to(config),
        Err(code) => return code,
    };
    match flags.execute(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("saslpasswd2: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// What was asked for.
enum Request {
    Set(Flags),
    Version,
}

#[derive(Default)]
struct Flags {
    is_piped: bool,
    is_create: bool,
    is_delete: bool,
    is_without_password: bool,
    realm: Option<String>,
    file: Option<PathBuf>,
    application: Option<String>,
    user: String,
}

/// A text behind `saslpasswd2: `, and the exit code: the absolute SASL code.
struct Failure {
    text: String,
    code: u8,
}

impl Flags {
    /// Parses as getopt does: clusters, values joined or apart, operands anywhere.
    /// The error is a text to print before the usage; empty where the original prints none.
    fn parse(words: Vec<OsString>) -> Result<Request, String> {
        let mut flags = Self::default();
        let (mut users, mut is_wrong) = (Vec::new(), false);
        let mut words = Getopt::new(NAME, "pcdnvu:a:f:", words);
        for argument in words.by_ref() {
            match argument {
                Argument::Flag(b'v') => return Ok(Request::Version),
                Argument::Flag(b'p') => flags.is_piped = true,
                Argument::Flag(b'c') => flags.is_create = true,
                Argument::Flag(b'd') => flags.is_delete = true,
                Argument::Flag(_) => flags.is_without_password = true,
                Argument::Valued(b'u', realm) => flags.realm = Some(text("the realm", realm)?),
                Argument::Valued(b'a', name) => flags.application = Some(text("appname", name)?),
                Argument::Valued(_, file) => flags.file = Some(file.into()),
                Argument::Operand(user) => users.push(text("the user name", user)?),
                Argument::Wrong => is_wrong = true,
            }
        }
        if is_wrong {
            return Err(words.complaints());
        }
        let Ok([user]) = <[String; 1]>::try_from(users) else {
            return Err(String::new());
        };
        if flags.is_create && flags.is_delete {
            return Err(String::new());
        }
        Ok(Request::Set(Self { user, ..flags }))
    }

    fn applied_to(&self, mut config: Config) -> Config {
        if let Some(file) = &self.file {
            config.store.path.clone_from(file);
        }
        if let Some(realm) = self.realm.as_deref().filter(|realm| !realm.is_empty()) {
            config.auth.default_realm = realm.to_owned();
        }
        config
    }

    fn execute(&self, config: &Config) -> Result<(), Failure> {
        let identity = Identity::parse(&self.user, &config.auth.default_realm)
            .map_err(|error| Failure::bad_parameter(&error.to_string()))?;
        if self.is_delete {
            let mut store = Store::open(&config.store, Access::Existing)?;
            return Ok(store.delete(&identity)?);
        }
        let password = self.password()?;
        let mut store = Store::open(&config.store, Access::Create)?;
        if self.is_without_password {
            return match store.add(&identity, None) {
                Ok(()) | Err(StoreError::UserExists(_)) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        match store.add(&identity, Some(&password)) {
            Err(StoreError::UserExists(_)) => Ok(store.set_password(&identity, &password)?),
            outcome => Ok(outcome?),
        }
    }

    fn password(&self) -> Result<Secret, Failure> {
        let password = if self.is_piped {
            password::read_line().map_err(PasswordError::from)
        } else {
            password::read()
        }?;
        if password.is_empty() {
            return Err(Failure { text: INVALID.to_owned(), code: BADPARAM });
        }
        Ok(password)
    }
}

fn text(what: &str, word: OsString) -> Result<String, String> {
    word.into_string().map_err(|_| format!("{NAME}: {what} is not UTF-8\n"))
}

impl Failure {
    fn bad_parameter(detail: &str) -> Self {
        Self { text: format!("{INVALID}: {detail}"), code: BADPARAM }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Mismatch => {
                Self { text: "passwords don't match; aborting".to_owned(), code: BADPARAM }
            }
            PasswordError::Input(InputError::Secret(error)) => {
                Self::bad_parameter(&error.to_string())
            }
            PasswordError::Input(InputError::ManyLines) => {
                Self::bad_parameter(&InputError::ManyLines.to_string())
            }
            PasswordError::Input(error) => Self { text: error.to_string(), code: FAIL },
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSuchUser(identity) => {
                Self { text: format!("user not found: {identity}"), code: NOUSER }
            }
            StoreError::Weak(weakness) => {
                Self { text: format!("{WEAK}: {weakness}"), code: WEAKPASS }
            }
            StoreError::EmptyPassword => Self { text: INVALID.to_owned(), code: BADPARAM },
            error => Self { text: format!("generic failure: {error}"), code: FAIL },
        }
    }
}

const NAME: &str = "saslpasswd2";
/// `SASL_FAIL`, -1.
const FAIL: u8 = 1;
/// `SASL_BADPARAM`, -7.
const BADPARAM: u8 = 7;
/// `SASL_NOUSER`, -20.
const NOUSER: u8 = 20;
/// `SASL_WEAKPASS`, -27.
const WEAKPASS: u8 = 27;
/// What libsasl2 calls `SASL_WEAKPASS`.
const WEAK: &str = "passphrase is too weak for security policy";
/// What libsasl2 calls `SASL_BADPARAM`.
const INVALID: &str = "invalid parameter supplied";

/// As saslpasswd2 2.1.28 prints it, less the notice that belongs to its code.
pub(super) const USAGE: &str = "\
saslpasswd2: usage: saslpasswd2 [-v] [-c [-p] [-n]] [-d] [-a appname] [-f sasldb] [-u DOM] userid
\t-p\tpipe mode -- no prompt, password read on stdin
\t-c\tcreate -- ask mechs to create the account
\t-d\tdisable -- ask mechs to disable/delete the account
\t-n\tno userPassword -- don't set plaintext userPassword property
\t  \t                   (only set mechanism-specific secrets)
\t-f sasldb\tuse given file as sasldb
\t-a appname\tuse appname as application name
\t-u DOM\tuse DOM for user domain
\t-v\tprint version numbers and exit
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::store::Weakness;

    #[test]
    fn a_weak_password_has_the_code_and_the_words_of_libsasl2() {
        let failure = Failure::from(StoreError::Weak(Weakness::Short { length: 5, wanted: 8 }));
        assert_eq!(failure.code, 27);
        let words = "passphrase is too weak for security policy: it has 5 characters, and ";
        assert!(failure.text.starts_with(words), "{}", failure.text);
    }
}
