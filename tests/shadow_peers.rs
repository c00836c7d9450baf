//! The backends `shadow` and `getpwent` beside the original's: private account
//! files, made by the real tools of shadow-utils and mkpasswd, in a mount
//! namespace of their own. The same cases for both programs; where ours
//! differs on purpose, the case says so.
//!
//! Needs sasl2-bin, whois (mkpasswd), passwd, util-linux, and root.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::process::{self, Finished, PATIENCE, wait_until};
use support::saslauthd::{read_reply, request};

const RIGHT: &str = "s3cret-Zauberwort";
const WRONG: &str = "wr0ng-Zauberwort";
const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Ours,
    Original,
}

/// A host's `/etc` with a few accounts, and a saslauthd that sees it.
struct World {
    dir: tempfile::TempDir,
    subject: Subject,
    mechanism: &'static str,
    child: Option<Child>,
}

impl World {
    /// An `/etc` with these users, each with what stands in its shadow field.
    fn new(subject: Subject, mechanism: &'static str, users: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("accounts").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let etc = dir.path().join("etc");
        fs::create_dir(&etc).unwrap();
        for name in ["ld.so.cache", "login.defs", "hosts", "hostname", "group"] {
            if let Ok(bytes) = fs::read(Path::new("/etc").join(name)) {
                fs::write(etc.join(name), bytes).unwrap();
            }
        }
        fs::write(etc.join("nsswitch.conf"), "passwd: files\ngroup: files\nshadow: files\n")
            .unwrap();
        let mut passwd = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n".to_owned();
        let mut shadow = "root:*:19000:0:99999:7:::\n".to_owned();
        for (number, (user, field)) in users.iter().enumerate() {
            let (x, field) = if mechanism == "shadow" { ("x", *field) } else { (*field, "*") };
            passwd += &format!("{user}:{x}:{}:100::/:/bin/false\n", 2000 + number);
            shadow += &format!("{user}:{field}:19000:0:99999:7:::\n");
        }
        fs::write(etc.join("passwd"), passwd).unwrap();
        fs::write(etc.join("shadow"), shadow).unwrap();
        fs::set_permissions(etc.join("shadow"), fs::Permissions::from_mode(0o640)).unwrap();
        Self { dir, subject, mechanism, child: None }
    }

    fn started(subject: Subject, mechanism: &'static str, users: &[(&str, &str)]) -> Self {
        let mut world = Self::new(subject, mechanism, users);
        world.start("", &[]);
        world
    }

    /// Starts the subject, with more lines for `[authd]`, behind the words of `wrapper`.
    fn start(&mut self, authd: &str, wrapper: &[&str]) {
        self.spawn(authd, wrapper);
        let is_up =
            wait_until(PATIENCE, || self.log().contains("listening on socket") || self.has_ended());
        assert!(is_up && !self.has_ended(), "did not start: {}", self.log());
    }

