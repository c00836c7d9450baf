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
    let man = Man::new(command.clone()).section("8").source(SOURCE);
    write(directory, &name, 8, &left_adjusted(&man)?)
}

/// The page with a synopsis that is not stretched: an option that cannot be broken
/// would leave holes in lines of full width, and a warning on a narrow terminal.
fn left_adjusted(man: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    let page = String::from_utf8_lossy(&page).into_owned();
    Ok(page
        .replacen(".SH SYNOPSIS\n", ".SH SYNOPSIS\n.ad l\n", 1)
        .replacen(".SH DESCRIPTION\n", ".ad b\n.SH DESCRIPTION\n", 1)
        .into_bytes())
}

fn write(directory: &Path, name: &str, section: u8, page: &[u8]) -> io::Result<()> {
    let folder = directory.join(format!("man{section}"));
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.{section}"));
    fs::write(&path, page)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// What stands at the foot of each page.
const SOURCE: &str = concat!("saslgate ", env!("CARGO_PKG_VERSION"));
