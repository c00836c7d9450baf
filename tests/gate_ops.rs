//! Looking into a gate at work: metrics through curl, `saslgate status`,
//! `saslgate kick`, logs in JSON, transcripts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::{fs, net::TcpListener};

use nix::sys::signal::Signal;
use serde_json::Value;
use support::fake_authd::{LOGIN, PASSWORD};
use support::gate::SASLGATE;
use support::gate_world::{Options, World};
use support::process::{Finished, PATIENCE, run, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::{SmtpClient, base64};

/// A directory for what the options name, and the options.
fn with_windows(lines: &str) -> (tempfile::TempDir, Options) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let gate = format!("control = \"{at}/control\"\n{lines}");
    let sections = format!("[metrics]\ngate = \"{at}/metrics\"\n");
    let backend = "pool_idle = 4\n".to_owned();
    (dir, Options { gate, backend, sections, ..Options::default() })
}

fn saslgate(world: &World, words: &[&str]) -> Finished {
    let mut command = Command::new(SASLGATE);
    command.args(words).arg("--config").arg(world.path("saslgate.toml"));
    run(&mut command, b"")
}

fn status(world: &World) -> Value {
    let said = saslgate(world, &["status", "--json"]).expect_success().stdout;
    serde_json::from_str(&said).unwrap()
}

fn scrape(socket: &Path) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--unix-socket"]).arg(socket);
    command.arg("http://localhost/metrics");
    run(&mut command, b"").expect_success().stdout
}

/// Waits until the metrics hold these lines.
fn wait_for_metrics(socket: &Path, lines: &[&str]) -> String {
    let mut text = String::new();
    wait_until(PATIENCE, || {
        text = scrape(socket);
        lines.iter().all(|line| text.lines().any(|it| it == *line))
    });
    for line in lines {
        assert!(text.lines().any(|it| it == *line), "no {line:?} in\n{text}");
    }
    text
}

#[test]
fn prometheus_reads_what_the_sessions_did() {
    let (dir, options) = with_windows("");
    let backend = Backend::polite();
    let world = World::start(backend.address, &options);
    let mut client = world.log_in();
    client.submit(b"Subject: x\r\n\r\nhello\r\n");
    client.submit(b"Subject: y\r\n\r\nhello\r\n");
    let mut guesser = world.connect();
    assert_eq!(guesser.reply().code, 220);
    guesser.expect("EHLO x.test", 250);
    guesser.expect(&format!("AUTH PLAIN {}", base64(b"\0alice\0wrong")), 535);
    let socket = dir.path().join("metrics");
    let name = backend.address;
    let text = wait_for_metrics(
        &socket,
        &[
            "saslgate_gate_sessions_total 2",
            "saslgate_gate_sessions_open 2",
            "saslgate_gate_tls_handshakes_total{version=\"TLSv1.3\"} 2",
            "saslgate_gate_auth_total{mechanism=\"PLAIN\",outcome=\"accepted\"} 1",
            "saslgate_gate_auth_total{mechanism=\"PLAIN\",outcome=\"rejected\"} 1",
            "saslgate_gate_messages_total{outcome=\"accepted\"} 2",
            "saslgate_gate_recipients_total 2",
            "saslgate_gate_content_bytes_total 42",
            "saslgate_gate_replies_total{code=\"220\"} 2",
            "saslgate_gate_replies_total{code=\"354\"} 2",
            "saslgate_gate_replies_total{code=\"535\"} 1",
            &format!("saslgate_backend_up{{backend=\"{name}\"}} 1"),
            &format!("saslgate_backend_connections_total{{backend=\"{name}\",how=\"opened\"}} 1"),
            &format!("saslgate_backend_connections_total{{backend=\"{name}\",how=\"reused\"}} 1"),
            &format!(
                "saslgate_backend_latency_seconds_count{{backend=\"{name}\",step=\"content\"}} 2"
            ),
        ],
    );
    let cert = world.ca();
    let expiry = format!("what=\"certificate\",file=\"{}\"", cert.display());
    assert!(text.contains(&expiry), "{text}");
    assert!(!text.contains("alice") && !text.contains(PASSWORD), "{text}");
    assert!(text.ends_with("# EOF\n"));
    drop((client, guesser));
    wait_for_metrics(&socket, &["saslgate_gate_sessions_open 0"]);
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn metrics_are_also_at_a_loopback_port_and_nothing_else_is() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sections = format!("[metrics]\ngate = \"{port}\"\n");
    let options = Options { sections, ..Options::default() };
    let _world = World::start(Backend::polite().address, &options);
    let fetch = |path: &str| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--write-out", "%{http_code} %{content_type}"]);
        command.args(["--output", "/dev/null"]).arg(format!("http://{port}{path}"));
        run(&mut command, b"").expect_success().stdout
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(fetch("/metrics"), format!("200 {kind}"));
    assert!(fetch("/").starts_with("404"), "nothing else is there");
}

