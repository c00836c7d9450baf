//! `saslgate status` and `saslgate kick`: what the gate tells at its control socket.
//!
//! The protocol is `wire::control`'s. What clients sent (logins) is escaped
//! before a terminal sees it. Exit codes: 0, 1 where the gate cannot be asked or
//! nobody was meant, 78 configuration.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::output::{print, print_json};
use super::{ConfigSource, failed};
use crate::base::Printable;
use crate::wire::control::{self, Backend, Gate, Line, Request, Session};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
    /// Show it again every SECONDS, until interrupted.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600),
        conflicts_with = "json"
    )]
    watch: Option<u64>,
}

/// Arguments of `kick`.
#[derive(Debug, clap::Args)]
pub(super) struct KickArgs {
    /// The id of a session as in the log, a login (without @: in every realm), an address, or a
    /// network such as 192.0.2.0/24.
    #[arg(value_name = "ID|LOGIN|ADDRESS")]
    who: String,
}

/// Why the gate cannot be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("gate.control is \"\" in the configuration: the gate has no control socket")]
    Off,
    #[error("cannot reach the gate at {path}: {source}{}", advice(source))]
    Unreachable { path: String, source: io::Error },
    #[error("the gate did not answer as it should: {0}")]
    Broken(io::Error),
    #[error("the gate refuses: {0}")]
    Refused(String),
    #[error("no session is meant by \"{0}\"")]
    Nobody(String),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "; does the gate run?",
        io::ErrorKind::PermissionDenied => "; ask as root, or see gate.control_group",
        _ => "",
    }
}

/// Everything that the gate tells.
#[derive(Debug, Default, Serialize)]
struct Answer {
    gate: Option<Gate>,
    backends: Vec<Backend>,
    sessions: Vec<Session>,
    /// Sessions that there was no room for.
    left_off: u64,
}

/// How long the gate may take for a line of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// `saslgate status`.
pub(super) fn status(args: &StatusArgs, config: &ConfigSource) -> ExitCode {
    run("saslgate status", config, |socket| {
        loop {
            let answer = ask(socket, &Request::Status)?;
            if args.json {
                return print_json(&answer).map_err(ControlError::Broken);
            }
            // A terminal is cleared, home first, so that nothing flickers.
            let clear = args.watch.is_some() && io::stdout().is_terminal();
            let text = if clear { "\x1b[H\x1b[2J" } else { "" };
            print(&format!("{text}{}", answer.table())).map_err(ControlError::Broken)?;
            let Some(seconds) = args.watch else { return Ok(()) };
            std::thread::sleep(Duration::from_secs(seconds));
        }
    })
}

/// `saslgate kick`.
pub(super) fn kick(args: &KickArgs, config: &ConfigSource) -> ExitCode {
    run("saslgate kick", config, |socket| {
        let answer = ask(socket, &Request::Kick { who: args.who.clone() })?;
        if answer.sessions.is_empty() {
            return Err(ControlError::Nobody(args.who.clone()));
        }
        let lines = answer.sessions.iter().map(|session| {
            let login = session.login.as_deref().unwrap_or("-");
            format!("ended {} {} {}\n", session.id, session.client, Printable::from(login))
        });
        print(&lines.collect::<String>()).map_err(ControlError::Broken)
    })
}

fn run(
    name: &str,
    config: &ConfigSource,
    work: impl FnOnce(&Path) -> Result<(), ControlError>,
) -> ExitCode {
    let config = match config.load_or_explain() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let socket = config.gate.control.socket.as_deref().ok_or(ControlError::Off);
    match socket.and_then(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &error),
    }
}

fn ask(socket: &Path, request: &Request) -> Result<Answer, ControlError> {
    let unreachable =
        |source| ControlError::Unreachable { path: socket.display().to_string(), source };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(unreachable)?;
    stream.write_all(&control::line(request)).map_err(ControlError::Broken)?;
    let mut answer = Answer::default();
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(ControlError::Broken)?;
        let line = serde_json::from_str(&line).map_err(|it| ControlError::Broken(it.into()))?;
        match line {
            Line::Gate(gate) => answer.gate = Some(gate),
            Line::Backend(backend) => answer.backends.push(backend),
            Line::Session(session) => answer.sessions.push(session),
            Line::Error(why) => return Err(ControlError::Refused(why)),
            Line::End(end) => {
                answer.left_off = end.left_off;
                return Ok(answer);
            }
        }
    }
    Err(ControlError::Broken(io::ErrorKind::UnexpectedEof.into()))
}

