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
//! A file that Cyrus's saslpasswd2 wrote is listed as the original lists it: a
//! line for each property, in the order of the file. Without a file it is
//! whichever authd asks: the store, or the sasldb2 where only that is asked.
//!
//! Differences from the original: the store is sorted by realm and name; a
//! failure has an exit code (1) and says what failed; a malformed key is
//! counted on standard error, where the original goes round for ever; control
//! characters in names are shown as `\xNN`.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::getopt::{Argument, Getopt};
use crate::backend::sasldb::{self, Entry, SasldbError};
use crate::backend::store::{Access, Settings, Store, StoreError, User};
use crate::cli::ConfigSource;
use crate::config::Config;

/// Runs it with the words behind the program name.
pub(super) fn run(words: Vec<OsString>) -> ExitCode {
    execute(words, &Form { user: user_line, entry: entry_line })
}

/// Runs it as sasldblistusers of SASL 1.x.
pub(super) fn run_first(words: Vec<OsString>) -> ExitCode {
    execute(words, &Form { user: user_mechanisms, entry: entry_mechanisms })
}

/// How a line looks.
struct Form {
    /// Writes the lines of a user of the store.
    user: fn(&User, &mut dyn Write) -> io::Result<()>,
    /// Writes the lines of a record of a sasldb2.
    entry: fn(&Entry, &mut dyn Write) -> io::Result<()>,
}

fn user_line(user: &User, output: &mut dyn Write) -> io::Result<()> {
    if user.has_password() {
        writeln!(output, "{}@{}: userPassword", user.identity.user(), user.identity.realm())?;
    }
    Ok(())
}

fn user_mechanisms(user: &User, output: &mut dyn Write) -> io::Result<()> {
    for mechanism in user.mechanisms() {
        let (name, realm) = (user.identity.user(), user.identity.realm());
        writeln!(output, "user: {name} realm: {realm} mech: {mechanism}")?;
    }
    Ok(())
}

fn entry_line(entry: &Entry, output: &mut dyn Write) -> io::Result<()> {
    write_name(&entry.user, output)?;
    output.write_all(b"@")?;
    write_name(&entry.realm, output)?;
    output.write_all(b": ")?;
    write_name(&entry.property, output)?;
    output.write_all(b"\n")
}

fn entry_mechanisms(entry: &Entry, output: &mut dyn Write) -> io::Result<()> {
    let mechanisms: &[&str] = if entry.is_password() { &["PLAIN", "LOGIN"] } else { &[] };
    for mechanism in mechanisms {
        output.write_all(b"user: ")?;
        write_name(&entry.user, output)?;
        output.write_all(b" realm: ")?;
        write_name(&entry.realm, output)?;
        writeln!(output, " mech: {mechanism}")?;
    }
    Ok(())
}

/// The bytes as they are, whatever their charset, less what a terminal obeys.
fn write_name(name: &[u8], output: &mut dyn Write) -> io::Result<()> {
    for byte in name {
        match byte {
            0..=0x1f | 0x7f => write!(output, "\\x{byte:02x}")?,
            _ => output.write_all(std::slice::from_ref(byte))?,
        }
    }
    Ok(())
}

fn execute(words: Vec<OsString>, form: &Form) -> ExitCode {
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
    let config = match ConfigSource(None).load_or_explain() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let listed = match source(&config, file) {
        Source::Sasldb(path) => list_sasldb(&path, form),
        Source::Store(settings) => list_store(&settings, form),
    };
    match listed {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough, such as head.
        Err(ListError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("listusers failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the users are.
enum Source {
    Sasldb(PathBuf),
    Store(Settings),
}

fn source(config: &Config, file: Option<PathBuf>) -> Source {
    let asks = |name: &str| config.auth.backends.iter().any(|backend| backend == name);
    let mut store = config.store.clone();
    match file {
        Some(path) if sasldb::format_of(&path).is_some() => return Source::Sasldb(path),
        Some(path) => store.path = path,
        None if asks("sasldb") && !asks("store") => {
            return Source::Sasldb(config.sasldb.present_path());
        }
        None => {}
    }
    Source::Store(store)
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
    #[error(transparent)]
    Sasldb(#[from] SasldbError),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

fn list_store(settings: &Settings, form: &Form) -> Result<(), ListError> {
    let store = Store::open(settings, Access::Existing)?;
    let mut output = BufWriter::new(io::stdout().lock());
    for user in store.list() {
        (form.user)(&user?, &mut output)?;
    }
    Ok(output.flush()?)
}

fn list_sasldb(path: &Path, form: &Form) -> Result<(), ListError> {
    let contents = sasldb::read_file(path)?;
    let mut output = BufWriter::new(io::stdout().lock());
    for entry in &contents.entries {
        (form.entry)(entry, &mut output)?;
    }
    output.flush()?;
    if contents.malformed > 0 {
        eprintln!(
            "{NAME}: {} records left out: their keys are not user, realm and property",
            contents.malformed
        );
    }
    Ok(())
}

const NAME: &str = "sasldblistusers2";

/// As sasldblistusers2 2.1.28 prints it, less the notice that belongs to its code.
pub(super) const USAGE: &str = "\
sasldblistusers2: usage: sasldblistusers2 [-v] [[-f] sasldb]
\t-f sasldb\tuse given file as sasldb
\t-v\tprint version numbers and exit
";