#[test]
fn status_shows_who_is_here() {
    let (_dir, options) = with_windows("");
    let backend = Backend::polite();
    let world = World::start(backend.address, &options);
    let mut client = world.log_in();
    client.submit(b"Subject: x\r\n\r\nhello\r\n");
    client.open_message();
    let mut seen = Value::Null;
    wait_until(PATIENCE, || {
        seen = status(&world);
        seen["sessions"][0]["state"] == "content"
    });
    let session = &seen["sessions"][0];
    assert_eq!(session["state"], "content", "{seen}");
    assert_eq!(session["client"], "127.0.0.1");
    assert_eq!(session["listener"], world.implicit.to_string());
    assert_eq!(session["kind"], "submissions");
    assert_eq!((&session["tls"], &session["messages"]), (&true.into(), &1.into()));
    assert!(session["login"].as_str().unwrap().starts_with("alice"), "{seen}");
    assert_eq!(session["backend"], backend.address.to_string());
    assert!(session["bytes_in"].as_u64() > Some(100) && session["bytes_out"].as_u64() > Some(100));
    let id = session["id"].as_str().unwrap();
    assert!(world.service.log().contains(&format!("{id}: AUTH=server, ")), "the id of the log");
    assert_eq!(seen["gate"]["sessions"], 1);
    assert_eq!(seen["backends"][0]["state"], "up");
    assert_eq!(seen["backends"][0]["opened"], 1);

    let table = saslgate(&world, &["status"]).expect_success().stdout;
    for word in [id, "SESSION", "alice", "content", "BACKEND", "up"] {
        assert!(table.contains(word), "no {word} in\n{table}");
    }
}

#[test]
fn kick_ends_whom_it_means_with_421_and_nobody_else() {
    let (_dir, options) = with_windows("");
    let backend = Backend::polite();
    let world = World::start(backend.address, &options);
    let mut other = world.connect();
    assert_eq!(other.reply().code, 220);
    let mut alice = world.log_in();
    alice.open_message();
    let said = saslgate(&world, &["kick", "alice"]).expect_success().stdout;
    assert!(said.starts_with("ended ") && said.contains(" 127.0.0.1 alice"), "{said}");
    assert_eq!(said.lines().count(), 1);
    assert_eq!(alice.reply().code, 421);
    alice.expect_closed();
    other.expect("NOOP", 250);
    world.wait_for_messages(1);
    let log = world.service.log();
    assert!(log.contains("reason=kicked, reply=\"421 "), "{log}");
    assert!(log.contains("outcome=tempfail"), "a message that was on its way: {log}");
    assert!(backend.messages().is_empty(), "and the backend has none of it");

    let id = status(&world)["sessions"][0]["id"].as_str().unwrap().to_owned();
    saslgate(&world, &["kick", &id]).expect_success();
    assert_eq!(other.reply().code, 421);
    let nobody = saslgate(&world, &["kick", "bob"]);
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no session is meant by \"bob\""), "{}", nobody.stderr);
}

#[test]
fn the_control_socket_bounds_and_answers_nonsense() {
    let (dir, options) = with_windows("");
    let world = World::start(Backend::polite().address, &options);
    let socket = dir.path().join("control");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may close before it has read all of it.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        said
    };
    for nonsense in [&b"\n"[..], b"{}\n", b"{\"command\":\"status\"}", b"\xff\xfe\n"] {
        let said = ask(nonsense);
        assert!(said.starts_with("{\"error\":\"") && said.lines().count() == 1, "{said}");
    }
    ask(&vec![b'x'; 1 << 20]);
    assert!(ask(b"{\"command\":\"status\"}\n").contains("{\"end\":{\"left_off\":0}}"));
    drop(world);
    assert!(!socket.exists(), "it goes with the gate");
}

#[test]
fn status_without_a_gate_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("saslgate.toml");
    let at = dir.path().display();
    fs::write(&config, format!("[gate]\ncontrol = \"{at}/control\"\n")).unwrap();
    let ask =
        |config: &Path| run(Command::new(SASLGATE).arg("status").arg("--config").arg(config), b"");
    let said = ask(&config);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("does the gate run?"), "{}", said.stderr);
    fs::write(&config, "[gate]\ncontrol = \"\"\n").unwrap();
    assert!(ask(&config).stderr.contains("gate.control is \"\""));
}

#[test]
fn a_log_in_json_has_an_object_a_line_and_no_password() {
    let options = Options::default();
    let backend = Backend::polite();
    let (dir, _authd) = support::gate_world::lay_out(backend.address, &options);
    let mut command = Command::new(SASLGATE);
    command.args(["gate", "--log-format", "json", "--config"]);
    command.arg(dir.path().join("saslgate.toml"));
    let log = dir.path().join("gate.log");
    let mut service = support::gate::Service::spawn(&mut command, log);
    service.wait_for_log("\"event\":\"backend\"");
    let said = service.log();
    let objects = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let objects: Vec<Value> = objects.collect();
    let listening = objects.iter().find_map(|object| {
        object["message"].as_str()?.strip_prefix("listening on ").map(str::to_owned)
    });
    let place = listening.unwrap().split(", ").nth(1).unwrap().parse().unwrap();
    let ca = dir.path().join("cert.pem");
    let mut client = SmtpClient::connect_implicit(place, &ca);
    client.log_in();
    client.submit(b"Subject: x\r\n\r\nhello\r\n");
    drop(client);
    service.wait_for_log("\"event\":\"disconnect\"");
    let said = service.log();
    let mut session = None;
    for line in said.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let event = object["event"].as_str().unwrap();
        if ["auth", "message", "tls", "connect", "disconnect"].contains(&event) {
            let id = object["session"].as_str().unwrap().to_owned();
            assert_eq!(*session.get_or_insert_with(|| id.clone()), id, "one session: {line}");
        }
        if event == "message" {
            assert_eq!((&object["outcome"], &object["size"]), (&"accepted".into(), &21.into()));
        }
    }
    assert!(session.is_some(), "{said}");
    assert!(!said.contains(PASSWORD) && !said.contains(&support::smtp_client::plain_response()));
}

