//! `saslgate user add|passwd|del|lock|unlock`: one change each.
//!
//! Whether the user exists is asked before the password is, so that nobody
//! types one twice for nothing.

use super::{CommandError, parse_name, passphrase, password};
use crate::backend::store::{Access, Store, StoreError};
use crate::base::{Identity, Secret};
use crate::cli::output::print;
use crate::config::Config;

/// A command that names a user and needs a password.
#[derive(Debug, clap::Args)]
pub(super) struct WithPassword {
    /// The user: NAME or NAME@REALM.
    user: String,
    /// Read the password from standard input, one line, even on a terminal.
    #[arg(long)]
    stdin: bool,
    /// Draw a password of 80 random bits and print it to standard output.
    #[arg(long, conflicts_with = "stdin")]
    generate: bool,
}

/// A command that names a user.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// The user: NAME or NAME@REALM.
    user: String,
}

pub(super) fn add(args: &WithPassword, config: &Config) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    let mut store = Store::open(&config.store, Access::Create)?;
    if store.find(&identity)?.is_some() {
        // Before the password is asked for, not after it was typed twice.
        return Err(StoreError::UserExists(identity).into());
    }
    let password = args.password()?;
    store.add(&identity, Some(&password))?;
    args.report(&password, &format!("{identity} added"))
}

pub(super) fn passwd(args: &WithPassword, config: &Config) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    let mut store = Store::open(&config.store, Access::Existing)?;
    if store.find(&identity)?.is_none() {
        return Err(StoreError::NoSuchUser(identity).into());
    }
    let password = args.password()?;
    store.set_password(&identity, &password)?;
    args.report(&password, &format!("{identity} has a new password"))
}

pub(super) fn del(args: &Named, config: &Config) -> Result<(), CommandError> {
    change(args, config, "deleted", Store::delete)
}

pub(super) fn lock(args: &Named, config: &Config) -> Result<(), CommandError> {
    change(args, config, "locked", Store::lock)
}

pub(super) fn unlock(args: &Named, config: &Config) -> Result<(), CommandError> {
    change(args, config, "unlocked", Store::unlock)
}

fn change(
    args: &Named,
    config: &Config,
    done: &str,
    task: impl FnOnce(&mut Store, &Identity) -> Result<(), StoreError>,
) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    task(&mut Store::open(&config.store, Access::Existing)?, &identity)?;
    Ok(print(&format!("{identity} {done}\n"))?)
}

impl WithPassword {
    fn password(&self) -> Result<Secret, CommandError> {
        if self.generate {
            return Ok(passphrase::generate()?);
        }
        let password = if self.stdin {
            password::read_line().map_err(password::PasswordError::from)?
        } else {
            password::read()?
        };
        if password.is_empty() {
            return Err(StoreError::EmptyPassword.into());
        }
        Ok(password)
    }
    /// Says what was done. A password that was drawn is all of standard output,
    /// for scripts; it is shown now or never.
    fn report(&self, password: &Secret, done: &str) -> Result<(), CommandError> {
        if !self.generate {
            return Ok(print(&format!("{done}\n"))?);
        }
        let text = zeroize::Zeroizing::new(String::from_utf8_lossy(password.expose()).into_owned());
        print(&format!("{}\n", *text))?;
        eprintln!("{done}: {} random bits, shown this once", passphrase::BITS);
        Ok(())
    }
}
