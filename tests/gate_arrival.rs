//! How connections come in: PROXY headers of load balancers, sockets that the
//! service manager opened, and what each listener has for itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;

use support::gate::{SASLGATE, Service};
use support::gate_world::{Options, World, lay_out};
use support::process::{PATIENCE, wait_until};
use support::scripted_backend::{Backend, below_trace};
use support::smtp_client::SmtpClient;

/// A world with one more listener, of these lines.
fn world(backend: &Backend, kind: &str, lines: &str) -> World {
    let sections =
        format!("[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"{kind}\"\n{lines}\n");
    World::start(backend.address, &Options { sections, ..Options::default() })
}

const PROXIED: &str = "proxy_from = [\"127.0.0.0/28\"]";

/// Version 2, from 192.0.2.7:50000 or 2001:db8::7 port 50000.
fn v2(is_four: bool, tlvs: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    let addresses: &[u8] = if is_four {
        &[192, 0, 2, 7, 198, 51, 100, 1]
    } else {
        b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
    };
    bytes.push(if is_four { 0x11 } else { 0x21 });
    bytes
        .extend_from_slice(&u16::try_from(addresses.len() + 4 + tlvs.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(addresses);
    bytes.extend_from_slice(&[0xc3, 0x50, 0x02, 0x4b]);
    bytes.extend_from_slice(tlvs);
    bytes
}

fn connect_from(source: [u8; 4], server: SocketAddr) -> SmtpClient {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    SmtpClient::over(TcpStream::from(socket))
}

#[test]
fn the_client_that_a_proxy_names_is_the_client() {
    let backend = Backend::polite();
    let mut world = world(&backend, "submissions", PROXIED);
    let headers = [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 465\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 465\r\n".to_vec(), "IPv6:2001:db8::7"),
        (v2(true, b""), "192.0.2.7"),
        (v2(false, &[0xe0, 0, 3, 1, 2, 3]), "IPv6:2001:db8::7"),
        // A health check of the proxy itself, and a proxy that does not know.
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ];
    for (number, (header, address)) in headers.iter().enumerate() {
        let mut client = SmtpClient::connect(world.more[0]);
        // The handshake comes in its own time, or at once: see below for one packet.
        client.send(header);
        client.handshake(&world.ca()).unwrap();
        client.log_in();
        assert_eq!(client.submit(b"Subject: x\r\n\r\nx\r\n").code, 250, "{address}");
        let message = backend.messages().remove(number);
        let trace = &message[..message.len() - below_trace(&message).len()];
        let trace = String::from_utf8_lossy(trace).into_owned();
        assert!(trace.contains(&format!("([{address}])")), "{trace}");
    }
    let lines = world.wait_for_messages(headers.len());
    assert!(lines[0].contains("client=[192.0.2.7]"), "{}", lines[0]);
    world.service.wait_for_log("AUTH=server, relay=[IPv6:2001:db8::7]");
}

#[test]
fn what_stands_behind_a_header_in_one_packet_is_not_lost() {
    let backend = Backend::polite();
    let world = world(&backend, "submission", PROXIED);
    for header in [v2(true, b""), b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n".to_vec()] {
        let mut client = SmtpClient::connect(world.more[0]);
        client.send(&[&header[..], b"EHLO client.test\r\n"].concat());
        assert_eq!(client.reply().code, 220);
        assert_eq!(client.reply().code, 250);
        client.expect("QUIT", 221);
    }
    // Byte by byte.
    let mut client = SmtpClient::connect(world.more[0]);
    for byte in v2(false, b"") {
        client.send(&[byte]);
    }
    assert_eq!(client.reply().code, 220);
}

#[test]
fn a_proxy_that_does_not_say_for_whom_is_closed() {
    let backend = Backend::polite();
    let mut world = world(&backend, "submission", PROXIED);
    for bytes in [
        &b"EHLO client.test\r\n"[..],
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\0",
    ] {
        let mut client = SmtpClient::connect(world.more[0]);
        client.send(bytes);
        client.expect_closed();
    }
    world.service.wait_for_log("rejected: relay=[127.0.0.1], reason=bad-proxy-header, reply=\"the connection begins with no PROXY header\"");
    world.service.wait_for_log("reply=\"the PROXY header is not about TCP\"");
}

#[test]
fn nobody_but_a_proxy_is_believed() {
    let backend = Backend::polite();
    let world = world(&backend, "submission", PROXIED);
    // Outside of the network: 127.0.0.16.
    let mut stranger = connect_from([127, 0, 0, 16], world.more[0]);
    assert_eq!(stranger.reply().code, 220, "no header is waited for");
    stranger.expect("PROXY TCP4 192.0.2.7 198.51.100.1 50000 587", 500);
    // A listener without proxies.
    let mut client = SmtpClient::connect(world.starttls);
    assert_eq!(client.reply().code, 220);
    client.expect("PROXY TCP4 192.0.2.7 198.51.100.1 50000 587", 500);
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for_for_ever() {
    let backend = Backend::polite();
    let sections =
        format!("[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"submission\"\n{PROXIED}\n");
    let options = Options { sections, ..Options::gate("handshake_timeout = \"1s\"\n") };
    let mut world = World::start(backend.address, &options);
    let mut client = SmtpClient::connect(world.more[0]);
    client.send(b"PROXY TCP4 1");
    client.expect_closed();
    world.service.wait_for_log("reply=\"no PROXY header came in time\"");
}

#[test]
fn sessions_through_a_proxy_are_counted_by_client() {
    let backend = Backend::polite();
    let lines = format!("{PROXIED}\nmax_sessions_per_address = 1\nmax_sessions = 3");
    let world = world(&backend, "submission", &lines);
    let greet = |address: &str| {
        let mut client = SmtpClient::connect(world.more[0]);
        client.send(format!("PROXY TCP4 {address} 198.51.100.1 1 2\r\n").as_bytes());
        let code = client.reply().code;
        (client, code)
    };
    let (mut first, code) = greet("192.0.2.1");
    assert_eq!(code, 220);
    assert_eq!(greet("192.0.2.1").1, 421, "the second of one address");
    let (_second, code) = greet("192.0.2.2");
    assert_eq!(code, 220);
    first.expect("QUIT", 221);
    first.expect_closed();
    assert!(wait_until(PATIENCE, || greet("192.0.2.1").1 == 220), "the place is not given back");
}

#[test]
fn a_listener_with_limits_of_its_own_has_them_for_itself() {
    let backend = Backend::polite();
    let lines = "max_sessions = 1\nmax_message = \"64KiB\"\nmax_recipients = 2\nmax_errors = 2\n\
                 max_auth_failures = 1\nmax_commands = 12";
    let world = world(&backend, "submissions", lines);
    let own = world.more[0];
    {
        let mut client = SmtpClient::connect_implicit(own, &world.ca());
        client.log_in();
        // Full here, with room elsewhere.
        SmtpClient::connect(own).expect_closed();
        let mut elsewhere = world.log_in();
        let offer = elsewhere.expect("EHLO client.test", 250).text();
        assert!(offer.contains("SIZE 10485760"), "{offer}");
        let offer = client.expect("EHLO client.test", 250).text();
        assert!(offer.contains("SIZE 65536"), "{offer}");
        client.expect("MAIL FROM:<a@client.test> SIZE=70000", 552);
        client.expect("MAIL FROM:<a@client.test>", 250);
        client.expect("RCPT TO:<b@gate.test>", 250);
        client.expect("RCPT TO:<c@gate.test>", 250);
        client.expect("RCPT TO:<d@gate.test>", 452);
        client.expect("DATA", 354);
        let big = b"0123456789abcdef0123456789abcde\r\n".repeat(2500);
        assert_eq!(
            client.finish_message(&big).code,
            552,
            "content beyond the limit of the listener"
        );
        // EHLO, AUTH, EHLO, five of MAIL and RCPT, DATA: nine of twelve.
        for _ in 0..3 {
            client.expect("NOOP", 250);
        }
        client.expect("NOOP", 421);
    }
    // The one place comes free when the gate has closed the session before.
    let again = || {
        let mut client = SmtpClient::connect(own);
        let is_in = wait_until(PATIENCE, || {
            let is_in = client.handshake(&world.ca()).is_ok();
            if !is_in {
                client = SmtpClient::connect(own);
            }
            is_in
        });
        assert!(is_in, "the place is not given back");
        client
    };
    let mut client = again();
    client.reply();
    client.expect("EHLO client.test", 250);
    client.expect("AUTH PLAIN AGFsaWNlAHdyb25n", 421);
    client.expect_closed();
    let mut client = again();
    client.reply();
    client.expect("NONSENSE", 500);
    client.expect("NONSENSE", 421);
}

/// Starts a gate as systemd does: `sockets` are descriptors 3 and up, with these names.
fn activate(world: &std::path::Path, sockets: Vec<TcpListener>, names: &str) -> Service {
    let count = sockets.len();
    assert!(count <= 2, "standard input and output carry them");
    let moves =
        if count == 2 { "exec 3<&0 4<&1 0</dev/null 1>&2" } else { "exec 3<&0 0</dev/null" };
    let script = format!(
        "{moves}; LISTEN_FDS={count} LISTEN_PID=$$ LISTEN_FDNAMES={names} exec \"$0\" gate --config \"$1\""
    );
    let log = world.join("gate.log");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &script, SASLGATE]).arg(world.join("saslgate.toml"));
    Service::spawn_with(&mut command, log, sockets.into_iter().map(OwnedFd::from).collect())
}

#[test]
fn sockets_of_the_service_manager_are_known_by_name_or_address() {
    let backend = Backend::polite();
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (named, addressed) = (bind(), bind());
    let address = addressed.local_addr().unwrap();
    let sections = format!(
        "[[gate.listener]]\naddress = \"0.0.0.0:0\"\nkind = \"mta\"\nsocket = \"smtp\"\nbanner = \"by name\"\n\
         [[gate.listener]]\naddress = \"{address}\"\nkind = \"mta\"\nbanner = \"by address\"\n"
    );
    let options = Options { sections, ..Options::default() };
    let (dir, _authd) = lay_out(backend.address, &options);
    let named_at = named.local_addr().unwrap();
    let mut gate = activate(dir.path(), vec![addressed, named], "other:smtp");
    gate.wait_for_log("listening on ");
    assert!(gate.log().contains(&format!(", {named_at}, {address}")), "{}", gate.log());
    for (address, banner) in [(named_at, "by name"), (address, "by address")] {
        let greeting = SmtpClient::connect(address).reply().text();
        assert!(greeting.ends_with(banner), "{greeting}");
    }
}

#[test]
fn an_inherited_socket_that_is_nobodys_is_an_error_and_not_forgotten() {
    let backend = Backend::polite();
    let (dir, _authd) = lay_out(backend.address, &Options::default());
    let stray = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stray.local_addr().unwrap();
    let mut gate = activate(dir.path(), vec![stray], "smtp");
    assert!(gate.wait().is_some_and(|code| code != 0));
    let log = gate.log();
    assert!(log.contains(&format!("the socket {address} (FileDescriptorName=smtp)")), "{log}");
}

#[test]
fn connections_wait_in_an_inherited_socket_while_the_gate_restarts() {
    let backend = Backend::polite();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let sections = format!("[[gate.listener]]\naddress = \"{address}\"\nkind = \"mta\"\n");
    let options = Options { sections, ..Options::default() };
    let (dir, _authd) = lay_out(backend.address, &options);
    let mut gate = activate(dir.path(), vec![socket.try_clone().unwrap()], "x");
    gate.wait_for_log("listening on ");
    assert_eq!(gate.stop(), Some(0));
    let mut early = SmtpClient::connect(address);
    let mut gate = activate(dir.path(), vec![socket], "x");
    gate.wait_for_log("listening on ");
    assert_eq!(early.reply().code, 220);
}
