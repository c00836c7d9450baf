//! Bounds on what a client may do and for how long, and the life of the
//! service: stop, reload, an authentication daemon that fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::fake_authd::{Mood, PASSWORD};
use support::gate_world::{Options, World};
use support::process::{PATIENCE, is_listening, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::{SmtpClient, base64, plain_response};

/// Connects from another loopback address.
fn connect_from(source: [u8; 4], server: SocketAddr) -> SmtpClient {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    SmtpClient::over(TcpStream::from(socket))
}

#[test]
fn sessions_are_bounded_in_all() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::gate("max_sessions = 2\n"));
    let mut first = SmtpClient::connect(world.starttls);
    assert_eq!(first.reply().code, 220);
    let mut second = world.connect();
    assert_eq!(second.reply().code, 220);
    let mut third = SmtpClient::connect(world.starttls);
    let reply = third.reply();
    assert_eq!((reply.code, &reply.text()[..6]), (421, "4.3.2 "));
    third.expect_closed();
    // A reply in clear would be noise to a client that waits for a handshake.
    SmtpClient::connect(world.implicit).expect_closed();
    world.service.wait_for_log("rejected: relay=[127.0.0.1], reason=too-many-sessions,");
    first.expect("QUIT", 221);
    first.expect_closed();
    let gets_in = || SmtpClient::connect(world.starttls).reply().code == 220;
    assert!(wait_until(PATIENCE, gets_in), "the place is not given back");
    second.expect("NOOP", 250);
}

#[test]
fn sessions_are_bounded_by_address() {
    let backend = Backend::polite();
    let options = Options::gate("max_sessions_per_address = 2\n");
    let mut world = World::start(backend.address, &options);
    let mut held: Vec<SmtpClient> = (0..2).map(|_| SmtpClient::connect(world.starttls)).collect();
    for client in &mut held {
        assert_eq!(client.reply().code, 220);
    }
    let mut third = SmtpClient::connect(world.starttls);
    assert_eq!(third.reply().code, 421);
    third.expect_closed();
    SmtpClient::connect(world.implicit).expect_closed();
    assert_eq!(connect_from([127, 0, 0, 2], world.starttls).reply().code, 220);
    world.service.wait_for_log("reason=too-many-sessions-from-address,");
}

#[test]
fn a_client_that_says_nothing_is_told_421() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::gate("command_timeout = \"500ms\"\n"));
    let mut silent = SmtpClient::connect(world.starttls);
    assert_eq!(silent.reply().code, 220);
    assert_eq!(silent.reply().code, 421);
    silent.expect_closed();
    // Within AUTH, and within a transaction, whose end is recorded.
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    client.expect("AUTH LOGIN", 334);
    assert_eq!(client.reply().code, 421);
    client.expect_closed();
    let mut client = world.log_in();
    client.expect("MAIL FROM:<a@client.test>", 250);
    assert_eq!(client.reply().code, 421);
    client.expect_closed();
    assert!(world.wait_for_messages(1)[0].contains("outcome=lost"));
    world.service.wait_for_log("reason=timeout,");
}

#[test]
fn a_client_that_trickles_a_line_is_told_421() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("command_timeout = \"1s\"\n"));
    let mut client = SmtpClient::connect(world.starttls);
    assert_eq!(client.reply().code, 220);
    let has_ended = wait_until(PATIENCE, || {
        client.try_send(b"x").is_err() || !client.is_silent_for(Duration::from_millis(50))
    });
    assert!(has_ended, "the session goes on");
    assert_eq!(client.reply().code, 421);
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let backend = Backend::polite();
    let options = Options::gate("command_timeout = \"1s\"\nmax_commands = 10000000\n");
    let world = World::start(backend.address, &options);
    let mut client = SmtpClient::connect(world.starttls);
    assert_eq!(client.reply().code, 220);
    let socket = socket2::SockRef::from(client.socket());
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    // Each is answered with far more than it takes to ask, and nobody reads that.
    let questions = b"HELP\r\n".repeat(10_000);
    while client.try_send(&questions).is_ok() {}
    world.wait_for_sessions(1);
}

