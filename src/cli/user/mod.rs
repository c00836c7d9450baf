//! `saslgate user`: manages the users of the password store.
//!
//! Changes print one line to standard output, errors one to standard error;
//! a password comes from the terminal or from standard input only. Exit codes:
//! 0 done, 1 refused (the user exists, does not exist, the passwords differ or are weak),
//! 2 wrong usage, and from sysexits(3) 65 damaged, 66 no store, 74 input or
//! output, 75 in use, 77 no permission, 78 configuration.

use std::io;
use std::process::ExitCode;

use clap::Subcommand;

use super::{ConfigSource, exit};
use crate::backend::store::import::SourceError;
use crate::backend::store::{ScopeError, StoreError};
use crate::base::Identity;
use crate::config::Config;

mod app_password;
mod change;
mod export;
mod import;
mod list;
mod passphrase;
pub(super) mod password;
mod report;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user, with a password that is asked for.
    Add(change::WithPassword),
    /// Give a user a new password.
    Passwd(change::WithPassword),
    /// Remove a user.
    Del(change::Named),
    /// Lock an account; its password is kept.
    Lock(change::Named),
    /// Unlock an account.
    Unlock(change::Named),
    /// Manage app passwords: one for each program of a user.
    #[command(subcommand)]
    AppPassword(app_password::Action),
    /// Bring users along from a sasldb2, shadow, Dovecot, htpasswd, CSV or an export.
    Import(import::Args),
    /// Write all users as JSON lines.
    Export(export::Args),
    /// List all users.
    List(list::ListArgs),
    /// Show one user.
    Show(list::ShowArgs),
}

/// Runs the command.
pub(super) fn run(args: &Args, config: &ConfigSource) -> ExitCode {
    let config = match config.load_or_explain() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let outcome = match &args.action {
        Action::Add(args) => change::add(args, &config),
        Action::Passwd(args) => change::passwd(args, &config),
        Action::Del(args) => change::del(args, &config),
        Action::Lock(args) => change::lock(args, &config),
        Action::Unlock(args) => change::unlock(args, &config),
        Action::AppPassword(action) => app_password::run(action, &config),
        Action::Import(args) => import::run(args, &config),
        Action::Export(args) => export::run(args, &config),
        Action::List(args) => list::list(args, &config),
        Action::Show(args) => list::show(args, &config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("saslgate: {error}");
            error.exit_code()
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("\"{name}\" is no user: {error}")]
    Name { name: String, error: crate::base::IdentityError },
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error(transparent)]
    Generate(#[from] passphrase::GenerateError),
    #[error(transparent)]
    Password(#[from] password::PasswordError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl CommandError {
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Name { .. } | Self::Scope(_) | Self::Password(_) => 1,
            Self::Generate(_) => exit::IO,
            Self::Source(SourceError::Io { error, .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                exit::NO_INPUT
            }
            Self::Source(SourceError::Io { .. }) => exit::IO,
            Self::Source(_) => exit::DATA,
            Self::Store(error) => store_exit_code(error),
            Self::Output(_) => exit::IO,
        })
    }
}

fn store_exit_code(error: &StoreError) -> u8 {
    match error {
        StoreError::UserExists(_)
        | StoreError::NoSuchUser(_)
        | StoreError::LabelExists { .. }
        | StoreError::NoSuchLabel { .. }
        | StoreError::Weak(_)
        | StoreError::EmptyPassword => 1,
        StoreError::Missing { .. } | StoreError::NoDirectory { .. } => exit::NO_INPUT,
        StoreError::Denied { .. }
        | StoreError::WrongOwner { .. }
        | StoreError::TooOpen { .. }
        | StoreError::OpenDirectory { .. }
        | StoreError::ForeignDirectory { .. } => exit::NO_PERMISSION,
        StoreError::Full { .. } | StoreError::Io { .. } | StoreError::Hash(_) => exit::IO,
        StoreError::Busy { .. } => exit::TEMPORARY,
        StoreError::Damaged { .. }
        | StoreError::BadVerifier { .. }
        | StoreError::BadAppPassword { .. }
        | StoreError::Foreign { .. }
        | StoreError::NotAFile { .. }
        | StoreError::Newer { .. }
        | StoreError::LeftoverLog { .. }
        | StoreError::Sasldb2 { .. } => exit::DATA,
    }
}

fn parse_name(name: &str, config: &Config) -> Result<Identity, CommandError> {
    Identity::parse(name, &config.auth.default_realm)
        .map_err(|error| CommandError::Name { name: name.escape_debug().to_string(), error })
}
