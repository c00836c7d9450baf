//! Runs `tests/dialog/*.txt` against the program `saslgate gate`. The format is
//! told in `tests/dialog/README.md`; `src/gate/session/tests.rs` runs the same
//! files against the state machine alone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::dialogue;
use support::gate_world::{Options, World};
use support::scripted_backend::Backend;
use support::smtp_client::SmtpClient;

/// The limits of the world of the dialogues.
const LIMITS: &str = "max_message = \"1MiB\"\nmax_recipients = 3\nmax_line = 2048\n\
    max_errors = 5\nmax_auth_failures = 3\nmax_commands = 200\n";

fn dialogues() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialog");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "txt")).collect();
    files.sort();
    files
}

/// How the client's bytes are cut into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segments {
    /// Consecutive client lines travel together.
    Whole,
    /// Each byte travels alone.
    Bytes,
}

fn run(world: &World, file: &Path, segments: Segments) {
    let text = fs::read_to_string(file).unwrap();
    let mut client = match text.contains("@listener implicit") {
        true => world.connect(),
        false => SmtpClient::connect(world.starttls),
    };
    let mut pending = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{} ({segments:?})", file.display(), number + 1);
        if let Some(text) = line.strip_prefix("C: ").or_else(|| (line == "C:").then_some("")) {
            pending.extend(dialogue::unescape(text));
            pending.extend(b"\r\n");
            continue;
        }
        send(&mut client, &std::mem::take(&mut pending), segments);
        if let Some(expected) = line.strip_prefix("S: ") {
            let got = client.line().unwrap_or_else(|error| panic!("{place}: {error}"));
            let got = String::from_utf8_lossy(&got);
            match expected.strip_suffix('*') {
                Some(start) => assert!(got.starts_with(start), "{place}: {got:?}"),
                None => assert_eq!(got.trim_end(), expected.trim_end(), "{place}"),
            }
        } else if line == "TLS" {
            client.handshake(&world.ca()).unwrap_or_else(|error| panic!("{place}: {error}"));
        } else if line == "CLOSED" {
            let rest = String::from_utf8_lossy(&client.rest()).into_owned();
            assert_eq!(rest, "", "{place}: more before the end");
        } else {
            assert!(line.is_empty() || line.starts_with(['#', '@']), "{place}: what is {line:?}?");
        }
    }
}

fn send(client: &mut SmtpClient, bytes: &[u8], segments: Segments) {
    match segments {
        Segments::Whole if bytes.is_empty() => {}
        Segments::Whole => client.send(bytes),
        // A server that has closed needs no more of them.
        Segments::Bytes => drop(bytes.iter().try_for_each(|byte| client.try_send(&[*byte]))),
    }
}

fn hold_all(segments: Segments) {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate(LIMITS));
    let files = dialogues();
    assert!(files.len() >= 20, "only {} dialogues found", files.len());
    for file in &files {
        run(&world, file, segments);
    }
    world.wait_for_sessions(files.len());
    backend.wait_until_quiet();
    backend.assert_rules();
    for password in ["s3cret", "czNjcmV0", "AGFsaWNl"] {
        assert!(!world.service.log().contains(password), "{password} is in the log");
    }
}

#[test]
fn the_program_holds_every_dialogue() {
    hold_all(Segments::Whole);
}

#[test]
fn the_program_holds_every_dialogue_byte_by_byte() {
    hold_all(Segments::Bytes);
}