#[test]
fn a_session_that_keeps_busy_ends_at_its_timeout() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("session_timeout = \"1s\"\n"));
    let mut client = SmtpClient::connect(world.starttls);
    assert_eq!(client.reply().code, 220);
    let mut last = 0;
    wait_until(PATIENCE, || {
        last = client.command("NOOP").code;
        last != 250
    });
    assert_eq!(last, 421);
    client.expect_closed();
}

#[test]
fn a_handshake_that_does_not_come_is_not_waited_for() {
    let backend = Backend::polite();
    let options = Options::gate("handshake_timeout = \"500ms\"\n");
    let mut world = World::start(backend.address, &options);
    SmtpClient::connect(world.implicit).expect_closed();
    let mut client = SmtpClient::connect(world.starttls);
    client.reply();
    client.expect("STARTTLS", 220);
    client.expect_closed();
    world.service.wait_for_log("reason=the client took too long");
    world.wait_for_sessions(2);
}

#[test]
fn commands_are_bounded() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::gate("max_commands = 20\n"));
    let mut client = SmtpClient::connect(world.starttls);
    client.reply();
    client.send(&b"NOOP\r\n".repeat(25));
    for _ in 0..20 {
        assert_eq!(client.reply().code, 250);
    }
    assert_eq!(client.reply().code, 421);
    client.expect_closed();
    world.service.wait_for_log("reason=too-many-commands,");
}

#[test]
fn plaintext_behind_starttls_is_never_executed() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    // In the same segment: refused in clear.
    for behind in ["NOOP\r\n", "EHLO evil.test\r\nMAIL FROM:<x@y.test>\r\n", "x", "\r\n"] {
        let mut client = SmtpClient::connect(world.starttls);
        client.reply();
        client.expect("EHLO client.test", 250);
        client.send(format!("STARTTLS\r\n{behind}").as_bytes());
        let reply = client.reply();
        assert_eq!(reply.code, 421, "{behind:?}: {}", reply.text());
        client.expect_closed();
    }
    world.service.wait_for_log("reason=data-behind-starttls,");
    // In the next one: no handshake comes out of it, and no reply in clear.
    for behind in ["NOOP\r\nNOOP\r\n", "EHLO evil.test\r\n", "QUIT\r\n"] {
        let mut client = SmtpClient::connect(world.starttls);
        client.reply();
        client.expect("STARTTLS", 220);
        client.send(behind.as_bytes());
        let rest = client.rest();
        // At most a TLS alert (record type 21).
        assert!(rest.is_empty() || rest[0] == 21, "{behind:?}: {rest:?}");
    }
    world.service.wait_for_log("reason=plaintext instead of TLS");
    world.wait_for_sessions(7);
}

#[test]
fn what_was_said_in_clear_is_forgotten_with_tls() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    let mut client = SmtpClient::connect(world.starttls);
    client.reply();
    client.expect("EHLO before.test", 250);
    client.expect("STARTTLS", 220);
    client.handshake(&world.ca()).unwrap();
    client.expect("MAIL FROM:<a@client.test>", 530);
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 503);
    client.expect("EHLO after.test", 250);
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 235);
    client.open_message();
    assert_eq!(client.finish_message(b"x\r\n").code, 250);
    let text = String::from_utf8_lossy(&backend.messages()[0]).into_owned();
    assert!(text.starts_with("Received: from after.test "), "{text}");
}

#[test]
fn an_implicit_tls_port_answers_no_plaintext() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::default());
    for bytes in ["EHLO client.test\r\n", "GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n"] {
        let mut client = SmtpClient::connect(world.implicit);
        client.send(bytes.as_bytes());
        let rest = client.rest();
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
    }
    let mut client = world.connect();
    client.reply();
    client.expect("GET / HTTP/1.1", 421);
    client.expect_closed();
}

