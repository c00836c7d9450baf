//! `saslgate user export`: all users as JSON lines, for another host or a report.

use std::io::{self, BufWriter, ErrorKind, Write};

use super::CommandError;
use crate::backend::store::import::Export;
use crate::backend::store::{Access, Store};
use crate::config::Config;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write the hashes too: whoever has them can guess at the passwords.
    #[arg(long)]
    with_hashes: bool,
}

pub(super) fn run(args: &Args, config: &Config) -> Result<(), CommandError> {
    let store = Store::open(&config.store, Access::Existing)?;
    let export = if args.with_hashes { Export::WithHashes } else { Export::WithoutHashes };
    let mut output = BufWriter::new(io::stdout().lock());
    for user in store.list() {
        let line = store.export(&user?, export)?;
        match writeln!(output, "{}", *line) {
            // A reader that has seen enough, such as head.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            outcome => outcome?,
        }
    }
    Ok(output.flush()?)
}
