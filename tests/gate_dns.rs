//! What the gate asks the DNS, with dnsmasq as the resolver: block lists and
//! verified names, answers that must not count, silence, and a resolver that is gone.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use saslgate::gate::names::{ClientName, NameSettings, Names};
use saslgate::policy::block_list::Zone;
use support::gate_world::{Options, World};
use support::process::{self, PATIENCE, wait_until};
use support::scripted_backend::Backend;
use support::smtp_client::SmtpClient;

/// A resolver on loopback that knows what it is told, and says that there is nothing else.
struct Resolver {
    address: SocketAddr,
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Resolver {
    fn start(records: &[&str]) -> Self {
        // dnsmasq cannot be given a socket: the port is free now, and is taken at once.
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file", "--user="])
            .args(["--log-queries", "--log-facility=-", "--local=/test/", "--local=/arpa/"])
            .arg(format!("--port={}", address.port()))
            .args(records)
            .stdin(Stdio::null())
            .stdout(log.reopen().unwrap())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let resolver = Self { address, child, log };
        let is_up = || process::is_listening(address);
        assert!(wait_until(PATIENCE, is_up), "{}", resolver.log());
        resolver
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// How often it was asked for `name`.
    fn asked(&self, name: &str) -> usize {
        self.log().to_ascii_lowercase().matches(&format!("] {name} from ")).count()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

fn settings(server: SocketAddr, zones: &[&str]) -> NameSettings {
    NameSettings {
        servers: vec![server],
        time_limit: Duration::from_secs(2),
        clients: 10,
        remembered: 1000,
        client_names: true,
        zones: zones.iter().map(|zone| Zone::parse(zone).unwrap()).collect(),
        exempt: vec!["203.0.113.0/24".parse().unwrap()],
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const LISTED: &[&str] = &[
    "--address=/7.2.0.192.zen.test/127.0.0.4",
    "--address=/7.2.0.192.other.test/127.0.0.9",
    "--address=/refusing.test/127.255.255.254",
    "--address=/8.2.0.192.parked.test/198.51.100.1",
    "--host-record=8.b.d.0.1.0.0.2.zen6.test,127.0.0.2",
    "--address=/1.113.0.203.zen.test/127.0.0.2",
];

#[test]
fn only_who_is_listed_is_listed() {
    let resolver = Resolver::start(LISTED);
    let zones = ["zen.test", "other.test=127.0.0.[2..4]", "refusing.test", "parked.test"];
    block_on(async {
        let names = Arc::new(Names::new(&settings(resolver.address, &zones)).unwrap());
        assert_eq!(names.listings(ip("192.0.2.7")).await, ["zen.test"]);
        assert_eq!(names.listings(ip("::ffff:192.0.2.7")).await, ["zen.test"]);
        assert!(names.listings(ip("192.0.2.8")).await.is_empty());
        assert!(names.listings(ip("2001:db8::7")).await.is_empty());
        // Exempt: nobody is asked.
        assert!(names.listings(ip("203.0.113.1")).await.is_empty());
        assert_eq!(resolver.asked("1.113.0.203.zen.test"), 0);
        // Remembered, whatever the answer was.
        for address in ["192.0.2.7", "192.0.2.8"] {
            names.listings(ip(address)).await;
        }
        assert_eq!(resolver.asked("7.2.0.192.zen.test"), 1, "{}", resolver.log());
        assert_eq!(resolver.asked("8.2.0.192.zen.test"), 1, "{}", resolver.log());
    });
}

#[test]
fn a_name_counts_if_it_leads_back() {
    let resolver = Resolver::start(&[
        "--host-record=mail.client.test,192.0.2.7",
        "--host-record=six.client.test,2001:db8::7",
        "--ptr-record=8.2.0.192.in-addr.arpa,victim.test",
        "--host-record=victim.test,198.51.100.1",
        "--ptr-record=9.2.0.192.in-addr.arpa,nowhere.test",
    ]);
    block_on(async {
        let names = Names::new(&settings(resolver.address, &[])).unwrap();
        let verified = |name: &str| ClientName::Verified(name.to_owned());
        assert_eq!(names.client_name(ip("192.0.2.7")).await, verified("mail.client.test"));
        assert_eq!(names.client_name(ip("2001:db8::7")).await, verified("six.client.test"));
        assert_eq!(names.client_name(ip("192.0.2.8")).await, ClientName::Forged);
        assert_eq!(names.client_name(ip("192.0.2.9")).await, ClientName::Forged);
        assert_eq!(names.client_name(ip("192.0.2.10")).await, ClientName::None);
    });
}

#[test]
fn a_resolver_that_is_silent_lists_nobody_and_ends_in_time() {
    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut settings = settings(silent.local_addr().unwrap(), &["zen.test"]);
    settings.time_limit = Duration::from_millis(300);
    block_on(async {
        let names = Arc::new(Names::new(&settings).unwrap());
        assert!(names.listings(ip("192.0.2.7")).await.is_empty());
        assert_eq!(names.client_name(ip("192.0.2.7")).await, ClientName::Unknown);
    });
}

#[test]
fn one_silent_list_does_not_hide_another() {
    // A zone that is forwarded to nobody who answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let forward = format!("--server=/silent.test/127.0.0.1#{port}");
    let resolver = Resolver::start(&[LISTED, &[&forward]].concat());
    block_on(async {
        let mut settings = settings(resolver.address, &["silent.test", "zen.test"]);
        settings.time_limit = Duration::from_secs(1);
        let names = Arc::new(Names::new(&settings).unwrap());
        assert_eq!(names.listings(ip("192.0.2.7")).await, ["zen.test"]);
    });
}

fn world(resolver: SocketAddr, backend: &Backend) -> World {
    let sections = format!(
        "[[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"mta\"\n\
         [policy.dns]\nservers = [\"{resolver}\"]\nblock_lists = [\"zen.test\"]\ntimeout = \"1s\"\n"
    );
    World::start(backend.address, &Options { sections, ..Options::default() })
}

const SELF_LISTED: &[&str] = &["--address=/1.0.0.127.zen.test/127.0.0.2"];

#[test]
fn a_listed_client_is_refused_at_rcpt() {
    let resolver = Resolver::start(SELF_LISTED);
    let backend = Backend::polite();
    let mut world = world(resolver.address, &backend);
    let mut client = SmtpClient::connect(world.more[0]);
    assert_eq!(client.reply().code, 220);
    client.expect("EHLO client.test", 250);
    client.expect("MAIL FROM:<a@b.test>", 250);
    let reply = client.expect("RCPT TO:<bob@gate.test>", 550);
    assert_eq!(reply.text(), "5.7.1 Rejected: 127.0.0.1 listed at zen.test");
    client.expect("QUIT", 221);
    world.service.wait_for_log("from=<a@b.test>");
    assert!(world.wait_for_messages(1)[0].contains("listed at zen.test"));
}

#[test]
fn a_user_who_has_logged_in_is_not_refused_for_a_list() {
    let resolver = Resolver::start(SELF_LISTED);
    let backend = Backend::polite();
    let world = world(resolver.address, &backend);
    let mut client = SmtpClient::connect(world.more[0]);
    assert_eq!(client.reply().code, 220);
    client.expect("EHLO client.test", 250);
    client.expect("STARTTLS", 220);
    client.handshake(&world.ca()).unwrap();
    client.expect("EHLO client.test", 250);
    let response = support::smtp_client::plain_response();
    client.expect(&format!("AUTH PLAIN {response}"), 235);
    assert_eq!(client.submit(b"Subject: x\r\n\r\nx\r\n").code, 250);
    // The name of a loopback address is localhost, whatever the resolver says (RFC 6761).
    let text = String::from_utf8(backend.messages().remove(0)).unwrap();
    assert!(text.contains("(localhost [127.0.0.1])"), "{text}");
}

#[test]
fn a_list_that_cannot_be_asked_is_told_once() {
    // Nobody listens there any more.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backend = Backend::polite();
    let mut world = world(gone, &backend);
    for _ in 0..3 {
        let mut client = SmtpClient::connect(world.more[0]);
        assert_eq!(client.reply().code, 220);
        client.expect("EHLO client.test", 250);
        client.expect("MAIL FROM:<a@b.test>", 250);
        client.expect("RCPT TO:<bob@gate.test>", 250);
    }
    world.service.wait_for_log("dnsbl: zone=zen.test, state=down, reason=");
    assert_eq!(world.service.log().matches("state=down").count(), 1, "{}", world.service.log());
}