/// A line of `/proc/PID/status`, in KiB.
fn resident_kib(world: &World) -> usize {
    let text = fs::read_to_string(format!("/proc/{}/status", world.service.pid())).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn five_hundred_idle_sessions_cost_little() {
    const SESSIONS: usize = 500;
    const MOST_KIB_EACH: usize = 100;
    let backend = Backend::polite();
    let options = Options::gate("max_sessions_per_address = 1000\n");
    let world = World::start(backend.address, &options);
    let mut warm = world.log_in();
    warm.open_message();
    assert_eq!(warm.finish_message(b"x\r\n").code, 250);
    let before = resident_kib(&world);
    let mut idle: Vec<SmtpClient> = (0..SESSIONS).map(|_| world.log_in()).collect();
    let each = (resident_kib(&world).saturating_sub(before)) / SESSIONS;
    eprintln!("{each} KiB resident for an idle, authenticated session");
    assert!(each < MOST_KIB_EACH, "{each} KiB a session");
    warm.open_message();
    assert_eq!(warm.finish_message(b"x\r\n").code, 250);
    for client in &mut idle {
        client.expect("NOOP", 250);
    }
}

#[test]
fn a_stop_finishes_the_message_and_says_goodbye_to_the_idle() {
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Backend::start(move |_, link| {
        link.say(b"220 mx.test ESMTP\r\n");
        while let Some(line) = link.line() {
            if line == "DATA" {
                link.say(b"354 go on\r\n");
                link.content();
                let _ = wait.lock().unwrap().recv();
                link.say(b"250 2.0.0 q1 late but there\r\n");
            } else if !link.answer(&line) {
                return;
            }
        }
    });
    let mut world = World::start(backend.address, &Options::default());
    let mut greeted = SmtpClient::connect(world.starttls);
    assert_eq!(greeted.reply().code, 220);
    let mut idle = world.log_in();
    let mut shaking = SmtpClient::connect(world.implicit);
    let mut sending = world.log_in();
    sending.open_message();
    sending.send(b"Subject: half\r\n");

    world.service.signal(Signal::SIGTERM);
    for client in [&mut greeted, &mut idle] {
        assert_eq!(client.reply().code, 421);
        client.expect_closed();
    }
    shaking.expect_closed();
    assert!(wait_until(PATIENCE, || !is_listening(world.starttls)), "it still listens");

    sending.send(b"the other half\r\n.\r\n");
    release.send(()).unwrap();
    let reply = sending.reply();
    assert_eq!((reply.code, reply.text().as_str()), (250, "2.0.0 q1 late but there"));
    assert_eq!(sending.reply().code, 421);
    sending.expect_closed();
    let has_ended = wait_until(PATIENCE, || world.service.has_ended());
    assert!(has_ended, "it did not end:\n{}", world.service.log());
    assert_eq!(world.service.stop(), Some(0));
    assert!(world.message_lines()[0].contains("outcome=accepted"));
}

#[test]
fn a_new_certificate_is_for_new_sessions_and_drops_no_old_one() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    let old_ca = world.path("old-ca.pem");
    fs::copy(world.ca(), &old_ca).unwrap();
    let mut old = world.log_in();
    old.open_message();
    world.renew_certificate();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("INFO reloaded");
    assert!(SmtpClient::connect(world.implicit).handshake(&old_ca).is_err());
    world.log_in().expect("NOOP", 250);
    assert_eq!(old.finish_message(b"x\r\n").code, 250);
    old.open_message();
    assert_eq!(old.finish_message(b"x\r\n").code, 250);
}

#[test]
fn a_reload_that_cannot_work_changes_nothing_and_says_so() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    let config = fs::read_to_string(world.path("saslgate.toml")).unwrap();
    let certificate = fs::read(world.ca()).unwrap();
    let old_ca = world.path("old-ca.pem");
    fs::write(&old_ca, &certificate).unwrap();
    let mut held = world.log_in();

    // A key that does not exist; a certificate that is none; a key of another pair.
    fs::write(world.path("saslgate.toml"), config.replace("hostname", "hostnam")).unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("hostnam");
    fs::write(world.path("saslgate.toml"), &config).unwrap();
    fs::write(world.ca(), "half a file").unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("no certificate in the certificate");
    world.renew_certificate();
    fs::write(world.ca(), &certificate).unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("does not belong to the first certificate");

    let log = world.service.log();
    let refusals = log.matches("reload refused, the old configuration stays in force").count();
    assert_eq!(refusals, 3, "{log}");
    held.expect("NOOP", 250);
    let mut client = SmtpClient::connect_implicit(world.implicit, &old_ca);
    client.log_in().open_message();
    assert_eq!(client.finish_message(b"x\r\n").code, 250);
}

