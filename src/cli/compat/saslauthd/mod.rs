//! The face of Cyrus saslauthd 2.1.28: the same flags, messages, exit codes,
//! pid file and signals, so that init scripts and units need no change.
//!
//! ```text
//! flags -> settings (flags over /etc/saslgate/saslgate.toml) -> place -> serve
//! ```
//!
//! What it does differently, and why, is in `docs/saslauthd-behaviour.md`. The
//! two that matter most: the command returns when requests are answered, not
//! before; and a second instance refuses to start, with `-d` too. The file is
//! optional, and is another one where `SASLGATE_CONFIG` names it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::super::ConfigSource;
use super::super::authd::{self, Failure};
use super::VERSION;
use crate::config::Config;
use crate::ops::log::{self, Target};
use crate::ops::syslog::Program;
use crate::ops::systemd;
use crate::sys::detach::{Report, Reporter, Side, detach, give_up_stdio};
use crate::sys::local_socket::{Occupant, occupant};
use crate::sys::privileges::is_root;
use flags::{Flags, Mistake, Wish};
use place::Place;
use settings::{Settled, settle};

mod flags;
mod mechanisms;
mod place;
mod settings;

const NAME: &str = "saslauthd";

/// The version whose behaviour this is.
const ORIGINAL: &str = "2.1.28";

/// Names another configuration file, for a second instance beside the first.
const CONFIG_VARIABLE: &str = "SASLGATE_CONFIG";

/// Exit code of the original where another instance runs.
const TAKEN: u8 = 2;
const FAILED: u8 = 1;

/// Runs it under the name `called_as`, with the words behind that.
pub(super) fn run(called_as: &OsString, words: Vec<OsString>) -> ExitCode {
    match flags::parse(&called_as.to_string_lossy(), words) {
        Ok(Wish::Version) => eprint!("{}", version()),
        Ok(Wish::Help) => eprint!("{USAGE}{}", version()),
        Ok(Wish::Serve(flags)) => return start(&flags),
        // Wrong usage is no failure, as with the original.
        Err(Mistake::Usage(complaint)) => eprint!("{complaint}{USAGE}{}", version()),
        Err(Mistake::NoMechanism) => {
            say("no authentication mechanism specified");
            eprint!("{USAGE}{}", version());
        }
        Err(Mistake::Value(text)) => {
            say(&text);
            return ExitCode::from(FAILED);
        }
    }
    ExitCode::SUCCESS
}

/// The mechanisms of `-a`.
pub(super) fn mechanisms() -> String {
    mechanisms::names()
}

fn version() -> String {
    let names = mechanisms();
    format!("{NAME} {ORIGINAL} (saslgate {VERSION})\nauthentication mechanisms: {names}\n\n")
}

/// Says each line as the original does before it becomes a daemon.
fn say(text: &str) {
    for line in text.lines() {
        eprintln!("{NAME}[{}] :{line}", std::process::id());
    }
}

/// How a start that failed ends.
fn end(code: u8, text: &str) -> ExitCode {
    if code == TAKEN {
        say("Cannot start saslauthd");
        say("Another instance of saslauthd is currently running");
    }
    say(text);
    ExitCode::from(code)
}

fn start(flags: &Flags) -> ExitCode {
    let given = std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    // Read again after the change of the directory.
    let source = ConfigSource(
        given.map(|path| std::path::absolute(&path).unwrap_or_else(|_| PathBuf::from(path))),
    );
    let file = match source.load_or_explain() {
        Ok(file) => file,
        // Under this name every failed start is a 1.
        Err(_) => return ExitCode::from(FAILED),
    };
    let service = match settle(flags, file) {
        Ok(settled) => Service::new(flags, source, settled),
        Err(text) => return end(FAILED, &text),
    };
    let place = match Place::enter(&service.config.saslauthd.socket) {
        Ok(place) => place,
        Err(trouble) => return end(trouble.code(), &trouble.to_string()),
    };
    if flags.stays { service.stay(place) } else { service.leave(place) }
}

/// What is to be served.
struct Service<'a> {
    flags: &'a Flags,
    source: ConfigSource,
    config: Config,
    notes: Vec<String>,
    /// The `saslgate-pam` of the file is not there: we start one.
    has_own_helper: bool,
}

impl<'a> Service<'a> {
    fn new(flags: &'a Flags, source: ConfigSource, settled: Settled) -> Self {
        let Settled { config, notes } = settled;
        let mut service = Self { flags, source, config, notes, has_own_helper: false };
        service.find_helper();
        service
    }

