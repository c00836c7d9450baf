//! `saslgate check`: every problem of the configuration at once.
//!
//! What the file says is judged by `config`; what it names on this host is
//! looked at in `check_host` and only warned about, since the service may run
//! as another account or on another host. Exit codes: 0 good, 78 (`EX_CONFIG`) not.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::output::{look, show, show_json};
use super::{ConfigSource, check_access, check_host, exit};
use crate::base::Identity;
use crate::config::{self, Config, Inspected, Problem, Problems, Severity};
use crate::gate::AuthSource;
use crate::sys;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if the file is good, warnings or not; 78 if it cannot be used."
)]
pub(super) struct Args {
    /// The file to check; else that of --config, else the default one.
    file: Option<PathBuf>,
    /// Print the problems as a JSON list (empty: good).
    #[arg(long)]
    json: bool,
    /// Also print which backends a login is asked of: USER, or USER@REALM.
    #[arg(long, value_name = "USER", conflicts_with = "json")]
    login: Option<String>,
    /// The service of that login.
    #[arg(long, value_name = "NAME", default_value = "smtp", requires = "login")]
    service: String,
    /// The [[authd.listener]] through which it comes, instead of the default socket.
    #[arg(long, value_name = "NAME", requires = "login")]
    listener: Option<String>,
    /// Instead, explain which line of the access map decides about an address, a
    /// host, a mail address, or a key such as From:user@dom.
    #[arg(long, value_name = "ADDRESS|KEY", conflicts_with = "login")]
    access: Option<String>,
}

/// Runs the command.
pub(super) fn run(args: &Args, config: &ConfigSource) -> ExitCode {
    let path = args.file.as_deref().unwrap_or(config.path());
    let fqdn = sys::host::fqdn();
    if let Some(given) = &args.access {
        return explain(args, given, config);
    }
    if args.file.is_none() && config.is_absent() {
        return without_file(args, path, &Config::with_defaults(&fqdn));
    }
    match config::inspect(path, &fqdn) {
        Ok(file) => good(args, path, &file),
        Err(problems) => bad(args, path, &problems),
    }
}

fn explain(args: &Args, given: &str, source: &ConfigSource) -> ExitCode {
    let path = args.file.as_deref().unwrap_or(source.path());
    let fqdn = sys::host::fqdn();
    if args.file.is_none() && source.is_absent() {
        return check_access::run(given, &Config::with_defaults(&fqdn), args.json);
    }
    match config::load(path, &fqdn) {
        Ok(config) => check_access::run(given, &config, args.json),
        Err(problems) => bad(args, path, &problems),
    }
}

fn without_file(args: &Args, path: &Path, config: &Config) -> ExitCode {
    if args.json {
        show("[]\n");
        return ExitCode::SUCCESS;
    }
    let head = format!("{}: does not exist, every setting has its default\n", path.display());
    show(&(head + &services(config, &[]) + &way(args, config)));
    ExitCode::SUCCESS
}

fn good(args: &Args, path: &Path, file: &Inspected) -> ExitCode {
    let notes = match ldap_notes(&file.config) {
        Ok(notes) => notes,
        Err(problems) => return bad(args, problems.path(), &problems),
    };
    let mut found = check_host::warnings(file);
    found.extend(notes.into_iter().map(|note| file.warning("ldap.config", note, "read from here")));
    let warnings = file.problems(found);
    if args.json {
        show_json(&lines(&warnings));
        return ExitCode::SUCCESS;
    }
    let mut text = warnings.render(look(&std::io::stdout()));
    if !warnings.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!("{}: good\n", path.display()));
    let warned: Vec<&str> = warnings.iter().filter_map(|it| it.key.as_deref()).collect();
    text.push_str(&services(&file.config, &warned));
    text.push_str(&way(args, &file.config));
    show(&text);
    ExitCode::SUCCESS
}

/// What there is to say about the original's file that `ldap.config` names, if authd will read it.
fn ldap_notes(config: &Config) -> Result<Vec<String>, Problems> {
    if !config.auth.backends.iter().any(|name| name == "ldap") {
        return Ok(Vec::new());
    }
    config::ldap_settings(&config.ldap).map(|settings| settings.notes)
}

fn bad(args: &Args, path: &Path, problems: &Problems) -> ExitCode {
    if args.json {
        show_json(&lines(problems));
    } else {
        let text = problems.render(look(&std::io::stdout()));
        let count = problems.iter().count();
        let noun = if count == 1 { "problem" } else { "problems" };
        show(&format!("{text}\n{}: {count} {noun}, not usable\n", path.display()));
    }
    ExitCode::from(exit::CONFIG)
}

/// Which backends the login of `--login` is asked of, a line; empty without one.
fn way(args: &Args, config: &Config) -> String {
    let Some(login) = &args.login else { return String::new() };
    let settings = &config.auth;
    let identity = match Identity::parse(login, &settings.default_realm) {
        Ok(identity) => identity,
        Err(error) => return format!("{login}: {error}\n"),
    };
    let listener = args.listener.as_deref();
    match settings.choose(listener, identity.realm(), &args.service) {
        Some(names) => {
            format!("{identity} for {}: asks {}\n", args.service, names.join(", then "))
        }
        None => "there is no [[authd.listener]] of that name\n".to_owned(),
    }
}

/// Which services could start with this configuration, a line each. `warned`
/// are the keys that something was said about.
fn services(config: &Config, warned: &[&str]) -> String {
    let chance = |sections: &[&str]| {
        let is_of = |key: &&&str| sections.iter().any(|section| key.starts_with(section));
        match warned.iter().find(is_of) {
            None => "can start",
            Some(_) => "can start, unless a warning above stands in the way",
        }
    };
    let authd = format!(
        "authd: {}; asks {} and answers at {}\n",
        chance(&["authd.", "pam.", "store."]),
        config.auth.backends.join(", then "),
        config.saslauthd.socket.display()
    );
    let gate = &config.gate;
    let AuthSource::Saslauthd(socket) = &gate.auth;
    if config.tls.is_none() {
        let why = "no certificate is named; set `certificate` and `key` in [tls]";
        return format!("{authd}gate: cannot start, {why}\n");
    }
    let listeners: Vec<String> =
        gate.listeners.iter().map(|listener| listener.address.to_string()).collect();
    let backends: Vec<&str> = gate.backends.iter().map(|backend| &*backend.address).collect();
    format!(
        "{authd}gate: {}; listens on {}, asks {}, hands mail to {}\n",
        chance(&["gate.", "tls."]),
        listeners.join(", "),
        socket.display(),
        backends.join(", ")
    )
}

/// A problem as other programs read it. Line and column count from 1 and are
/// null where the problem is about the file as a whole.
#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    severity: &'static str,
    key: Option<&'a str>,
    message: &'a str,
    detail: Option<&'a str>,
    help: Option<&'a str>,
}

fn lines(problems: &Problems) -> Vec<Line<'_>> {
    let line = |problem| line(problems, problem);
    problems.iter().map(line).collect()
}

fn line<'a>(problems: &Problems, problem: &'a Problem) -> Line<'a> {
    let position = problems.position(problem);
    Line {
        file: problems.path().display().to_string(),
        line: position.map(|(line, _)| line),
        column: position.map(|(_, column)| column),
        severity: match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        key: problem.key.as_deref(),
        message: &problem.title,
        detail: problem.place.as_ref().map(|place| place.label.as_str()),
        help: problem.help.as_deref(),
    }
}
