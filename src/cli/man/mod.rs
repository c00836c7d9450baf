//! `saslgate man`: writes the manual pages, made from the tables that the
//! program itself works by: arguments, keys, and the faces of the originals.
//!
//! `make install` runs it, so that pages and program are of one version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_mangen::Man;

use super::failed;

mod faces;
mod roff;
mod settings;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory that gets man5 and man8.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write the pages of saslauthd, saslpasswd2, sasldblistusers2 and testsaslauthd instead.
    #[arg(long)]
    originals: bool,
}

/// Writes the pages of `programs`, or those of the originals.
pub(super) fn run(args: &Args, programs: Vec<clap::Command>) -> ExitCode {
    let written = if args.originals {
        write_faces(&args.directory)
    } else {
        write_own(&args.directory, programs)
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("saslgate man", &error),
    }
}

fn write_faces(directory: &Path) -> io::Result<()> {
    for (name, text) in faces::pages() {
        write(directory, name, 8, text.as_bytes())?;
    }
    Ok(())
}

fn write_own(directory: &Path, programs: Vec<clap::Command>) -> io::Result<()> {
    write(directory, "saslgate.toml", 5, settings::page().as_bytes())?;
    for mut program in programs {
        program = program.disable_help_subcommand(true);
        program.build();
        write_command(directory, &program)?;
    }
    Ok(())
}

/// The page of a command, and those of its commands.
fn write_command(directory: &Path, command: &clap::Command) -> io::Result<()> {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_command(directory, inner)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut page = Vec::new();
    Man::new(command.clone()).section("8").render(&mut page)?;
    write(directory, &name, 8, &page)
}

fn write(directory: &Path, name: &str, section: u8, page: &[u8]) -> io::Result<()> {
    let folder = directory.join(format!("man{section}"));
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.{section}"));
    fs::write(&path, page)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
