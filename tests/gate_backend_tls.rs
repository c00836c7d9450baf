//! The gate and a backend with STARTTLS: verified, or nothing is handed over.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::gate_world::{Options, World};
use support::scripted_backend::{Backend, EHLO, Link, below_trace, find};

const STARTTLS_EHLO: &[u8] = b"250-mx.test\r\n250-8BITMIME\r\n250 STARTTLS\r\n";
const MESSAGE: &[u8] = b"Subject: one\r\n\r\nhello\r\n";

/// A certificate for `name`; gives the server's side and writes the CA file.
fn certificate(name: &str, ca: &Path) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(ca, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    Arc::new(config)
}

/// STARTTLS, then one session inside of it, recorded as `inside`.
fn serve(link: &mut Link, tls: &Arc<ServerConfig>, behind_220: &[u8], inside: &mut Vec<u8>) {
    link.say(b"220 mx.test ESMTP\r\n");
    while let Some(line) = link.line() {
        if line != "STARTTLS" {
            link.say(if line == "QUIT" { b"221 bye\r\n" } else { STARTTLS_EHLO });
            continue;
        }
        link.check_silence("STARTTLS");
        link.say(&[b"220 2.0.0 go on\r\n", behind_220].concat());
        let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
        let mut stream = StreamOwned::new(connection, link.socket().try_clone().unwrap());
        let _ = converse(&mut stream, inside);
        return;
    }
}

/// A polite backend on any stream; everything it is sent goes to `inside`.
fn converse(stream: &mut (impl Read + Write), inside: &mut Vec<u8>) -> std::io::Result<()> {
    let mut is_content = false;
    let mut read = 0;
    loop {
        let end: &[u8] = if is_content { b"\r\n.\r\n" } else { b"\r\n" };
        let Some(at) = find(&inside[read..], end) else {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            inside.extend_from_slice(&bytes[..count]);
            continue;
        };
        let line = inside[read..read + at].to_vec();
        read += at + end.len();
        let reply: &[u8] = match line.get(..4) {
            _ if is_content => b"250 2.0.0 q1 Message accepted\r\n",
            Some(b"EHLO") => EHLO,
            Some(b"DATA") => b"354 go on\r\n",
            Some(b"QUIT") => b"221 bye\r\n",
            _ => b"250 2.0.0 ok\r\n",
        };
        is_content = !is_content && line == b"DATA";
        stream.write_all(reply)?;
        stream.flush()?;
    }
}

struct Case {
    world: World,
    backend: Backend,
    inside: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
    _dir: tempfile::TempDir,
}

/// A backend whose certificate is for `carried`, and a gate that wants `wanted`.
fn start(carried: &str, wanted: &str, is_trusted: bool, behind_220: &'static [u8]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let tls = certificate(carried, &dir.path().join("ca.pem"));
    if !is_trusted {
        certificate(carried, &dir.path().join("ca.pem"));
    }
    let inside: Arc<std::sync::Mutex<Vec<Vec<u8>>>> = Arc::default();
    let sessions = Arc::clone(&inside);
    let backend = Backend::start(move |_, link| {
        let mut bytes = Vec::new();
        serve(link, &tls, behind_220, &mut bytes);
        sessions.lock().unwrap().push(bytes);
    });
    let lines = format!(
        "tls = \"starttls\"\nca_file = \"{}/ca.pem\"\nserver_name = \"{wanted}\"\n",
        dir.path().display()
    );
    let world = World::start(backend.address, &Options { backend: lines, ..Options::default() });
    Case { world, backend, inside, _dir: dir }
}