/// Alice logs in by LOGIN, which shows most, and sends a message.
fn busy_session(world: &World) {
    let mut client = world.connect();
    assert_eq!(client.reply().code, 220);
    client.expect("EHLO client.test", 250);
    client.expect("AUTH LOGIN", 334);
    client.expect(&base64(LOGIN.as_bytes()), 334);
    client.expect(&base64(PASSWORD.as_bytes()), 235);
    client.submit(b"Subject: topsecret\r\n\r\nhello\r\n");
    // A client that lost its way.
    client.expect(PASSWORD, 500);
    client.expect("QUIT", 221);
    client.expect_closed();
}

#[test]
fn a_transcript_has_the_dialogue_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("transcript");
    let at = path.display();
    let lines = format!("transcript = \"{at}\"\ntranscript_networks = [\"127.0.0.0/8\"]");
    let mut world = World::start(Backend::polite().address, &Options::gate(&lines));
    busy_session(&world);
    world.wait_for_sessions(1);
    assert_eq!(world.service.stop(), Some(0), "an end writes what is left");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let id = text.split(' ').next().unwrap();
    assert!(world.service.log().contains(&format!("{id}: AUTH=server, ")), "{text}");
    for wanted in [
        "=== CONNECT from [127.0.0.1]:",
        "=== TLS TLSv1.3 TLS_",
        ">>> 220 gate.test ESMTP",
        "<<< EHLO client.test",
        ">>> 250-gate.test greets client.test",
        "<<< AUTH LOGIN\n",
        ">>> 334 [12 bytes]\n",
        &format!("<<< [{} bytes]\n", base64(PASSWORD.as_bytes()).len()),
        ">>> 235 ",
        "<<< MAIL FROM:<",
        "=== CONTENT 29 bytes\n",
        &format!("<<< [{} bytes]\n", PASSWORD.len()),
        "<<< QUIT\n",
        "=== CLOSE\n",
    ] {
        assert!(text.contains(&format!("{id} {wanted}")), "no {wanted:?} in\n{text}");
    }
    for secret in [PASSWORD, &base64(PASSWORD.as_bytes()), &base64(LOGIN.as_bytes()), "topsecret"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    assert!(text.lines().all(|line| line.starts_with(id)), "one session, whole lines\n{text}");
}

#[test]
fn a_listener_has_a_transcript_of_its_own_and_a_reload_keeps_both_open() {
    let dir = tempfile::tempdir().unwrap();
    let (general, own) = (dir.path().join("general"), dir.path().join("own"));
    let gate =
        format!("transcript = \"{}\"\ntranscript_networks = [\"192.0.2.0/24\"]", general.display());
    let sections = format!(
        "[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"submissions\"\ntranscript = \"{}\"\n",
        own.display()
    );
    let options = Options { gate, sections, ..Options::default() };
    let mut world = World::start(Backend::polite().address, &options);
    busy_session(&world);
    let ca = world.ca();
    let greet = |world: &World| {
        let mut client = SmtpClient::connect_implicit(world.more[0], &ca);
        assert_eq!(client.reply().code, 220);
        client.expect("QUIT", 221);
        client.expect_closed();
    };
    greet(&world);
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("INFO reloaded");
    greet(&world);
    world.wait_for_sessions(3);
    world.service.stop();
    assert_eq!(fs::read_to_string(&general).unwrap(), "", "nobody came from that network");
    let text = fs::read_to_string(&own).unwrap();
    assert_eq!(text.matches(" === CONNECT from ").count(), 2, "{text}");
    assert_eq!(text.matches(" === CLOSE\n").count(), 2, "{text}");
}

#[test]
fn a_transcript_that_cannot_be_written_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let options = Options::gate(&format!("transcript = \"{at}/none/here\""));
    let backend = Backend::polite();
    let (folder, _authd) = support::gate_world::lay_out(backend.address, &options);
    let config = folder.path().join("saslgate.toml");
    let said = run(Command::new(SASLGATE).arg("gate").arg("--config").arg(config), b"");
    assert_eq!(said.code, Some(1));
    let wanted = format!("cannot write the transcript {at}/none/here: No such file");
    assert!(said.stderr.contains(&wanted), "{}", said.stderr);
}
