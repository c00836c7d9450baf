//! `saslgate try`: the whole product in one command, without root and without touching the host.
//!
//! In a private directory it makes a certificate, a store with a user, and a
//! configuration; starts authd, the gate and a maildir sink as backend in this
//! process; submits one message as a real client; shows what was said; and
//! serves until it is told to stop.
//!
//! ```text
//! client --STARTTLS, AUTH--> gate --saslauthd socket--> authd --> store
//!                              `--SMTP--> sink (or --backend) --> Maildir
//! ```
//!
//! | file | what |
//! |---|---|
//! | `place` | the directory and the configuration file |
//! | `certificate`, `users` | what else is made up |
//! | `stage` | the services, started and stopped |
//! | `client`, `transcript` | the message, and how it went |
//! | `sink`, `maildir` | the built-in backend |
//! | `show`, `recipes` | what is printed: the session, the mail, lines to paste |
//!
//! Exit code: 0, or 1 if it could not start, or with `--once` if the message
//! was not accepted; 2 for wrong usage. Standard output is the show; standard error the log.

mod certificate;
mod client;
mod maildir;
mod place;
mod recipes;
mod show;
mod sink;
mod stage;
mod transcript;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use client::{Letter, submit};
use stage::{Stage, StageError};
use transcript::Transcript;

use crate::cli::{ConfigSource, exit};
use crate::daemon::signals::Signals;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Hand mail to this MTA instead of the built-in maildir.
    #[arg(long, value_name = "HOST:PORT")]
    backend: Option<String>,
    /// End after the message: with 0 if it was accepted, else with 1.
    #[arg(long)]
    once: bool,
    /// Keep certificate, users and mail in this directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Listen here with STARTTLS [default: a free loopback port].
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:0",
        hide_default_value = true
    )]
    listen: SocketAddr,
    /// Listen here with TLS from the first byte [default: a free loopback port].
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:0",
        hide_default_value = true
    )]
    listen_implicit: SocketAddr,
    /// Users of this file, lines "user:password" or "user:password:realm", instead of a made-up one.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Print where it listens, and nothing else; no log.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, config: &ConfigSource) -> ExitCode {
    if config.0.is_some() {
        eprintln!("saslgate try: it writes a configuration of its own; leave --config out");
        return ExitCode::from(exit::USAGE);
    }
    let outcome = tokio::runtime::Runtime::new().map_err(StageError::Runtime).and_then(|runtime| {
        let outcome = runtime.block_on(play(args));
        // Told to stop while it hashes a long list of users, it does not hash them all.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("saslgate try: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Every signal ends it, a hang-up of the terminal too: nothing is reloaded
/// here, and the directory has to be removed.
async fn play(args: &Args) -> Result<ExitCode, StageError> {
    let mut signals = Signals::install().map_err(StageError::Signals)?;
    let stage = tokio::select! {
        stage = Stage::set(args) => stage?,
        _ = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let is_accepted = tokio::select! {
        is_accepted = perform(&stage, args) => is_accepted,
        _ = signals.next() => {
            stage.strike().await;
            return Ok(ExitCode::FAILURE);
        }
    };
    if !args.once {
        signals.next().await;
    }
    stage.strike().await;
    Ok(if is_accepted || !args.once { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Submits the message and shows how it went. True if it was accepted.
async fn perform(stage: &Stage, args: &Args) -> bool {
    let letter = Letter::new(stage.user(), stage.is_sink());
    let mut transcript = Transcript::default();
    if !args.quiet {
        show::opening(stage);
    }
    let outcome =
        submit(stage.starttls, &stage.client, stage.user(), &letter, &mut transcript).await;
    if !args.quiet {
        show::session(&transcript);
    }
    match &outcome {
        Ok(reply) if !args.quiet => show::delivery(stage, &letter, reply),
        Ok(_) => {}
        Err(error) => eprintln!("saslgate try: the message was not accepted: {error}"),
    }
    match (args.once, args.quiet) {
        (true, _) => {}
        (false, true) => show::places(stage),
        (false, false) => show::recipes(stage, &letter),
    }
    outcome.is_ok()
}
