//! The backend `kerberos5` against MIT's KDC, and the original beside it: the
//! same realm, the same keytab, the same cases. Where ours differs on purpose,
//! the case says so.
//!
//! Each test has KDCs of its own, on loopback, with a database in a private
//! directory. Needs krb5-kdc, krb5-admin-server (kadmin.local) and sasl2-bin.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::kdc::{Kdc, REALM, krb5_conf};
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{read_reply, request, saslgate_as};

const RIGHT: &str = "s3cret-Zauberwort";
const WRONG: &str = "wr0ng-Zauberwort";
const HOST: &str = "mx.example.test";
const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";
/// Nobody could be asked: the connection is closed.
const CLOSED: &[u8] = b"";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Ours,
    /// Ours, called by the original's name with the original's flags.
    Face,
    Original,
}

impl Subject {
    const ALL: [Self; 3] = [Self::Ours, Self::Face, Self::Original];
}

/// A saslauthd, its krb5.conf and its keytab.
struct World {
    dir: tempfile::TempDir,
    subject: Subject,
    child: Child,
}

impl World {
    /// One that asks these KDCs (realm and port); `prepare` puts a keytab where it is told.
    fn start(
        subject: Subject,
        kdcs: &[(&str, &[u16])],
        flags: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("krb5").tempdir().unwrap();
        let place = dir.path();
        prepare(&place.join("keytab"));
        fs::write(place.join("krb5.conf"), krb5_conf(kdcs)).unwrap();
        let original =
            format!("krb5_keytab: {0}/keytab\nkrb5_servername: {HOST}\n", place.display());
        fs::write(place.join("saslauthd.conf"), original).unwrap();
        let child = spawn(subject, place, flags);
        let mut world = Self { dir, subject, child };
        let is_up = wait_until(PATIENCE, || {
            let has_ended = world.child.try_wait().unwrap().is_some();
            has_ended || world.log().contains("listening on socket")
        });
        let ended = world.child.try_wait().unwrap();
        assert!(is_up && ended.is_none(), "did not start: {}", world.log());
        world
    }

