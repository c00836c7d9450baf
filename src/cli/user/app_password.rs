//! `saslgate user app-password add|list|revoke`: passwords for single programs.
//!
//! `add` prints the password to standard output and all else to standard error,
//! so that a script can take it, and nobody can ask for it a second time.

use clap::Subcommand;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan, Zoned};
use serde::Serialize;

use super::list::{local, utc};
use super::{CommandError, parse_name};
use crate::backend::store::{Access, AppPassword, Label, Moment, Scope, Store};
use crate::base::Printable;
use crate::cli::output::{print, print_json};
use crate::cli::table::{plain_table, rendered};
use crate::config::Config;

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Draw one, and show it once.
    Add(AddArgs),
    /// List those of a user.
    List(ListArgs),
    /// Take one away.
    Revoke(RevokeArgs),
}

/// Arguments of `add`.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The user: NAME or NAME@REALM.
    user: String,
    /// What the user calls it: the program or device it is for.
    label: String,
    /// A service it is good for, as the client names it (imap, smtp, sieve);
    /// can be given several times. Without it: all.
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// When it ends: a time from now (12h, 90d, 4w) or its last day (2027-01-31).
    #[arg(long, value_name = "TIME", value_parser = parse_expiry)]
    expires: Option<Moment>,
}

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// The user: NAME or NAME@REALM.
    user: String,
    /// Print a JSON array, one object an app password.
    #[arg(long)]
    json: bool,
}

/// Arguments of `revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The user: NAME or NAME@REALM.
    user: String,
    /// Its label.
    label: String,
}

pub(super) fn run(action: &Action, config: &Config) -> Result<(), CommandError> {
    match action {
        Action::Add(args) => add(args, config),
        Action::List(args) => list(args, config),
        Action::Revoke(args) => revoke(args, config),
    }
}

fn add(args: &AddArgs, config: &Config) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    let label = Label::new(&args.label)?;
    let scope = Scope::of(args.service.iter().map(String::as_str))?;
    let mut store = Store::open(&config.store, Access::Existing)?;
    let password = store.add_app_password(&identity, &label, &scope, args.expires)?;
    // It consists of ASCII letters, digits and hyphens.
    let text = zeroize::Zeroizing::new(String::from_utf8_lossy(password.expose()).into_owned());
    print(&format!("{}\n", *text))?;
    eprintln!(
        "This is the only time that the app password {:?} of {identity} is shown. It is good \
         for {}{}; hyphens and capitals do not matter.",
        label.as_str(),
        if scope.is_everywhere() { "all services" } else { scope.as_str() },
        args.expires.map_or_else(String::new, |end| format!(", until {}", local(end))),
    );
    Ok(())
}

fn list(args: &ListArgs, config: &Config) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    let found = Store::open(&config.store, Access::Existing)?.app_passwords(&identity)?;
    if args.json {
        return Ok(print_json(&found.iter().map(Record::of).collect::<Vec<_>>())?);
    }
    let now = Timestamp::now().as_second();
    let mut table = plain_table();
    table.set_header(["LABEL", "SERVICES", "EXPIRES", "CREATED", "LAST USED"]);
    for app in &found {
        let end = match app.expires {
            None => "never".to_owned(),
            Some(end) if end.unix() <= now => format!("{} (over)", local(end)),
            Some(end) => local(end),
        };
        table.add_row([
            Printable::from(app.label.as_str()).to_string(),
            if app.scope.is_everywhere() { "all" } else { app.scope.as_str() }.to_owned(),
            end,
            local(app.created),
            app.last_used.map_or_else(|| "never".to_owned(), local),
        ]);
    }
    Ok(print(&rendered(table))?)
}

fn revoke(args: &RevokeArgs, config: &Config) -> Result<(), CommandError> {
    let identity = parse_name(&args.user, config)?;
    let label = Label::new(&args.label)?;
    Store::open(&config.store, Access::Existing)?.revoke_app_password(&identity, &label)?;
    Ok(print(&format!("app password {:?} of {identity} revoked\n", label.as_str()))?)
}

/// An app password as JSON. The names are a contract.
#[derive(Serialize)]
struct Record<'a> {
    label: &'a str,
    services: Vec<&'a str>,
    expires: Option<String>,
    created: String,
    last_used: Option<String>,
}

impl<'a> Record<'a> {
    fn of(app: &'a AppPassword) -> Self {
        Self {
            label: app.label.as_str(),
            services: app.scope.services().collect(),
            expires: app.expires.map(utc),
            created: utc(app.created),
            last_used: app.last_used.map(utc),
        }
    }
}

fn parse_expiry(text: &str) -> Result<Moment, String> {
    expiry(text, &Zoned::now())
}

/// The end that `text` means: a time behind `now`, or the last day on which it
/// works, in the time zone of `now`.
fn expiry(text: &str, now: &Zoned) -> Result<Moment, String> {
    const FORMS: &str = "expected a time such as 12h, 90d or 4w, or a day such as 2027-01-31";
    let end = match text.parse::<Date>() {
        Ok(day) => day.tomorrow().and_then(|next| next.to_zoned(now.time_zone().clone())),
        Err(_) => now.checked_add(span(text).ok_or(FORMS)?),
    };
    let end = end.map_err(|_| "no calendar goes that far".to_owned())?;
    if end.timestamp() <= now.timestamp() {
        return Err("it lies in the past".to_owned());
    }
    // The zone matters only for where a day ends.
    Ok(Moment::from_unix(end.with_time_zone(TimeZone::UTC).timestamp().as_second()))
}

/// A whole number and a unit: hours, days, weeks.
fn span(text: &str) -> Option<Span> {
    let unit = text.chars().last()?;
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let is_fit = (1..=100_000).contains(&number);
    let span = match unit {
        'h' => number.hours(),
        'd' => number.days(),
        'w' => number.weeks(),
        _ => return None,
    };
    is_fit.then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Result<String, String> {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let now: Timestamp = "2026-11-20T16:00:00Z".parse().unwrap();
        expiry(text, &now.to_zoned(zone)).map(utc)
    }

    #[test]
    fn times_count_from_now_and_days_are_whole() {
        assert_eq!(end("12h").as_deref(), Ok("2026-11-21T04:00:00Z"));
        assert_eq!(end("90d").as_deref(), Ok("2027-02-18T16:00:00Z"));
        assert_eq!(end("4w").as_deref(), Ok("2026-12-18T16:00:00Z"));
        assert_eq!(end("2026-11-20").as_deref(), Ok("2026-11-20T23:00:00Z"), "today counts");
        assert_eq!(end("2027-07-01").as_deref(), Ok("2027-07-01T22:00:00Z"), "in summer time");
    }

    #[test]
    fn what_is_no_time_to_come_is_refused() {
        for bad in ["", "d", "90", "0d", "-1d", "1y", "90 d", "2026-13-01", "100001w", "\u{e4}"] {
            assert!(end(bad).unwrap_err().starts_with("expected a time such as"), "{bad}");
        }
        assert!(end("2026-11-19").unwrap_err().contains("past"));
        assert!(end("9999-12-31").unwrap_err().contains("calendar"));
    }
}