#[test]
fn a_reload_brings_new_limits_and_another_backend_to_new_sessions() {
    let (first, second) = (Backend::polite(), Backend::polite());
    let mut world = World::start(first.address, &Options::gate("max_recipients = 5\n"));
    let mut old = world.log_in();
    let config = fs::read_to_string(world.path("saslgate.toml")).unwrap();
    let config = config
        .replace("max_recipients = 5", "max_recipients = 1")
        .replace(&first.address.to_string(), &second.address.to_string());
    fs::write(world.path("saslgate.toml"), config).unwrap();
    world.service.signal(Signal::SIGHUP);
    world.service.wait_for_log("INFO reloaded");
    let mut new = world.log_in();
    for (client, code) in [(&mut old, 250), (&mut new, 452)] {
        client.expect("MAIL FROM:<a@client.test>", 250);
        client.expect("RCPT TO:<b@d.test>", 250);
        client.expect("RCPT TO:<c@d.test>", code);
    }
    assert_eq!((first.sessions().len(), second.sessions().len()), (1, 1));
}

#[test]
fn an_authentication_daemon_that_fails_is_454_and_never_a_refusal() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("auth_timeout = \"500ms\"\n"));
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    for mood in [Mood::Dies, Mood::Hangs, Mood::Stutters] {
        world.authd.be(mood);
        // More often than a wrong password may be tried.
        for _ in 0..4 {
            client.expect(&format!("AUTH PLAIN {}", plain_response()), 454);
        }
        client.expect("AUTH LOGIN", 334);
        client.expect(&base64(b"alice@gate.test"), 334);
        client.expect(&base64(PASSWORD.as_bytes()), 454);
        client.expect("MAIL FROM:<a@client.test>", 530);
    }
    world.authd.be(Mood::Well);
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 235);
    assert!(world.authd.asked().iter().all(|asked| asked == "alice@gate.test smtp"));
    fs::remove_file(world.path("mux")).unwrap();
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    client.expect(&format!("AUTH PLAIN {}", plain_response()), 454);
    assert!(world.service.log().contains("generic failure (-1)"), "{}", world.service.log());
}

#[test]
fn no_password_is_ever_logged() {
    let backend = Backend::polite();
    let world = World::start(backend.address, &Options::gate("max_auth_failures = 100\n"));
    let mut client = world.connect();
    client.reply();
    client.expect("EHLO client.test", 250);
    // Right, wrong, in the wrong place, cut, with a stray byte, in the name's place.
    client.expect(&format!("AUTH PLAIN {}", base64(b"\0alice@gate.test\0hunter2")), 535);
    client.expect(&format!("AUTH PLAIN {}", base64(b"alice@gate.test\0hunter2")), 535);
    client.expect(&format!("AUTH PLAIN {}!", base64(b"\0alice@gate.test\0hunter2")), 501);
    client.expect(&format!("AUTH PLAIN {} x", base64(b"\0alice@gate.test\0hunter2")), 501);
    client.expect(&format!("AUTH PLAIN\t{}\x01", base64(b"\0alice@gate.test\0hunter2")), 500);
    client.expect(&base64(b"hunter2"), 500);
    client.expect("hunter2", 500);
    client.expect("AUTH LOGIN", 334);
    client.expect(&base64(b"alice@gate.test"), 334);
    client.expect(&base64(b"hunter2"), 535);
    client.expect("AUTH PLAIN", 334);
    client.expect(&plain_response(), 235);
    client.expect("QUIT", 221);
    world.wait_for_sessions(1);
    let log = world.service.log();
    let secrets = ["hunter2", PASSWORD].map(|secret| {
        // As text, and in base64 at each of the three places it can have in a group of three.
        let shifted = (0..3).map(|pad| {
            let text = base64(&[&vec![b'x'; pad][..], secret.as_bytes()].concat());
            text[4 * pad.min(1)..text.len() - 4].to_owned()
        });
        shifted.chain([secret.to_owned(), base64(secret.as_bytes())]).collect::<Vec<_>>()
    });
    for secret in secrets.iter().flatten() {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
    assert_eq!(log.matches("AUTH failure (").count(), 3, "{log}");
    assert_eq!(
        log.matches("AUTH=server, relay=[127.0.0.1], authid=alice@gate.test, mech=PLAIN, bits=0")
            .count(),
        1
    );
}

#[test]
fn the_log_has_sendmails_line_for_tls() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    world.log_in();
    world.service.wait_for_log(
        "STARTTLS=server, relay=[127.0.0.1], version=TLSv1.3, verify=NOT, cipher=TLS_",
    );
}
