//! Standard output of the commands: text, JSON, and whether a terminal wants colours.
//!
//! A reader that went away (`| head`) has seen enough: that is no error here,
//! where `print!` would panic. Called by every command that is not a service.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::config::Look;

/// Writes `text` to standard output.
///
/// # Errors
/// Those of `write(2)`, but a broken pipe.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Writes `value` as JSON over several lines.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// As [`print`], where nothing depends on whether anybody reads it.
pub(super) fn show(text: &str) {
    let _ = print(text);
}

/// As [`print_json`], where nothing depends on whether anybody reads it.
pub(super) fn show_json(value: &impl Serialize) {
    let _ = print_json(value);
}

/// Colours for a terminal that can and wants them (<https://no-color.org>).
pub(super) fn look(stream: &impl IsTerminal) -> Look {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if stream.is_terminal() && !is_unwanted && !is_dumb { Look::Coloured } else { Look::Plain }
}
