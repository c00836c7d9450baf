//! The face of Cyrus sasldblistusers2 2.1.28: lists who has a password.
//!
//! ```text
//! sasldblistusers2   alice@example.org: userPassword
//! sasldblistusers    user: alice realm: example.org mech: PLAIN
//! ```
//!
//! The second form is that of the first sasldblistusers (SASL 1.x): one line
//! for each mechanism that a user can use. Called under the name without the
//! `2`, this prints it. A user without a password has no line in either, as a
//! user without a property had none; `saslgate user list` shows everybody.
//!
//! Differences from the original: sorted by realm and name instead of in hash
//! order; a failure has an exit code (1) and says what failed; control
//! characters cannot be in names.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use super::getopt::{Argument, Getopt};
use crate::backend::store::{Access, Settings, Store, StoreError, User};
use crate::cli::ConfigSource;

/// Runs it with the words behind the program name.
pub(super) fn run(words: Vec<OsString>) -> ExitCode {
    execute(words, |user, output| {
        if user.has_password() {
            writeln!(output, "{}@{}: userPassword", user.identity.user(), user.identity.realm())?;
        }
        Ok(())
    })
}

/// Runs it as sasldblistusers of SASL 1.x.
pub(super) fn run_first(words: Vec<OsString>) -> ExitCode {
    execute(words, |user, output| {
        for mechanism in user.mechanisms() {
            let (name, realm) = (user.identity.user(), user.identity.realm());
            writeln!(output, "user: {name} realm: {realm} mech: {mechanism}")?;
        }
        Ok(())
    })
}

/// Writes the lines of one user.
type Format = fn(&User, &mut dyn Write) -> io::Result<()>;

fn execute(words: Vec<OsString>, format: Format) -> ExitCode {
    let file = match parse(words) {
        Ok(Request::List(file)) => file,
        Ok(Request::Version) => {
            eprintln!("saslgate {}, as sasldblistusers2 of LibSasl version 2.1.28", super::VERSION);
            return ExitCode::SUCCESS;
        }
        Err(Some(complaint)) => {
            eprintln!("{complaint}{USAGE}Unrecognized command line option");
            return ExitCode::FAILURE;
        }
        Err(None) => {
            eprint!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let mut settings = match ConfigSource(None).load_or_explain() {
        Ok(config) => config.store,
        Err(code) => return code,
    };
    if let Some(file) = file {
        settings.path = file;
    }
    match list(&settings, format) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("listusers failed: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Request {
    List(Option<PathBuf>),
    Version,
}

/// Parses as getopt does. The error is what it complains of; `None` if the
/// words are options, but not in a way that makes sense.
fn parse(words: Vec<OsString>) -> Result<Request, Option<String>> {
    let mut words = Getopt::new(NAME, "vf:h", words);
    let (mut files, mut is_wrong) = (Vec::new(), false);
    for argument in words.by_ref() {
        match argument {
            Argument::Flag(b'v') => return Ok(Request::Version),
            Argument::Flag(_) => return Err(None),
            Argument::Valued(_, file) | Argument::Operand(file) => files.push(file),
            Argument::Wrong => is_wrong = true,
        }
    }
    if is_wrong {
        return Err(Some(words.complaints()));
    }
    if files.len() > 1 {
        return Err(None);
    }
    Ok(Request::List(files.pop().map(PathBuf::from)))
}

#[derive(Debug, thiserror::Error)]
enum ListError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

fn list(settings: &Settings, format: Format) -> Result<(), ListError> {
    let store = Store::open(settings, Access::Existing)?;
    let mut output = BufWriter::new(io::stdout().lock());
    let written = store.list().try_for_each(|user| Ok(format(&user?, &mut output)?));
    match written.and_then(|()| Ok(output.flush()?)) {
        // A reader that has seen enough, such as head.
        Err(ListError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

const NAME: &str = "sasldblistusers2";

/// As sasldblistusers2 2.1.28 prints it, less the notice that belongs to its code.
const USAGE: &str = "\
sasldblistusers2: usage: sasldblistusers2 [-v] [[-f] sasldb]
\t-f sasldb\tuse given file as sasldb
\t-v\tprint version numbers and exit
";
