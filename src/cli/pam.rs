//! `saslgate-pam`: the command line of the supervisor of PAM workers.
//!
//! Run as a service it reads `[pam]` of the configuration; started by authd it
//! is given everything as flags, so that both always agree.

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::{ConfigSource, failed};
use crate::backend::pam::{Settings, UserForm};
use crate::daemon::pam::{Source, run};
use crate::ops::log;
use crate::ops::syslog::Program;

/// Runs PAM modules for saslgate authd, each request in a process that may be killed.
#[derive(Debug, Parser)]
#[command(name = "saslgate-pam", version)]
struct Args {
    /// Configuration file; the default one may be absent.
    #[arg(long, short = 'C', value_name = "FILE", conflicts_with = "inherited")]
    config: Option<PathBuf>,
    /// Started by authd: standard input is the listening socket, and the flags below count.
    #[arg(long)]
    inherited: bool,
    #[command(flatten)]
    given: Given,
}

/// What authd tells the `saslgate-pam` that it starts.
#[derive(Debug, clap::Args)]
struct Given {
    /// PAM services that may be asked for, separated by commas.
    #[arg(long, value_delimiter = ',', requires = "inherited", value_name = "NAMES")]
    services: Vec<String>,
    /// Deadline of a request in milliseconds.
    #[arg(long, default_value_t = 30_000, requires = "inherited", value_name = "MS")]
    timeout_ms: u64,
    /// Worker processes at most.
    #[arg(long, default_value_t = 96, requires = "inherited", value_name = "N")]
    max_workers: usize,
    /// A worker without work ends after this many milliseconds.
    #[arg(long, default_value_t = 60_000, requires = "inherited", value_name = "MS")]
    idle_timeout_ms: u64,
    /// A worker ends after this many requests.
    #[arg(long, default_value_t = 1_000, requires = "inherited", value_name = "N")]
    requests_per_worker: u32,
    /// Directory of service files instead of /etc/pam.d.
    #[arg(long, requires = "inherited", value_name = "DIR")]
    service_dir: Option<PathBuf>,
    /// Uid of authd, if it is not ours.
    #[arg(long, requires = "inherited", value_name = "UID")]
    peer_uid: Option<u32>,
    /// Least severe level that is logged.
    #[arg(long, default_value = "info", requires = "inherited", value_name = "LEVEL")]
    log_level: log::Level,
    /// Where log lines go.
    #[arg(long, default_value = "auto", requires = "inherited", value_name = "TARGET")]
    log_target: log::Target,
    /// What log lines look like.
    #[arg(long, default_value = "text", requires = "inherited", value_name = "FORMAT")]
    log_format: log::Format,
}

/// The command line, for its manual page.
pub(super) fn command() -> clap::Command {
    Args::command()
}

/// Entry point.
pub(super) fn main() -> ExitCode {
    let args = Args::parse();
    let file = ConfigSource(args.config);
    let (log, settings, source) = if args.inherited {
        given(args.given)
    } else {
        match file.load_or_explain() {
            Ok(config) => (config.log, config.pam, Source::Service { user: config.authd_user }),
            Err(code) => return code,
        }
    };
    if let Err(error) = log::init(log, Program::Helper) {
        return failed("saslgate-pam", &error);
    }
    let reread =
        move || file.load().map(|config| config.pam).map_err(|problems| problems.to_string());
    match run(settings, &source, Rc::new(reread)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed("saslgate-pam", &error),
    }
}

fn given(given: Given) -> (log::Settings, Settings, Source) {
    let log = log::Settings {
        level: given.log_level,
        target: given.log_target,
        format: given.log_format,
    };
    let settings = Settings {
        socket: None,
        services: given.services,
        // Who decides what PAM gets is authd, and so is the queue its own.
        user: UserForm::Local,
        max_waiting: 0,
        timeout: Duration::from_millis(given.timeout_ms),
        max_workers: given.max_workers,
        idle_timeout: Duration::from_millis(given.idle_timeout_ms),
        requests_per_worker: given.requests_per_worker,
        service_dir: given.service_dir,
        // What authd remembers is authd's.
        watched_files: Vec::new(),
    };
    (log, settings, Source::Parent { peer: given.peer_uid })
}
