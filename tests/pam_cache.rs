//! The credential cache in front of the real libpam: an old password fails on
//! its first try after a change, whatever the module keeps it in. Each world is
//! a mount namespace with an `/etc` of its own; authd has given root up, so it
//! sees the files and cannot read the hashes.
//!
//! Needs pam_unix, pam_userdb, pam_nologin (libpam-modules), passwd (chpasswd,
//! usermod), db-util (db_load), util-linux, and root.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{read_reply, request};

const FIRST: &str = "f1rst-Zauberwort";
const SECOND: &str = "s2cond-Zauberwort";
const THIRD: &str = "th3rd-Zauberwort";
const OK: &[u8] = b"\0\x02OK";
const NO_AUTH: &[u8] = b"\0\x11NO PAM auth error";
const NO_ACCOUNT: &[u8] = b"\0\x11NO PAM acct error";
const UNIX: &str = "auth required pam_unix.so\naccount required pam_unix.so\n";

/// An `/etc` with the account alice, and an authd on PAM that sees it.
struct World {
    dir: tempfile::TempDir,
    child: Child,
}

impl World {
    /// One whose service `smtp` is `stack`, with more lines for `[pam]`. `DIR`
    /// in either is the private directory.
    fn start(stack: &str, pam: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::Builder::new().prefix("pamcache").tempdir().unwrap();
        let place = dir.path();
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        let with_dir = |text: &str| text.replace("DIR", place.to_str().unwrap());
        write_etc(&place.join("etc"), &with_dir(stack));
        prepare(place);
        let config = format!(
            "[authd]\nsocket = \"DIR/mux\"\nbackends = [\"pam\"]\nfloor = \"0s\"\n\
             user = \"nobody\"\n[throttle]\nenabled = false\n[cache]\nenabled = true\n[pam]\n{pam}\n"
        );
        fs::write(place.join("saslgate.toml"), with_dir(&config)).unwrap();
        let mut world = Self { child: spawn(place), dir };
        let is_up = wait_until(PATIENCE, || {
            let has_ended = world.child.try_wait().unwrap().is_some();
            has_ended || world.log().contains("listening on socket")
        });
        assert!(is_up && world.child.try_wait().unwrap().is_none(), "{}", world.log());
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs a tool of the host where the private `/etc` is.
    fn tool(&self, words: &[&str], input: &str) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.child.id())).args(words);
        process::run(&mut command, input.as_bytes()).expect_success();
    }

    fn ask(&self, password: &str) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.path("mux")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request(&["alice", password, "smtp", ""])).unwrap();
        read_reply(&mut stream)
    }

    /// Whether a login with this password, which must be right, was answered
    /// from the cache.
    fn is_cached(&self, password: &str) -> bool {
        let count = |text: &str| self.log().matches(text).count();
        let (all, cached) = ("auth success", "auth success (cached)");
        let before = (count(all), count(cached));
        assert_eq!(self.ask(password), OK, "{}", self.log());
        assert!(wait_until(PATIENCE, || count(all) > before.0), "{}", self.log());
        count(cached) > before.1
    }

    /// Logs in until it is remembered: files that have just changed are not relied on.
    fn remember(&self, password: &str) {
        assert!(wait_until(PATIENCE, || self.is_cached(password)), "{}", self.log());
        assert!(self.is_cached(password), "{}", self.log());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        process::stop(&mut self.child);
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains("Zauberwort") && !log.contains("$y$"), "a secret is in the log");
        }
    }
}