    /// One that asks this KDC, with the keytab that it made.
    fn of(subject: Subject, kdc: &Kdc) -> Self {
        Self::start(subject, &[(REALM, &[kdc.port()])], &[], |keytab| {
            fs::copy(kdc.keytab(), keytab).unwrap();
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn ask(&self, login: &str, password: &str, realm: &str) -> Vec<u8> {
        let mut stream = std::os::unix::net::UnixStream::connect(self.path("mux")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let bytes = request(&[login, password, "smtp", realm]);
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
        read_reply(&mut stream)
    }

    fn assert_accepted(&self, login: &str, realm: &str) {
        let reply = self.ask(login, RIGHT, realm);
        let is_ok = match self.subject {
            Subject::Original => reply.get(2..4) == Some(b"OK"),
            _ => reply == OK,
        };
        assert!(is_ok, "{:?} {login} {realm}: {reply:?}: {}", self.subject, self.log());
    }

    /// Asserts that it is a refusal, of ours one that says nothing more.
    fn assert_refused(&self, login: &str, password: &str, realm: &str) {
        let reply = self.ask(login, password, realm);
        let is_no = match self.subject {
            Subject::Original => reply.get(2..4) == Some(b"NO"),
            _ => reply == NO,
        };
        assert!(is_no, "{:?} {login} {realm}: {reply:?}: {}", self.subject, self.log());
    }

    /// Asserts that nobody could be asked, and that the log says `why`; the original
    /// calls it a wrong password.
    fn assert_unavailable(&self, login: &str, why: &[&str]) {
        let reply = self.ask(login, RIGHT, "");
        if self.subject == Subject::Original {
            assert_eq!(reply.get(2..4), Some(&b"NO"[..]), "{reply:?}");
            return;
        }
        assert_eq!(reply, CLOSED, "{login}: {}", self.log());
        for text in why {
            let is_said = wait_until(PATIENCE, || self.log().contains(text));
            assert!(is_said, "no \"{text}\" in:\n{}", self.log());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.subject == Subject::Original {
            for (pid, _) in process::descendants(self.child.id()) {
                process::send(pid, nix::sys::signal::Signal::SIGKILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else {
            process::stop(&mut self.child);
        }
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains("Zauberwort"), "a password is in the log:\n{log}");
        }
    }
}

fn spawn(subject: Subject, place: &Path, flags: &[&str]) -> Child {
    let log = File::create(place.join("log")).unwrap();
    let shown = place.display();
    let mut command = match subject {
        Subject::Ours => {
            let text = format!(
                "[authd]\nsocket = \"{shown}/mux\"\nbackends = [\"kerberos5\"]\nfloor = \"0s\"\n\
                 [kerberos5]\nkrb_conf = \"{shown}/krb5.conf\"\nkeytab = \"{shown}/keytab\"\n\
                 server_name = \"{HOST}\"\ntimeout = \"20s\"\n"
            );
            let config = place.join("saslgate.toml");
            fs::write(&config, text).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_saslgate"));
            command.arg("--config").arg(config).arg("authd");
            command
        }
        Subject::Face => {
            let mut command = saslgate_as("saslauthd", place);
            command.args(["-d", "-a", "kerberos5", "-m"]).arg(place);
            command
        }
        Subject::Original => {
            let mut command = Command::new("/usr/sbin/saslauthd");
            command.args(["-d", "-a", "kerberos5", "-n", "2", "-m"]).arg(place);
            command
        }
    };
    if subject != Subject::Ours {
        command.arg("-O").arg(place.join("saslauthd.conf")).args(flags);
        command.env("KRB5_CONFIG", place.join("krb5.conf"));
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

#[test]
fn right_passwords_are_accepted_and_all_others_refused() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.add("open", RIGHT, "-requires_preauth");
    kdc.add("alice/mail", RIGHT, "+requires_preauth");
    kdc.add("sha2", RIGHT, "-e aes256-sha2:normal +requires_preauth");
    kdc.add("short", RIGHT, "-e aes128-cts:normal +requires_preauth");
    kdc.add("short2", RIGHT, "-e aes128-sha2:normal +requires_preauth");
    kdc.add("salted", RIGHT, "-e aes256-cts:special +requires_preauth");
    kdc.add("expired", RIGHT, "-expire yesterday +requires_preauth");
    kdc.add("stale", RIGHT, "-pwexpire yesterday +requires_preauth");
    kdc.add("locked", RIGHT, "-allow_tix +requires_preauth");
    kdc.start();
    for subject in Subject::ALL {
        let world = World::of(subject, &kdc);
        for user in ["alice", "open", "alice/mail", "sha2", "short", "short2", "salted"] {
            world.assert_accepted(user, "");
            world.assert_refused(user, WRONG, "");
        }
        world.assert_accepted("alice", REALM);
        world.assert_accepted(&format!("alice@{REALM}"), "");
        for user in ["nobody-here", "expired", "stale", "locked"] {
            world.assert_refused(user, RIGHT, "");
        }
        world.assert_refused("alice", RIGHT, "NOWHERE.TEST");
        world.assert_refused("a\\@b", RIGHT, "");
        if subject != Subject::Original {
            // Realms are domain names to everybody else, who write them small.
            world.assert_accepted("alice", "example.test");
            for code in ["account-expired", "password-expired", "account-locked"] {
                let is_said = wait_until(PATIENCE, || world.log().contains(code));
                assert!(is_said, "{code}: {}", world.log());
            }
        }
    }
}

/// The Zanarotti attack: somebody answers in the KDC's place, with our users and
/// passwords of his own.
#[test]
fn a_kdc_that_is_not_ours_is_not_believed() {
    let mut real = Kdc::new(REALM);
    real.add("alice", WRONG, "+requires_preauth");
    let mut other = Kdc::new(REALM);
    other.add("alice", RIGHT, "+requires_preauth");
    other.add("open", RIGHT, "-requires_preauth");
    other.start();
    for subject in Subject::ALL {
        let world = World::start(subject, &[(REALM, &[other.port()])], &[], |keytab| {
            fs::copy(real.keytab(), keytab).unwrap();
        });
        let why = ["did not prove itself", "somebody answers in the KDC's place"];
        world.assert_unavailable("alice", &why);
        world.assert_unavailable("open", &why);
    }
}

#[test]
fn without_the_key_of_the_host_nobody_is_believed() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.start();
    let kdcs: &[(&str, &[u16])] = &[(REALM, &[kdc.port()])];
    let other = kdc.export("imap/mx.example.test");
    for subject in Subject::ALL {
        let world = World::start(subject, kdcs, &[], |_| ());
        if subject == Subject::Ours {
            let mut check = Command::new(env!("CARGO_BIN_EXE_saslgate"));
            check.arg("--config").arg(world.path("saslgate.toml")).arg("check");
            let said = process::run(&mut check, b"");
            let said = format!("{}{}", said.stdout, said.stderr);
            assert!(said.contains("cannot read the keytab"), "{said}");
            assert!(world.log().contains("nobody can log in yet"), "{}", world.log());
        }
        world.assert_unavailable("alice", &["cannot read the keytab", "ktadd"]);
        // It counts as soon as it is there, and when it is gone again.
        fs::copy(kdc.keytab(), world.path("keytab")).unwrap();
        world.assert_accepted("alice", "");
        fs::write(world.path("keytab"), b"\x05\x02\0\0\0\x09cut").unwrap();
        world.assert_unavailable("alice", &["is damaged"]);
        fs::copy(&other, world.path("keytab")).unwrap();
        world.assert_unavailable("alice", &["of host/mx.example.test, only imap/mx.example.test"]);
    }
}

#[test]
fn a_keytab_of_an_older_key_is_an_outage_that_says_so() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.start();
    let world = World::of(Subject::Ours, &kdc);
    world.assert_accepted("alice", "");
    kdc.export("host/mx.example.test");
    world.assert_unavailable("alice", &["export it again (kadmin: ktadd host/mx.example.test@"]);
}

#[test]
fn a_kdc_that_is_down_is_an_outage_and_counts_again_when_it_is_up() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.start();
    for subject in [Subject::Ours, Subject::Original] {
        let world = World::of(subject, &kdc);
        world.assert_accepted("alice", "");
        kdc.stop();
        world.assert_unavailable("alice", &["no KDC of EXAMPLE.TEST answers", "127.0.0.1"]);
        kdc.start();
        world.assert_accepted("alice", "");
    }
}

#[test]
fn a_dead_kdc_is_passed_over() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.start();
    // One where nobody listens, and one that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = process::free_port();
    let ports = [dead, silent.local_addr().unwrap().port(), kdc.port()];
    let world = World::start(Subject::Ours, &[(REALM, &ports)], &[], |keytab| {
        fs::copy(kdc.keytab(), keytab).unwrap();
    });
    world.assert_accepted("alice", "");
    world.assert_refused("alice", WRONG, "");
}

#[test]
fn a_changed_password_counts_at_once() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", WRONG, "+requires_preauth");
    kdc.start();
    let world = World::of(Subject::Ours, &kdc);
    world.assert_refused("alice", RIGHT, "");
    kdc.admin(&format!("cpw -pw {RIGHT} alice"));
    world.assert_accepted("alice", "");
    world.assert_refused("alice", WRONG, "");
    kdc.admin("modprinc -allow_tix alice");
    world.assert_refused("alice", RIGHT, "");
}

/// Issue 832 of Cyrus SASL: with `-r` the realm was there twice.
#[test]
fn a_joined_realm_is_there_once() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.start();
    let start = |subject| {
        World::start(subject, &[(REALM, &[kdc.port()])], &["-r"], |keytab| {
            fs::copy(kdc.keytab(), keytab).unwrap();
        })
    };
    start(Subject::Face).assert_accepted("alice", REALM);
    start(Subject::Original).assert_refused("alice", RIGHT, REALM);
}

#[test]
fn users_of_a_trusted_realm_log_in() {
    const OTHER: &str = "OTHER.TEST";
    let mut ours = Kdc::new(REALM);
    let mut theirs = Kdc::new(OTHER);
    theirs.add("bob", RIGHT, "+requires_preauth");
    for kdc in [&mut ours, &mut theirs] {
        kdc.add(&format!("krbtgt/{REALM}@{OTHER}"), "the-keys-of-the-bridge", "");
        kdc.start();
    }
    for subject in Subject::ALL {
        let kdcs: &[(&str, &[u16])] = &[(REALM, &[ours.port()]), (OTHER, &[theirs.port()])];
        let world = World::start(subject, kdcs, &[], |keytab| {
            fs::copy(ours.keytab(), keytab).unwrap();
        });
        world.assert_accepted("bob", OTHER);
        world.assert_refused("bob", WRONG, OTHER);
        world.assert_refused("bob", RIGHT, "");
    }
}

#[test]
fn many_at_once_are_answered_each_for_himself() {
    let mut kdc = Kdc::new(REALM);
    kdc.add("alice", RIGHT, "+requires_preauth");
    kdc.add("bob", WRONG, "+requires_preauth");
    kdc.start();
    let world = World::of(Subject::Ours, &kdc);
    std::thread::scope(|scope| {
        for number in 0..24 {
            let world = &world;
            scope.spawn(move || match number % 3 {
                0 => world.assert_refused("bob", RIGHT, ""),
                1 => world.assert_refused("nobody", RIGHT, ""),
                _ => world.assert_accepted("alice", ""),
            });
        }
    });
}
