//! Whose mail real Postfix and real Exim think they get from the gate: XCLIENT and
//! PROXY. Each runs in a world of its own, the gate beside it.
//!
//! Needs root, overlayfs and the packages of `packaging/setup.sh clients`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::net::SocketAddr;

use support::clients::World;
use support::fake_authd::{FakeAuthd, LOGIN, PASSWORD};
use support::gate::{SASLGATE, Service};
use support::gate_world::{Options, lay_out, listeners};
use support::process::{Finished, PATIENCE, wait_until};

/// Where the client is; the gate is at 127.0.0.1.
const CLIENT: &str = "127.0.0.7";

/// A mail server in a world, and a gate in front of it.
struct Scene {
    world: World,
    implicit: SocketAddr,
    gate: Service,
    _dir: tempfile::TempDir,
    _authd: FakeAuthd,
    _sockets: tempfile::TempDir,
}

impl Scene {
    fn start(files: &[(&str, String)], server: &str, backend: &str) -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let world = World::make(sockets.path(), files);
        world.serve(server, 25);
        let options = Options { backend: backend.to_owned(), ..Options::default() };
        let (dir, authd) = lay_out("127.0.0.1:25".parse().unwrap(), &options);
        let mut command = world.command(SASLGATE);
        command.arg("gate").arg("--config").arg(dir.path().join("saslgate.toml"));
        let mut gate = Service::spawn(&mut command, dir.path().join("gate.log"));
        gate.wait_for_log("backend: address=");
        let implicit = listeners(&gate.log())[1];
        Self { world, implicit, gate, _dir: dir, _authd: authd, _sockets: sockets }
    }

    /// A message from [`CLIENT`], by alice.
    fn send(&self) -> Finished {
        let server = self.implicit.to_string();
        let arguments = [
            "--server",
            &server,
            "--tls-on-connect",
            "--local-interface",
            CLIENT,
            "--auth",
            "PLAIN",
            "--auth-user",
            LOGIN,
            "--auth-password",
            PASSWORD,
            "--helo",
            "laptop.test",
            "--from",
            "alice@gate.test",
            "--to",
            "somebody@far.example",
            "--timeout",
            "50",
        ];
        self.world.run("swaks", &arguments, b"")
    }

    fn wait_for_server_log(&self, text: &str) {
        let is_there = || self.world.logs().contains(text);
        assert!(wait_until(PATIENCE, is_there), "no {text:?} in:\n{}", self.world.logs());
    }
}

/// Relays for whoever logged in, or for those in `mynetworks`; throws mail away.
fn postfix(main: &str, smtpd: &str) -> Vec<(&'static str, String)> {
    let main = format!(
        "compatibility_level = 3.6\nmyhostname = mx.gate.test\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmydestination =\n\
         alias_maps =\nlocal_recipient_maps =\nmaillog_file = /var/log/postfix.log\n\
         default_transport = discard:\n{main}\n"
    );
    let master = format!(
        "smtp inet n - n - - smtpd{smtpd}\npickup unix n - n 60 1 pickup\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         discard unix - - n - - discard\nproxymap unix - - n - - proxymap\n\
         anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\n"
    );
    vec![("/etc/postfix/main.cf", main), ("/etc/postfix/master.cf", master)]
}

const START_POSTFIX: &str = "chown postfix /var/lib/postfix && exec postfix start-fg";

#[test]
fn postfix_takes_user_and_client_from_xclient() {
    // 127.0.0.1 itself may relay nothing: it is the login of the client that counts.
    let main = "mynetworks = 192.0.2.1/32\nsmtpd_sasl_auth_enable = yes\nsmtpd_authorized_xclient_hosts = 127.0.0.1\n\
                smtpd_relay_restrictions = permit_sasl_authenticated, reject";
    for identity in ["xclient", "auto"] {
        let backend = format!("identity = \"{identity}\"\npool_idle = 4\n");
        let scene = Scene::start(&postfix(main, ""), START_POSTFIX, &backend);
        for _ in 0..2 {
            let sent = scene.send();
            assert_eq!(sent.code, Some(0), "{}\n{}", sent.stdout, scene.world.logs());
        }
        scene.wait_for_server_log(&format!(
            "[{CLIENT}], sasl_method=XCLIENT, sasl_username={LOGIN}"
        ));
        let logs = scene.world.logs();
        assert_eq!(logs.matches("sasl_method=XCLIENT").count(), 2, "{logs}");
        assert!(!logs.contains("localhost[127.0.0.7]"), "the gate's own name is not the client's");
    }
}

#[test]
fn a_postfix_that_trusts_somebody_else_gets_nothing() {
    let main = "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject";
    let mut scene = Scene::start(&postfix(main, ""), START_POSTFIX, "identity = \"xclient\"\n");
    let finished = scene.send();
    assert!(finished.stdout.contains("<~* 421 4.7.0"), "{}", finished.stdout);
    scene
        .gate
        .wait_for_log("it offers no XCLIENT: name this host in its smtpd_authorized_xclient_hosts");
    assert!(!scene.world.logs().contains("status=sent"));
}

#[test]
fn postfix_takes_the_client_from_a_proxy_header() {
    // Only the client's own address may relay, not the gate's.
    let main =
        format!("mynetworks = {CLIENT}/32\nsmtpd_relay_restrictions = permit_mynetworks, reject");
    for identity in ["proxy", "proxy-v1"] {
        let smtpd = "\n -o smtpd_upstream_proxy_protocol=haproxy";
        let backend = format!("identity = \"{identity}\"\n");
        let scene = Scene::start(&postfix(&main, smtpd), START_POSTFIX, &backend);
        scene.send().expect_success();
        scene.wait_for_server_log(&format!("client=unknown[{CLIENT}]"));
        scene.wait_for_server_log("status=sent");
        let logs = scene.world.logs();
        assert!(!logs.contains("haproxy"), "the probe, too, sends a header: {logs}");
    }
}

#[test]
fn exim_takes_the_client_from_a_proxy_header() {
    let conf = format!(
        "primary_hostname = mx.gate.test\nlocal_interfaces = 127.0.0.1\n\
         daemon_smtp_ports = 25\nkeep_environment =\nlog_file_path = /var/log/exim/%slog\n\
         host_lookup =\nlog_selector = +proxy\nrfc1413_query_timeout = 0s\nhosts_proxy = 127.0.0.1\n\
         acl_smtp_rcpt = acl_rcpt\nbegin acl\nacl_rcpt:\n  accept hosts = {CLIENT}\n  deny\n\
         begin routers\nhole:\n  driver = redirect\n  data = :blackhole:\n"
    );
    let paths = ["/etc/exim4/exim4.conf", "/etc/exim/exim.conf"];
    let server = "for place in /var/spool/exim4 /var/spool/exim /var/log/exim; do\n\
         mkdir -p $place && chown Debian-exim $place\ndone\n\
         if command -v exim4 >/dev/null; then exec exim4 -bdf; else exec exim -bdf; fi";
    let files = paths.map(|path| (path, conf.clone()));
    let scene = Scene::start(&files, server, "identity = \"proxy\"\n");
    scene.send().expect_success();
    scene.wait_for_server_log(&format!("[{CLIENT}]"));
    scene.wait_for_server_log("PRX=127.0.0.1");
}