impl Answer {
    fn table(&self) -> String {
        let mut text = String::new();
        if let Some(Gate { version, seconds, sessions }) = &self.gate {
            let up = time(*seconds);
            text = format!("saslgate gate {version}, up {up}, {sessions} sessions\n\n");
        }
        let mut backends = plain_table();
        backends.set_header(["BACKEND", "ADDRESS", "STATE", "IDLE", "OPENED", "REUSED", "FAILED"]);
        for backend in &self.backends {
            backends.add_row([
                Printable::from(backend.name.as_str()).to_string(),
                backend.address.clone(),
                backend.state.clone(),
                backend.idle.to_string(),
                backend.opened.to_string(),
                backend.reused.to_string(),
                backend.failed.to_string(),
            ]);
        }
        text += &rendered(&backends);
        for backend in &self.backends {
            if let Some(reason) = &backend.reason {
                text += &format!("{}: {}\n", backend.name, Printable::from(reason.as_str()));
            }
        }
        if !self.sessions.is_empty() {
            text += "\n";
            text += &rendered(&self.sessions());
        }
        if self.left_off > 0 {
            text += &format!("and {} more\n", self.left_off);
        }
        text
    }

    fn sessions(&self) -> Table {
        let mut table = plain_table();
        table.set_header([
            "SESSION", "CLIENT", "LISTENER", "LOGIN", "STATE", "SINCE", "IN", "OUT", "MAILS",
            "BACKEND",
        ]);
        for session in &self.sessions {
            let text = |text: &Option<String>| {
                text.as_deref().map_or_else(|| "-".to_owned(), |it| Printable::from(it).to_string())
            };
            table.add_row([
                session.id.clone(),
                session.client.clone(),
                session.listener.clone(),
                text(&session.login),
                session.state.clone(),
                time(session.seconds),
                size(session.bytes_in),
                size(session.bytes_out),
                session.messages.to_string(),
                text(&session.backend),
            ]);
        }
        table
    }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn rendered(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim())).collect()
}

/// `59s`, `2m05s`, `3h04m`, `2d03h`.
fn time(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// `999B`, `1.2KiB`, `3.4MiB`.
fn size(bytes: u64) -> String {
    let (mut tenths, mut unit) = (bytes.saturating_mul(10), "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10_240 {
            break;
        }
        (tenths, unit) = (tenths / 1024, larger);
    }
    if unit == "B" { format!("{bytes}B") } else { format!("{}.{}{unit}", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!([0, 59, 60, 3599].map(time), ["0s", "59s", "1m00s", "59m59s"]);
        assert_eq!([3600, 86_399, 183_600].map(time), ["1h00m", "23h59m", "2d03h"]);
        assert_eq!([0, 1023, 1024, 1_300].map(size), ["0B", "1023B", "1.0KiB", "1.2KiB"]);
        assert_eq!([10 << 20, 1 << 60].map(size), ["10.0MiB", "1048576.0TiB"]);
    }

    #[test]
    fn a_login_does_nothing_to_the_terminal() {
        let session = Session {
            id: "k3f9abcdefghij".to_owned(),
            client: "192.0.2.7".to_owned(),
            listener: "127.0.0.1:587".to_owned(),
            kind: "submission".to_owned(),
            login: Some("al\x1b[2Jice".to_owned()),
            seconds: 65,
            state: "waiting".to_owned(),
            tls: true,
            bytes_in: 2048,
            bytes_out: 10,
            messages: 1,
            backend: None,
        };
        let answer = Answer { sessions: vec![session], left_off: 3, ..Answer::default() };
        let text = answer.table();
        assert!(!text.contains('\x1b'), "{text}");
        assert!(text.contains("al\\x1b\\x5b2Jice"), "{text}");
        assert!(text.contains("1m05s") && text.contains("2.0KiB"), "{text}");
        assert!(text.ends_with("and 3 more\n"), "{text}");
    }
}