#[test]
fn mail_travels_inside_a_verified_connection() {
    let case = start("mx.test", "mx.test", true, b"");
    let mut client = case.world.log_in();
    client.open_message();
    assert_eq!(client.finish_message(MESSAGE).code, 250);
    client.expect("QUIT", 221);
    case.backend.wait_until_quiet();
    // In clear nothing was said but this; the envelope came behind the second EHLO.
    for seen in case.backend.all() {
        assert_eq!(seen.lines, ["EHLO gate.test", "STARTTLS"]);
        assert!(seen.violations.is_empty(), "{:?}", seen.violations);
    }
    let sessions = case.inside.lock().unwrap();
    let text = sessions.iter().find(|bytes| find(bytes, b"MAIL").is_some()).unwrap();
    assert!(text.starts_with(b"EHLO gate.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:"));
    let content = &text[find(text, b"DATA\r\n").unwrap() + 6..];
    assert!(below_trace(content).starts_with(MESSAGE));
    // What it offered in clear is forgotten: the offer is the one from inside.
    assert!(case.world.service.log().contains("offers=\"ENHANCEDSTATUSCODES PIPELINING"));
    assert!(case.world.service.log().contains("STARTTLS=client, relay="));
}

#[test]
fn a_large_message_travels_inside_tls() {
    let case = start("mx.test", "mx.test", true, b"");
    let mut client = case.world.log_in();
    client.open_message();
    let content = b"0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(100_000);
    assert_eq!(client.finish_message(&content).code, 250);
    client.expect("QUIT", 221);
    case.backend.wait_until_quiet();
    let sessions = case.inside.lock().unwrap();
    let text = sessions.iter().find(|bytes| find(bytes, b"MAIL").is_some()).unwrap();
    assert!(find(text, &content).is_some(), "{} bytes arrived", text.len());
}

/// Nothing of the message may have been seen, in clear or inside.
fn assert_refused(case: &Case, reason: &str) {
    let mut client = case.world.log_in();
    let reply = client.command("MAIL FROM:<a@client.test>");
    assert_eq!(reply.code, 451, "{}", reply.text());
    client.expect("RCPT TO:<bob@gate.test>", 451);
    client.expect("QUIT", 221);
    let lines = case.world.wait_for_messages(1);
    assert!(lines[0].contains("outcome=tempfail"), "{lines:?}");
    let log = case.world.service.log();
    assert!(log.contains(reason), "no {reason:?} in:\n{log}");
    case.backend.wait_until_quiet();
    assert!(case.backend.sessions().is_empty(), "mail went out in clear");
    let sessions = case.inside.lock().unwrap();
    assert!(sessions.iter().all(|bytes| find(bytes, b"MAIL").is_none()));
}

#[test]
fn another_name_in_the_certificate_is_refused() {
    assert_refused(&start("other.test", "mx.test", true, b""), "certificate was not accepted");
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    assert_refused(&start("mx.test", "mx.test", false, b""), "certificate was not accepted");
}

#[test]
fn plaintext_injected_behind_the_220_is_refused() {
    let injected = b"250-mx.test\r\n250 SIZE\r\n";
    assert_refused(&start("mx.test", "mx.test", true, injected), "plaintext was injected");
}

#[test]
fn a_backend_that_hides_starttls_gets_nothing() {
    let backend = Backend::polite();
    let dir = tempfile::tempdir().unwrap();
    certificate("mx.test", &dir.path().join("ca.pem"));
    let lines = format!(
        "tls = \"starttls\"\nca_file = \"{}/ca.pem\"\nserver_name = \"mx.test\"\n",
        dir.path().display()
    );
    let world = World::start(backend.address, &Options { backend: lines, ..Options::default() });
    let inside = Arc::default();
    assert_refused(&Case { world, backend, inside, _dir: dir }, "STARTTLS is not offered");
}

#[test]
fn a_backend_that_refuses_starttls_gets_nothing() {
    let backend = Backend::start(|_, link| {
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            link.say(match line.as_str() {
                "STARTTLS" => b"454 4.3.3 TLS not available\r\n",
                "QUIT" => b"221 bye\r\n",
                _ => STARTTLS_EHLO,
            });
        }
    });
    let dir = tempfile::tempdir().unwrap();
    certificate("mx.test", &dir.path().join("ca.pem"));
    let lines = format!(
        "tls = \"starttls\"\nca_file = \"{}/ca.pem\"\nserver_name = \"mx.test\"\n",
        dir.path().display()
    );
    let world = World::start(backend.address, &Options { backend: lines, ..Options::default() });
    let inside = Arc::default();
    assert_refused(&Case { world, backend, inside, _dir: dir }, "454 4.3.3 TLS not available");
}
