//! `saslgate user list|show`: tables for people, `--json` for programs.
//!
//! Dates in tables are local time, in JSON UTC, both as RFC 3339 writes them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{CommandError, parse_name};
use crate::backend::store::{Access, Moment, Store, StoreError, User};
use crate::base::Printable;
use crate::cli::output::{print, print_json};
use crate::cli::table::{plain_table, rendered};
use crate::config::Config;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print a JSON array, one object a user.
    #[arg(long)]
    json: bool,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The user: NAME or NAME@REALM.
    user: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn list(args: &ListArgs, config: &Config) -> Result<(), CommandError> {
    let store = Store::open(&config.store, Access::Existing)?;
    let users = store.list().collect::<Result<Vec<User>, _>>()?;
    if args.json {
        return Ok(print_json(&users.iter().map(Record::of).collect::<Vec<_>>())?);
    }
    let mut table = plain_table();
    table.set_header([
        "USER",
        "REALM",
        "STATE",
        "MECHANISMS",
        "STORED",
        "CREATED",
        "CHANGED",
        "LAST USED",
    ]);
    for user in &users {
        table.add_row(fields(user));
    }
    Ok(print(&rendered(table))?)
}

pub(super) fn show(args: &ShowArgs, config: &Config) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    let store = Store::open(&config.store, Access::Existing)?;
    let user = store.find(&identity)?.ok_or(StoreError::NoSuchUser(identity))?;
    if args.json {
        return Ok(print_json(&Record::of(&user))?);
    }
    let names =
        ["user", "realm", "state", "mechanisms", "stored", "created", "changed", "last used"];
    let mut table = plain_table();
    for (name, value) in names.into_iter().zip(fields(&user)) {
        table.add_row([name.to_owned(), value]);
    }
    Ok(print(&rendered(table))?)
}

/// A user as JSON. The names are a contract.
#[derive(Serialize)]
struct Record<'a> {
    user: &'a str,
    realm: &'a str,
    state: &'static str,
    mechanisms: Vec<&'static str>,
    /// Kinds of what is stored.
    stored: Vec<&'static str>,
    created: String,
    changed: String,
    last_used: Option<String>,
}

impl<'a> Record<'a> {
    fn of(user: &'a User) -> Self {
        Self {
            user: user.identity.user(),
            realm: user.identity.realm(),
            state: user.state.as_str(),
            mechanisms: user.mechanisms(),
            stored: kinds(user),
            created: utc(user.created),
            changed: utc(user.changed),
            last_used: user.last_used.map(utc),
        }
    }
}

fn kinds(user: &User) -> Vec<&'static str> {
    user.kinds.iter().map(|kind| kind.as_str()).collect()
}

fn fields(user: &User) -> [String; 8] {
    let words = |words: &[&str]| match words {
        [] => "none".to_owned(),
        words => words.join(" "),
    };
    [
        Printable::from(user.identity.user()).to_string(),
        Printable::from(user.identity.realm()).to_string(),
        user.state.as_str().to_owned(),
        words(&user.mechanisms()),
        words(&kinds(user)),
        local(user.created),
        local(user.changed),
        user.last_used.map_or_else(|| "never".to_owned(), local),
    ]
}

pub(super) fn utc(moment: Moment) -> String {
    timestamp(moment).to_string()
}

pub(super) fn local(moment: Moment) -> String {
    let zoned = timestamp(moment).to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// A date that no calendar has (only a foreign hand writes one) becomes 1970.
fn timestamp(moment: Moment) -> Timestamp {
    Timestamp::from_second(moment.unix()).unwrap_or(Timestamp::UNIX_EPOCH)
}