fn write_etc(etc: &Path, stack: &str) {
    fs::create_dir_all(etc.join("pam.d")).unwrap();
    for name in ["ld.so.cache", "login.defs", "hosts", "hostname", "group", "shells"] {
        if let Ok(bytes) = fs::read(Path::new("/etc").join(name)) {
            fs::write(etc.join(name), bytes).unwrap();
        }
    }
    let sources = "passwd: files\ngroup: files\nshadow: files\n";
    let passwd = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
                  alice:x:2000:100::/:/bin/sh\n";
    let shadow = format!(
        "root:*:19000:0:99999:7:::\nnobody:*:19000::::::\nalice:{}:19000:0:99999:7:::\n",
        hash(FIRST)
    );
    fs::write(etc.join("nsswitch.conf"), sources).unwrap();
    fs::write(etc.join("passwd"), passwd).unwrap();
    fs::write(etc.join("shadow"), shadow).unwrap();
    fs::set_permissions(etc.join("shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(etc.join("pam.d/smtp"), stack).unwrap();
    fs::write(etc.join("pam.d/chpasswd"), "password required pam_unix.so yescrypt\n").unwrap();
}

fn spawn(place: &Path) -> Child {
    let log = File::create(place.join("log")).unwrap();
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg("mount --bind \"$0/etc\" /etc && exec \"$@\"")
        .arg(place)
        .args([env!("CARGO_BIN_EXE_saslgate"), "--config"])
        .arg(place.join("saslgate.toml"))
        .arg("authd")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

/// A hash of `password` as the host makes them.
fn hash(password: &str) -> String {
    let mut command = Command::new("mkpasswd");
    command.args(["-m", "yescrypt", "-s"]);
    process::run(&mut command, password.as_bytes()).expect_success().stdout.trim().to_owned()
}

#[test]
fn an_old_password_fails_on_the_first_try_after_chpasswd_changed_it() {
    let world = World::start(UNIX, "", |_| {});
    world.remember(FIRST);
    // Through pam_unix, as passwd does it.
    world.tool(&["chpasswd"], &format!("alice:{SECOND}\n"));
    assert_eq!(world.ask(FIRST), NO_AUTH, "{}", world.log());
    world.remember(SECOND);
    // Twice in a row, the first of them seen: their times may be the same.
    world.tool(&["chpasswd"], &format!("alice:{FIRST}\n"));
    assert!(!world.is_cached(FIRST));
    world.tool(&["chpasswd"], &format!("alice:{THIRD}\n"));
    assert_eq!(world.ask(FIRST), NO_AUTH);
    assert_eq!(world.ask(SECOND), NO_AUTH);
    world.remember(THIRD);
    world.tool(&["usermod", "-L", "alice"], "");
    assert_eq!(world.ask(THIRD), NO_AUTH, "locked");
    world.tool(&["usermod", "-U", "alice"], "");
    world.remember(THIRD);
    world.tool(&["chage", "-E", "1", "alice"], "");
    assert_eq!(world.ask(THIRD), NO_ACCOUNT, "expired");
}

/// In place, the size and the number of lines kept: only the times tell.
#[test]
fn a_shadow_file_that_is_written_in_place_is_seen() {
    let world = World::start(UNIX, "", |_| {});
    let shadow = world.path("etc/shadow");
    let text = fs::read_to_string(&shadow).unwrap();
    let field = text.split(':').find(|field| field.starts_with("$y$")).unwrap();
    let changed = text.replace(field, &hash(SECOND));
    assert_eq!(text.len(), changed.len());
    for round in 0..3 {
        fs::write(&shadow, &text).unwrap();
        if round < 2 {
            world.remember(FIRST);
        } else {
            // Not remembered yet, the file being fresh.
            assert!(!world.is_cached(FIRST));
        }
        fs::write(&shadow, &changed).unwrap();
        assert_eq!(world.ask(FIRST), NO_AUTH, "{round}: {}", world.log());
        assert!(!world.is_cached(SECOND));
    }
}

#[test]
fn a_service_file_that_is_replaced_or_removed_counts_at_once() {
    let world = World::start(UNIX, "", |_| {});
    world.remember(FIRST);
    let (smtp, new) = (world.path("etc/pam.d/smtp"), world.path("etc/pam.d/smtp.new"));
    fs::write(&new, "auth required pam_unix.so\naccount required pam_deny.so\n").unwrap();
    fs::rename(&new, &smtp).unwrap();
    assert_eq!(world.ask(FIRST), NO_ACCOUNT, "{}", world.log());
    fs::write(&smtp, UNIX).unwrap();
    world.remember(FIRST);
    // libpam falls back to `other`, and there is none.
    fs::remove_file(&smtp).unwrap();
    assert_ne!(world.ask(FIRST), OK);
}

#[test]
fn a_file_that_appears_counts_at_once_where_it_is_watched() {
    let stack = format!("{UNIX}account required pam_nologin.so\n");
    let pam = "watched_files = [\"/etc/passwd\", \"/etc/shadow\", \"/etc/nologin\"]";
    let world = World::start(&stack, pam, |_| {});
    world.remember(FIRST);
    fs::write(world.path("etc/nologin"), "back at six\n").unwrap();
    assert_eq!(world.ask(FIRST), NO_ACCOUNT, "{}", world.log());
    fs::remove_file(world.path("etc/nologin")).unwrap();
    world.remember(FIRST);
}

const USERDB: &str = "auth required pam_userdb.so db=DIR/logins\naccount required pam_permit.so\n";

/// Writes alice's password into the database in place, as its tool does.
fn set_in_userdb(place: &Path, password: &str) {
    let mut command = Command::new("db_load");
    command.args(["-T", "-t", "hash"]).arg(place.join("logins.db"));
    process::run(&mut command, format!("alice\n{password}\n").as_bytes()).expect_success();
    let readable = fs::Permissions::from_mode(0o600);
    fs::set_permissions(place.join("logins.db"), readable).unwrap();
}

#[test]
fn a_watched_pam_userdb_forgets_an_old_password_at_once() {
    let pam = "watched_files = [\"DIR/logins.db\"]";
    let world = World::start(USERDB, pam, |place| set_in_userdb(place, FIRST));
    world.remember(FIRST);
    set_in_userdb(world.dir.path(), SECOND);
    assert_eq!(world.ask(FIRST), NO_AUTH, "{}", world.log());
    world.remember(SECOND);
}

/// Nobody told us of the file: the new password is what ends the old one.
#[test]
fn behind_a_file_that_is_not_watched_the_new_password_ends_the_old_one() {
    let world = World::start(USERDB, "", |place| set_in_userdb(place, FIRST));
    world.remember(FIRST);
    set_in_userdb(world.dir.path(), SECOND);
    assert!(world.is_cached(FIRST), "nobody can know");
    assert!(!world.is_cached(SECOND));
    assert_eq!(world.ask(FIRST), NO_AUTH, "{}", world.log());
    assert!(world.is_cached(SECOND));
}

#[test]
fn a_watched_file_that_authd_cannot_look_at_is_said_and_nothing_is_remembered() {
    let hidden = |place: &Path| {
        fs::DirBuilder::new().mode(0o700).create(place.join("hidden")).unwrap();
        set_in_userdb(&place.join("hidden"), FIRST);
    };
    let stack = USERDB.replace("DIR", "DIR/hidden");
    let world = World::start(&stack, "watched_files = [\"DIR/hidden/logins.db\"]", hidden);
    for _ in 0..3 {
        assert!(!world.is_cached(FIRST));
    }
    let says = |log: &str| log.matches("cannot see whether").count();
    assert!(wait_until(PATIENCE, || says(&world.log()) > 0), "{}", world.log());
    assert_eq!(says(&world.log()), 1, "once is enough");
    set_in_userdb(&world.path("hidden"), SECOND);
    assert_eq!(world.ask(FIRST), NO_AUTH);
}
