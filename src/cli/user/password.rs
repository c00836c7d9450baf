//! Where a new password comes from: the terminal, twice, or standard input.
//! Never the command line, which every user of the host can read.
//! Also used by the face of saslpasswd2.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::base::Secret;
use crate::sys::terminal::{InputError, Quiet, read_secret_line};

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum PasswordError {
    /// The second one was another.
    #[error("the passwords don't match; nothing was changed")]
    Mismatch,
    /// It could not be read.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// Reads a new password from standard input: asks twice on a terminal, else takes one line.
pub(in crate::cli) fn read() -> Result<Secret, PasswordError> {
    if io::stdin().is_terminal() { ask_twice() } else { Ok(read_line()?) }
}

/// Takes one line of standard input, whatever that is.
pub(in crate::cli) fn read_line() -> Result<Secret, InputError> {
    read_secret_line(io::stdin())
}

/// Asks twice, in the words of the original saslpasswd2.
fn ask_twice() -> Result<Secret, PasswordError> {
    let first = ask("Password: ")?;
    let second = ask("Again (for verification): ")?;
    if first.matches(&second) { Ok(first) } else { Err(PasswordError::Mismatch) }
}

fn ask(prompt: &str) -> Result<Secret, InputError> {
    let stdin = io::stdin();
    // Quiet before the prompt: whoever waits for the prompt may type at once.
    let quiet = Quiet::new(stdin.as_fd())?;
    let mut stdout = io::stdout();
    stdout.write_all(prompt.as_bytes()).and_then(|()| stdout.flush())?;
    let secret = quiet.read_secret();
    // The line break that was typed was not echoed.
    stdout.write_all(b"\n").and_then(|()| stdout.flush())?;
    secret
}
