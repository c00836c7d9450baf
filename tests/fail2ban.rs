//! What the gate logs of a guesser, through the real `fail2ban-regex`: with the
//! filter that fail2ban has for sendmail, and with ours.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
