//! What the programs of others make of what we tell operators: the log of a guesser
//! through the real `fail2ban-regex`, with the filter that fail2ban has for sendmail
//! and with ours; metrics through the parser of Prometheus's own Python client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::gate::{Ready, Service};
use support::gate_world::{Options, World};
use support::process::run;
use support::scripted_backend::Backend;
use support::smtp_client::base64;

/// fail2ban's own filter, told what the gate is called.
const THEIRS: &str = "sendmail-auth[_daemon=saslgate]";
/// Ours, once it is installed.
const OURS: &str = "saslgate";

/// A configuration of fail2ban's with our filter installed.
fn configuration(folder: &Path) -> PathBuf {
    let filters = folder.join("fail2ban/filter.d");
    fs::create_dir_all(&filters).unwrap();
    for name in ["common.conf", "sendmail-auth.conf"] {
        fs::copy(Path::new("/etc/fail2ban/filter.d").join(name), filters.join(name)).unwrap();
    }
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/fail2ban/saslgate.conf");
    fs::copy(ours, filters.join("saslgate.conf")).unwrap();
    fs::write(folder.join("fail2ban/fail2ban.conf"), "[Definition]\n").unwrap();
    folder.join("fail2ban")
}

/// The addresses that `filter` finds in the log that `folder` holds, in order.
fn banned(filter: &str, folder: &Path) -> Vec<String> {
    let mut command = Command::new("fail2ban-regex");
    command.arg("--config").arg(configuration(folder));
    command.args(["--out", "ip"]).arg(folder.join("maillog")).arg(filter);
    run(&mut command, b"").expect_success().stdout.lines().map(str::to_owned).collect()
}

/// As a syslog daemon writes them into /var/log/maillog.
fn write_maillog(lines: &[&str], folder: &Path) {
    let mut text = String::new();
    for line in lines {
        writeln!(text, "Nov 20 14:02:27 mx saslgate[812]: {line}").unwrap();
    }
    fs::write(folder.join("maillog"), text).unwrap();
}

#[test]
fn both_filters_find_the_guesser_in_what_the_gate_has_logged() {
    let world = World::start(Backend::polite().address, &Options::default());
    let mut client = world.connect();
    assert_eq!(client.reply().code, 220);
    client.expect("EHLO client.test", 250);
    // PLAIN, LOGIN, and a name in the shape of what follows it.
    let plain = base64(b"\0alice\0wrong-password");
    assert_eq!(client.command(&format!("AUTH PLAIN {plain}")).code, 535);
    let forged = base64(b"x, relay=[198.51.100.1]");
    client.command(&format!("AUTH LOGIN {forged}"));
    assert_eq!(client.command(&base64(b"wrong-password")).code, 535);
    let mailer = world.log_in();
    drop((client, mailer));
    world.wait_for_sessions(2);
    let log = world.service.log();
    // Without the time and level that a log on standard error has.
    let lines: Vec<&str> = log.lines().filter_map(|line| line.splitn(3, ' ').nth(2)).collect();
    assert!(lines.iter().any(|line| line.contains(": AUTH=server, ")), "{log}");
    let folder = tempfile::tempdir().unwrap();
    write_maillog(&lines, folder.path());
    let twice = ["127.0.0.1", "127.0.0.1"];
    assert_eq!(banned(THEIRS, folder.path()), twice, "{log}");
    assert_eq!(banned(OURS, folder.path()), twice, "{log}");
}

/// The sample lines are those in the tests of `ops::event`.
#[test]
fn outages_and_successes_are_nobodys_guess() {
    let folder = tempfile::tempdir().unwrap();
    write_maillog(
        &[
            "k3f9abcdefghij: AUTH failure (PLAIN): generic failure (-1) SASL(-1): generic \
             failure: backend-down: no socket, user=alice, relay=[192.0.2.7]",
            "k3f9abcdefghij: AUTH=server, relay=[192.0.2.7], authid=alice, mech=PLAIN, bits=0",
            "k3f9abcdefghij: AUTH failure (PLAIN): authentication failure (-13) SASL(-13): \
             authentication failure: Password verification failed, user=alice, \
             relay=mx.example.org [IPv6:2001:db8::7]",
            "auth failure: [user=alice] [service=smtp] [realm=] [mech=pam] \
             [reason=PAM auth error] [remote=192.0.2.8] [verdict=rejected] \
             [code=bad-credentials] [uid=0] [ms=3]",
        ],
        folder.path(),
    );
    assert_eq!(banned(THEIRS, folder.path()), ["2001:db8::7"]);
    assert_eq!(banned(OURS, folder.path()), ["2001:db8::7", "192.0.2.8"]);
}

/// Reads OpenMetrics text strictly, and prints each sample's name.
const PARSER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(sample.name)
";

/// The samples that Prometheus's parser finds behind this socket.
fn samples(socket: &Path) -> Vec<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--unix-socket"]).arg(socket);
    let text = run(curl.arg("http://localhost/metrics"), b"").expect_success().stdout;
    // The system's: that is the one the package is for.
    let mut parser = Command::new("/usr/bin/python3");
    let read = run(parser.args(["-c", PARSER]), text.as_bytes()).expect_success();
    read.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn the_metrics_of_both_services_are_what_prometheus_reads() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let metrics = format!("[metrics]\ngate = \"{at}/gate\"\nauthd = \"{at}/authd\"\n");
    let options = Options { sections: metrics.clone(), ..Options::default() };
    let world = World::start(Backend::polite().address, &options);
    world.log_in().submit(b"Subject: x\r\n\r\nhello\r\n");
    let found = samples(&folder.path().join("gate"));
    for name in ["saslgate_gate_messages_total", "saslgate_backend_latency_seconds_bucket"] {
        assert!(found.iter().any(|it| it == name), "{found:?}");
    }

    let config = folder.path().join("saslgate.toml");
    let authd = format!(
        "[authd]\nsocket = \"{at}/mux\"\nbackends = [\"store\"]\n[store]\npath = \"{at}/users.db\"\n"
    );
    fs::write(&config, authd + &metrics).unwrap();
    let ready = Ready::Socket(folder.path().join("mux"));
    let _service = Service::start("authd", &config, &[ready]);
    let mut ask = Command::new("testsaslauthd");
    ask.args(["-u", "nobody", "-p", "x", "-f"]).arg(folder.path().join("mux"));
    assert_ne!(run(&mut ask, b"").code, Some(0), "there is no such user");
    let found = samples(&folder.path().join("authd"));
    for name in ["saslgate_authd_requests_total", "saslgate_authd_request_seconds_sum"] {
        assert!(found.iter().any(|it| it == name), "{found:?}");
    }
}
