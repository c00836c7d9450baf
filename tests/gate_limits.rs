//! Bounds on what a client may do and for how long, and what it may do before
//! and after TLS. `tests/gate_service.rs` has the life of the service.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use support::gate_world::{Options, World};
use support::process::{PATIENCE, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::{SmtpClient, plain_response};

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
    let mut world = World::start(backend.address, &Options::gate("command_timeout = \"2s\"\n"));
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
    let world = World::start(backend.address, &Options::gate("command_timeout = \"2s\"\n"));
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
    let options = Options::gate("command_timeout = \"2s\"\nmax_commands = 10000000\n");
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
fn the_longest_line_is_as_configured() {
    let backend = Backend::polite();
    for (setting, longest) in [("512B", 512), ("64KiB", 65_536)] {
        let options = Options::gate(&format!("max_line = \"{setting}\"\n"));
        let world = World::start(backend.address, &options);
        let mut client = SmtpClient::connect(world.starttls);
        client.reply();
        client.expect(&format!("NOOP {}", "x".repeat(longest - 7)), 250);
        client.expect(&format!("NOOP {}", "x".repeat(longest - 6)), 500);
        client.expect("NOOP", 250);
    }
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

#[test]
fn a_client_that_starts_with_tls_on_the_wrong_port_is_told_of_once_and_closed() {
    let backend = Backend::polite();
    let mut world = World::start(backend.address, &Options::default());
    // A ClientHello has no end of line in it, or many: neither is waited for, or answered.
    let hello = [&b"\x16\x03\x01\x00\x06"[..], b"\x01\x00\x00\x02\x03\x03"].concat();
    let lines = [&b"\x16\x03\x01\x00\x10"[..], &b"\r\n".repeat(8)].concat();
    let alert = b"\x15\x03\x01\x00\x02\x02\x46".to_vec();
    for bytes in [hello, lines, alert] {
        for split in [bytes.len(), 1] {
            let mut client = SmtpClient::connect(world.starttls);
            assert_eq!(client.reply().code, 220);
            for piece in bytes.chunks(split) {
                // Closed before the last byte is sent, perhaps.
                let _ = client.try_send(piece);
            }
            assert_eq!(client.rest(), b"");
        }
    }
    world.wait_for_sessions(6);
    let told = "reason=a TLS record before STARTTLS: the client is set to TLS from the start";
    world.service.wait_for_log(told);
    assert_eq!(world.service.log().matches(told).count(), 6, "{}", world.service.log());
    // Not where it is due.
    let mut client = SmtpClient::connect(world.starttls);
    client.reply();
    client.expect("STARTTLS", 220);
    client.handshake(&world.ca()).unwrap();
    client.send(b"\x16\x03\x01\r\n");
    assert_eq!(client.reply().code, 500);
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
fn any_number_of_listeners_serve_v4_and_v6() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this host has no IPv6 loopback");
        return;
    }
    let backend = Backend::polite();
    let sections = "[[gate.listener]]\naddress = \"[::1]:0\"\nkind = \"submission\"\n\
        [[gate.listener]]\naddress = \"[::1]:0\"\nkind = \"submissions\"\n\
        [[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"submissions\"\n";
    let options = Options { sections: sections.to_owned(), ..Options::default() };
    let world = World::start(backend.address, &options);
    assert_eq!(world.more.len(), 3);
    let mut client = SmtpClient::connect(world.more[0]);
    client.reply();
    client.expect("STARTTLS", 220);
    client.handshake(&world.ca()).unwrap();
    let mut implicit = SmtpClient::connect_implicit(world.more[1], &world.ca());
    implicit.log_in().open_message();
    assert_eq!(implicit.finish_message(b"x\r\n").code, 250);
    let text = String::from_utf8_lossy(&backend.messages()[0]).into_owned();
    assert!(text.starts_with("Received: from client.test ([IPv6:::1])\r\n"), "{text}");
    assert!(world.wait_for_messages(1)[0].contains("client=[IPv6:::1]"));
    SmtpClient::connect_implicit(world.more[2], &world.ca()).log_in();
}