    /// The file of a host with systemd names the socket of saslgate-pam.service.
    /// Whoever starts us under the original's name may not know of that unit;
    /// as root we do without it.
    fn find_helper(&mut self) {
        let Some(socket) = &self.config.pam.socket else { return };
        let is_there = matches!(occupant(socket), Ok(Occupant::Live(_)));
        if !is_there && is_root() && self.config.auth.backends.iter().any(|name| name == "pam") {
            let place = socket.display();
            self.notes
                .push(format!("nobody listens on {place}: starting a saslgate-pam of our own"));
            self.config.pam.socket = None;
            self.has_own_helper = true;
        }
    }
    /// `-d` and `-f`: in the foreground, without a pid file; the start-up lock
    /// is held to the end.
    fn stay(self, place: Place) -> ExitCode {
        if let Err(error) = log::init(self.config.log, Program::Saslauthd) {
            return end(FAILED, &error.to_string());
        }
        let outcome = self.serve(|| {});
        drop(place);
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => end(code(&failure), &failure.to_string()),
        }
    }

    /// Becomes a daemon. The command ends when that serves, or says why it does not.
    fn leave(self, place: Place) -> ExitCode {
        match detach() {
            Err(error) => end(FAILED, &format!("cannot become a daemon: {error}")),
            Ok(Side::Caller(waiting)) => {
                let report = waiting.report().unwrap_or_else(|| Report {
                    code: FAILED,
                    text: "the daemon ended before it served: see the log".to_owned(),
                });
                drop(place);
                if report.code == 0 { ExitCode::SUCCESS } else { end(report.code, &report.text) }
            }
            Ok(Side::Service(reporter)) => self.live(place, reporter),
        }
    }

    /// The life of the daemon, from its pid file to its end.
    fn live(mut self, place: Place, reporter: Reporter) -> ExitCode {
        let pid_file = match place.sign() {
            Ok(pid_file) => pid_file,
            Err(trouble) => {
                reporter.failed(trouble.code(), &trouble.to_string());
                return ExitCode::from(trouble.code());
            }
        };
        if self.config.log.target == Target::Auto {
            self.config.log.target = Target::Syslog;
        }
        let prepared = give_up_stdio().map_err(|error| error.to_string()).and_then(|()| {
            log::init(self.config.log, Program::Saslauthd).map_err(|error| error.to_string())
        });
        if let Err(text) = prepared {
            reporter.failed(FAILED, &text);
            return ExitCode::from(FAILED);
        }
        tracing::info!("master pid is: {}", std::process::id());
        systemd::main_process();
        let mut reporter = Some(reporter);
        let outcome = self.serve(|| {
            if let Some(reporter) = reporter.take() {
                reporter.ready();
            }
        });
        drop(pid_file);
        let Err(failure) = outcome else { return ExitCode::SUCCESS };
        tracing::error!("{failure}");
        let code = code(&failure);
        if let Some(reporter) = reporter {
            reporter.failed(code, &failure.to_string());
        }
        ExitCode::from(code)
    }

    fn serve(&self, ready: impl FnOnce()) -> Result<(), Failure> {
        for note in &self.notes {
            tracing::info!("{note}");
        }
        let read = || {
            let file = self.source.load().map_err(|problems| problems.to_string())?;
            let mut config = settle(self.flags, file)?.config;
            if config.log.target == Target::Auto {
                config.log.target = self.config.log.target;
            }
            if self.has_own_helper {
                config.pam.socket = None;
            }
            Ok(config)
        };
        let outcome = authd::serve(&self.config, self.source.path(), read, ready);
        if outcome.is_ok() {
            tracing::info!("master exited: {}", std::process::id());
        }
        outcome
    }
}

fn code(failure: &Failure) -> u8 {
    if failure.is_taken() { TAKEN } else { FAILED }
}

pub(super) const USAGE: &str = "usage: saslauthd [options]

option information:
  -a <authmech>  Selects the authentication mechanism to use.
  -c             Enable credential caching.
  -d             Debugging (don't detach from tty, implies -V)
  -r             Combine the realm with the login before passing to authentication mechanism
                 Ex. login: \"foo\" realm: \"bar\" will get passed as login: \"foo@bar\"
                 The realm name is passed untouched.
  -O <option>    Optional argument to pass to the authentication
                 mechanism.
  -l             Disable accept() locking. Increases performance, but
                 may not be compatible with some operating systems.
  -m <path>      Alternate path for the saslauthd working directory,
                 must be absolute.
  -n <procs>     Number of worker processes to create.
  -s <kilobytes> Size of the credential cache (in kilobytes)
  -t <seconds>   Timeout for items in the credential cache (in seconds)
  -v             Display version information and available mechs
  -V             Enable verbose logging
  -h             Display this message.

";
