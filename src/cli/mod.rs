//! The command line: one file per subcommand, and the faces of the originals in `compat`.
//!
//! Called as `saslgate`, the first argument names the command; called under
//! the name of an original (`saslpasswd2`, `testsaslauthd`, ...) it is that
//! program. This is the only place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the place that prints")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, Config};
use crate::sys;

mod authd;
mod check;
mod check_access;
mod check_host;
mod check_unit;
mod compat;
mod control;
mod exit;
mod gate;
mod man;
mod output;
mod pam;
mod show_config;
mod table;
mod try_out;
mod user;

/// Where the configuration is read from unless `--config` says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/saslgate/saslgate.toml";

/// A drop-in for Cyrus saslauthd, and a submission gate in front of sendmail.
#[derive(Debug, Parser)]
#[command(name = "saslgate", version, propagate_version = true, arg_required_else_help = true)]
struct Saslgate {
    /// Configuration file; the default one may be absent.
    #[arg(long, short = 'C', global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Verify passwords on the saslauthd socket.
    Authd(authd::Args),
    /// Front an MTA with STARTTLS and AUTH on 587 and 465.
    Gate(gate::Args),
    /// Try the whole product on loopback, in a private directory.
    Try(try_out::Args),
    /// Manage the users of the password store.
    User(user::Args),
    /// Show the gate's sessions and backends.
    Status(control::StatusArgs),
    /// End sessions of the gate.
    Kick(control::KickArgs),
    /// Check the configuration: every problem at once.
    Check(check::Args),
    /// Show every setting with its default and meaning, or explain one.
    Config(show_config::Args),
    /// Write the manual pages into a directory.
    Man(man::Args),
}

/// Entry point of the `saslgate` binary.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called_as = words.next().unwrap_or_default();
    if let Some(code) = compat::run_as(&called_as, words) {
        return code;
    }
    let Saslgate { config, command } = Saslgate::parse();
    let config = ConfigSource(config);
    match command {
        Command::Authd(args) => authd::run(&args, &config),
        Command::Gate(args) => gate::run(&args, &config),
        Command::Try(args) => try_out::run(&args, &config),
        Command::User(args) => user::run(&args, &config),
        Command::Status(args) => control::status(&args, &config),
        Command::Kick(args) => control::kick(&args, &config),
        Command::Check(args) => check::run(&args, &config),
        Command::Config(args) => show_config::run(&args, &config),
        Command::Man(args) => man::run(&args, vec![Saslgate::command(), pam::command()]),
    }
}

/// Entry point of the `saslgate-pam` binary.
#[must_use]
pub fn pam_main() -> ExitCode {
    pam::main()
}

/// The configuration file a command works with.
struct ConfigSource(Option<PathBuf>);

impl ConfigSource {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    /// True if no file was named and there is none in the default place: then
    /// every key has its default. A file that was named may not be absent.
    fn is_absent(&self) -> bool {
        self.0.is_none() && is_absent(self.path())
    }

    /// Reads the file, or gives the defaults where it [is absent](Self::is_absent).
    fn load(&self) -> Result<Config, config::Problems> {
        let fqdn = sys::host::fqdn();
        if self.is_absent() {
            return Ok(Config::with_defaults(&fqdn));
        }
        config::load(self.path(), &fqdn)
    }

    /// Reads the file, or prints what is wrong with it.
    fn load_or_explain(&self) -> Result<Config, ExitCode> {
        self.load().map_err(|problems| {
            eprint!("{}", problems.render(output::look(&std::io::stderr())));
            ExitCode::from(exit::CONFIG)
        })
    }
}

/// Keeps what a service knows out of core files. To be called with the rights it will keep.
fn keep_memory_private() {
    if let Err(error) = sys::limits::forbid_core_dumps() {
        tracing::warn!("core files of this process may hold passwords: {error}");
    }
}

/// The runtime of a service, if the kernel gives random bytes: keys are made of
/// them, and what seeds its tables with them would panic without.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    getrandom::fill(&mut [0; 16]).map_err(|error| {
        let text = format!("the kernel gives no random bytes (getrandom(2)): {error}");
        std::io::Error::other(text)
    })?;
    tokio::runtime::Runtime::new()
}

/// Says why the service `name` did not start.
fn failed(name: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

/// True if nothing is there. A file that cannot be seen, or a link that leads
/// nowhere, is not nothing: a service must not start with defaults behind its back.
fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_at_all_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("saslgate.toml");
        assert!(is_absent(&path));
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert!(!is_absent(&path), "a link that leads nowhere");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(!is_absent(&file.join("below")), "below something that is no directory");
    }
}