    fn spawn(&mut self, authd: &str, wrapper: &[&str]) {
        let place = self.dir.path();
        let log = File::create(place.join("log")).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc && exec \"$@\"")
            .arg(place.join("etc"))
            .args(wrapper);
        match self.subject {
            Subject::Ours => {
                let config = place.join("saslgate.toml");
                let text = format!(
                    "[authd]\nsocket = \"{}/mux\"\nbackends = [\"{}\"]\nfloor = \"0s\"\n{authd}\n",
                    place.display(),
                    self.mechanism
                );
                fs::write(&config, text).unwrap();
                command
                    .arg(env!("CARGO_BIN_EXE_saslgate"))
                    .arg("--config")
                    .arg(config)
                    .arg("authd");
            }
            Subject::Original => {
                command.args(["/usr/sbin/saslauthd", "-d", "-a", self.mechanism, "-n", "2", "-m"]);
                command.arg(place);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits for `text` in the log, which is written behind the reply.
    fn assert_logs(&self, text: &str) {
        let is_there = wait_until(PATIENCE, || self.log().contains(text));
        assert!(is_there, "{text:?} is not in the log:\n{}", self.log());
    }

    /// Runs a tool of the host where the private `/etc` is.
    fn tool(&self, words: &[&str]) -> Finished {
        let pid = self.child.as_ref().unwrap().id();
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{pid}/ns/mnt")).args(words);
        process::run(&mut command, b"").expect_success()
    }

    fn ask(&self, user: &str, password: &str) -> Vec<u8> {
        let mut stream =
            std::os::unix::net::UnixStream::connect(self.dir.path().join("mux")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let bytes = request(&[user, password, "smtp", ""]);
        std::io::Write::write_all(&mut stream, &bytes).unwrap();
        read_reply(&mut stream)
    }

    /// Asserts that it is a refusal, of ours one that says nothing more.
    fn assert_refused(&self, user: &str, password: &str) {
        let reply = self.ask(user, password);
        match self.subject {
            Subject::Ours => assert_eq!(reply, NO, "{user}: {}", self.log()),
            Subject::Original => assert_eq!(&reply[2..4], b"NO", "{user}: {reply:?}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let workers = process::descendants(child.id());
            if self.subject == Subject::Original {
                for (pid, _) in &workers {
                    process::send(*pid, nix::sys::signal::Signal::SIGKILL);
                }
                let _ = child.kill();
                let _ = child.wait();
            } else {
                process::stop(&mut child);
            }
        }
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains(RIGHT) && !log.contains("$6$"), "a secret is in the log:\n{log}");
        }
    }
}

/// A hash of [`RIGHT`] by this method, made now.
fn hash(method: &str) -> String {
    let mut command = Command::new("mkpasswd");
    command.args(["-m", method, "-s"]);
    let made = process::run(&mut command, RIGHT.as_bytes()).expect_success();
    made.stdout.trim().to_owned()
}

fn day() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / (24 * 3600)
}

#[test]
fn hashes_of_every_method_fit_their_password_and_no_other() {
    let methods = ["md5crypt", "sha256crypt", "sha512crypt", "bcrypt", "bcrypt-a", "yescrypt"];
    let users: Vec<(&str, String)> = methods.iter().map(|name| (*name, hash(name))).collect();
    let users: Vec<(&str, &str)> =
        users.iter().map(|(name, text)| (*name, text.as_str())).collect();
    for mechanism in ["shadow", "getpwent"] {
        for subject in [Subject::Ours, Subject::Original] {
            let world = World::started(subject, mechanism, &users);
            for (user, _) in &users {
                assert_eq!(
                    world.ask(user, RIGHT),
                    OK,
                    "{subject:?} {mechanism} {user}: {}",
                    world.log()
                );
                world.assert_refused(user, WRONG);
                world.assert_refused(user, &RIGHT[1..]);
            }
        }
    }
}

/// The original says NO where it cannot know; we say that we cannot.
#[test]
fn a_method_that_is_not_known_is_an_outage_here() {
    let users = [("old", hash("descrypt")), ("gost", hash("gost-yescrypt"))];
    let users = users.each_ref().map(|(name, text)| (*name, text.as_str()));
    let ours = World::started(Subject::Ours, "shadow", &users);
    for (user, name) in [("old", "DES"), ("gost", "gost-yescrypt")] {
        assert_eq!(ours.ask(user, RIGHT), b"", "an outage closes without a reply");
        ours.assert_logs(name);
        ours.assert_logs(&format!("passwd {user}"));
    }
    // libxcrypt still knows it.
    let original = World::started(Subject::Original, "shadow", &users);
    assert_eq!(original.ask("old", RIGHT), OK);
}

#[test]
fn nobody_learns_from_a_reply_whether_a_user_exists() {
    let users = [("alice", hash("sha512crypt"))];
    let users = users.each_ref().map(|(name, text)| (*name, text.as_str()));
    let told = |subject| {
        let world = World::started(subject, "shadow", &users);
        [world.ask("alice", WRONG), world.ask("nobody-here", WRONG)]
    };
    assert_eq!(told(Subject::Ours), [NO, NO]);
    let original = told(Subject::Original);
    assert_ne!(original[0], original[1], "the original tells");
}

#[test]
fn locked_expired_and_empty_accounts_are_refused() {
    let text = hash("sha512crypt");
    let locked = format!("!{text}");
    let users =
        ["good", "expired", "today", "forced", "old", "closed"].map(|name| (name, text.as_str()));
    let users =
        [&users[..], &[("locked", &locked), ("empty", ""), ("star", "*"), ("bang", "!")]].concat();
    for subject in [Subject::Ours, Subject::Original] {
        let world = World::started(subject, "shadow", &users);
        let today = day().to_string();
        world.tool(&["chage", "-E", &(day() - 1).to_string(), "expired"]);
        world.tool(&["chage", "-E", &today, "today"]);
        world.tool(&["chage", "-d", "0", "forced"]);
        world.tool(&["chage", "-d", &(day() - 50).to_string(), "-M", "30", "old"]);
        world.tool(&["chage", "-d", &(day() - 50).to_string(), "-M", "30", "-I", "5", "closed"]);
        assert_eq!(world.ask("good", RIGHT), OK, "{}", world.log());
        for user in ["expired", "old", "closed", "locked", "empty", "star", "bang"] {
            world.assert_refused(user, RIGHT);
        }
        for user in ["today", "forced"] {
            match subject {
                Subject::Ours => world.assert_refused(user, RIGHT),
                Subject::Original => assert_eq!(world.ask(user, RIGHT), OK, "{user}"),
            }
        }
        if subject == Subject::Ours {
            for code in ["account-expired", "password-expired", "account-locked"] {
                world.assert_logs(&format!("[code={code}]"));
            }
        }
    }
}

#[test]
fn a_changed_password_counts_at_once() {
    let users = [("alice", hash("sha512crypt"))];
    let users = users.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut world = World::new(Subject::Ours, "shadow", &users);
    // With the cache, which the original takes an old password from for hours.
    world.start("[cache]\nenabled = true", &[]);
    let other = "an0ther-Zauberwort";
    let mut command = Command::new("mkpasswd");
    let made = process::run(command.args(["-m", "yescrypt", "-s"]), other.as_bytes());
    for _ in 0..3 {
        assert_eq!(world.ask("alice", RIGHT), OK);
    }
    world.tool(&["usermod", "-p", made.expect_success().stdout.trim(), "alice"]);
    world.assert_refused("alice", RIGHT);
    assert_eq!(world.ask("alice", other), OK);
    world.tool(&["usermod", "-L", "alice"]);
    world.assert_refused("alice", other);
    world.tool(&["usermod", "-U", "alice"]);
    assert_eq!(world.ask("alice", other), OK);
    world.tool(&["userdel", "alice"]);
    world.assert_refused("alice", other);
}

#[test]
fn without_permission_it_does_not_start_and_says_why() {
    let users = [("alice", hash("sha512crypt"))];
    let users = users.each_ref().map(|(name, text)| (*name, text.as_str()));
    // As somebody who may not read the file, and as root who is to give root up.
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (authd, wrapper) in [("", &wrapper[..]), ("user = \"nobody\"", &[])] {
        let mut world = World::new(Subject::Ours, "shadow", &users);
        fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        world.spawn(authd, wrapper);
        assert!(wait_until(PATIENCE, || world.has_ended()), "{}", world.log());
        let log = world.log();
        assert!(log.contains("cannot read /etc/shadow") && log.contains("needs root"), "{log}");
    }
}

#[test]
fn the_group_of_the_shadow_file_is_enough() {
    let users = [("alice", hash("sha512crypt"))];
    let users = users.each_ref().map(|(name, text)| (*name, text.as_str()));
    let mut world = World::new(Subject::Ours, "shadow", &users);
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let shadow = world.dir.path().join("etc/shadow");
    std::os::unix::fs::chown(&shadow, Some(0), Some(42)).unwrap();
    world.start("", &["setpriv", "--reuid=65534", "--regid=65534", "--groups=42"]);
    assert_eq!(world.ask("alice", RIGHT), OK);
    world.assert_refused("alice", WRONG);
    // Permission that goes later is an outage, never "no such user".
    fs::set_permissions(&shadow, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.ask("alice", RIGHT), b"");
    world.assert_logs("code=backend-down");
}
