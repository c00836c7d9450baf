//! `saslgate user` as an administrator and as a script meet it.
#![cfg(test)]

mod support;

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::termios::{LocalFlags, tcgetattr};
use support::process::run;
use support::site::{Site, program};

/// Runs `saslgate user ARGUMENTS`: exit code, standard output, standard error.
fn user(site: &Site, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let output = run(&mut site.user(arguments), input.as_bytes());
    let (stdout, stderr) = (output.stdout.clone(), output.stderr.clone());
    assert!(!stdout.contains("s3cret") && !stderr.contains("s3cret"), "{stdout}{stderr}");
    (output.code, stdout, stderr)
}

#[test]
fn adds_changes_locks_and_deletes() {
    let site = Site::new();
    let done = |line: &str| (Some(0), line.to_owned(), String::new());
    assert_eq!(user(&site, &["add", "alice"], "s3cret\n"), done("alice@example.org added\n"));
    assert!(site.accepts("s3cret"));
    let changed = done("alice@example.org has a new password\n");
    assert_eq!(user(&site, &["passwd", "alice@Example.ORG"], "s3cret-2"), changed);
    assert!(site.accepts("s3cret-2") && !site.accepts("s3cret"));
    assert_eq!(user(&site, &["lock", "alice"], ""), done("alice@example.org locked\n"));
    assert!(!site.accepts("s3cret-2"));
    assert_eq!(user(&site, &["unlock", "alice"], ""), done("alice@example.org unlocked\n"));
    assert!(site.accepts("s3cret-2"));
    assert_eq!(user(&site, &["del", "alice"], ""), done("alice@example.org deleted\n"));
    assert_eq!(user(&site, &["show", "alice"], "").0, Some(1));
}

#[test]
fn refusals_say_what_to_do() {
    let site = Site::with_alice("s3cret");
    let exists = "saslgate: alice@example.org already exists: use \"saslgate user passwd\" to set \
                  a new password\n";
    let missing = "saslgate: bob@example.org does not exist: see \"saslgate user list\"\n";
    let empty = "saslgate: an empty password is refused\n";
    let long = "x".repeat(8163);
    for (arguments, input, expected) in [
        (["add", "alice"], "x\n", exists),
        (["passwd", "bob"], "x\n", missing),
        (["del", "bob"], "", missing),
        (["lock", "bob"], "", missing),
        (["show", "bob"], "", missing),
        (["add", "bob"], "\n", empty),
        (["add", "bob"], "", empty),
        (["passwd", "alice"], "\n", empty),
        (
            ["add", "bob"],
            "one\ntwo\n",
            "saslgate: the password contains a line break: send one line\n",
        ),
        (["add", "bob"], "a\0b\n", "saslgate: the password contains a NUL byte\n"),
        (["add", "bob"], &long, "saslgate: the password is longer than 8162 bytes\n"),
        (
            ["add", "@example.org"],
            "x\n",
            "saslgate: \"@example.org\" is no user: the user name is empty\n",
        ),
    ] {
        let (code, stdout, stderr) = user(&site, &arguments, input);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(1), "", expected));
    }
    assert!(site.accepts("s3cret"));
    assert_eq!(user(&site, &["list"], "").1.lines().count(), 2, "nobody was added");
}

#[test]
fn a_password_on_the_command_line_is_wrong_usage() {
    let site = Site::new();
    let (code, _, stderr) = user(&site, &["add", "alice", "hunter2"], "");
    assert_eq!(code, Some(2));
    assert!(stderr.contains("unexpected argument"), "{stderr}");
    assert!(!site.path("users.db").exists());
}

#[test]
fn lists_aligned_columns_and_json() {
    let site = Site::with_alice("s3cret");
    user(&site, &["add", "bob@a-longer-realm.test"], "s3cret");
    user(&site, &["lock", "alice"], "");
    let (_, table, _) = user(&site, &["list"], "");
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("USER   REALM                STATE   MECHANISMS   STORED    CREATED"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("bob    a-longer-realm.test  active  PLAIN LOGIN  argon2id  20"),
        "{table}"
    );
    assert!(
        lines[2].starts_with("alice  example.org          locked  PLAIN LOGIN  argon2id  20"),
        "{table}"
    );
    assert!(lines[2].ends_with("  never"), "{table}");
    let (_, json, _) = user(&site, &["list", "--json"], "");
    let users: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(users[0]["user"], "bob");
    assert_eq!(users[1]["realm"], "example.org");
    assert_eq!(users[1]["state"], "locked");
    assert_eq!(users[1]["mechanisms"], serde_json::json!(["PLAIN", "LOGIN"]));
    assert_eq!(users[1]["last_used"], serde_json::Value::Null);
    assert!(users[1]["created"].as_str().unwrap().ends_with('Z'));
    let (_, shown, _) = user(&site, &["show", "alice", "--json"], "");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown, users[1]);
    let (_, shown, _) = user(&site, &["show", "alice"], "");
    assert!(shown.contains("\nmechanisms  PLAIN LOGIN\n"), "{shown}");
}

#[test]
fn an_unusable_store_has_an_exit_code_of_its_own() {
    let site = Site::new();
    let (code, _, stderr) = user(&site, &["list"], "");
    assert_eq!(code, Some(66));
    assert!(stderr.contains("does not exist"), "{stderr}");
    fs::write(site.path("users.db"), "x".repeat(5000)).unwrap();
    for arguments in [&["list"][..], &["add", "alice"], &["del", "alice"]] {
        let (code, _, stderr) = user(&site, arguments, "s3cret");
        assert_eq!(code, Some(65));
        assert!(stderr.contains("is damaged"), "{stderr}");
    }
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/sasldb2-berkeley.db");
    fs::write(site.path("saslgate.toml"), site.config(sample.as_ref())).unwrap();
    let (code, _, stderr) = user(&site, &["list"], "");
    assert_eq!(code, Some(65));
    assert!(stderr.contains("is a Cyrus sasldb2 (Berkeley DB)"), "{stderr}");
}

#[test]
fn makes_the_store_private_whatever_the_umask_and_for_the_owner_of_its_directory() {
    for umask in ["0000", "0777"] {
        let site = Site::new();
        let directory = site.path("state");
        fs::create_dir(&directory).unwrap();
        if nix::unistd::geteuid().is_root() {
            chown(&directory, Some(1), Some(1)).unwrap();
        }
        let store = directory.join("users.db");
        fs::write(site.path("saslgate.toml"), site.config(&store)).unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask $0; exec \"$@\"", umask, env!("CARGO_BIN_EXE_saslgate"), "-C"])
            .arg(site.path("saslgate.toml"))
            .args(["user", "add", "alice"]);
        let output = run(&mut command, b"s3cret");
        assert!(output.code == Some(0), "{}", output.stderr);
        let (meta, parent) = (fs::metadata(&store).unwrap(), fs::metadata(&directory).unwrap());
        assert_eq!(meta.mode() & 0o7777, 0o600);
        assert_eq!((meta.uid(), meta.gid()), (parent.uid(), parent.gid()));
        let names: Vec<_> = fs::read_dir(&directory).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left behind: {names:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let site = Site::with_alice("s3cret");
    let mut child = site.user(&["list"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn somebody_who_may_not_is_told_who_may() {
    let site = Site::with_alice("s3cret");
    let mut command = site.user(&["list"]);
    if nix::unistd::geteuid().is_root() {
        // Nothing is forbidden to root: be nobody, with a copy of the program in reach.
        let copy = site.path("saslgate");
        fs::copy(env!("CARGO_BIN_EXE_saslgate"), &copy).unwrap();
        fs::set_permissions(site.path("."), Permissions::from_mode(0o755)).unwrap();
        command = Command::new(copy);
        command.arg("-C").arg(site.path("saslgate.toml")).args(["user", "list"]);
        command.uid(65534).gid(65534);
    } else {
        fs::set_permissions(site.path("users.db"), Permissions::from_mode(0o000)).unwrap();
    }
    let output = run(&mut command, b"");
    let stderr = output.stderr;
    assert_eq!(output.code, Some(77), "{stderr}");
    assert!(stderr.contains("no permission to use the password store"), "{stderr}");
    assert!(stderr.contains("as root or as the owner"), "{stderr}");
}

// --- on a terminal

/// A command whose standard input is a terminal, and the other end of that.
struct Typing {
    child: Child,
    keyboard: OwnedFd,
    terminal: OwnedFd,
    shown: String,
}

impl Typing {
    fn start(mut command: Command) -> Self {
        let pty = nix::pty::openpty(None, None).unwrap();
        let stdin = Stdio::from(File::from(pty.slave.try_clone().unwrap()));
        let child =
            command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, keyboard: pty.master, terminal: pty.slave, shown: String::new() }
    }

    /// Waits for the prompt and types a line.
    fn answer(&mut self, prompt: &str, line: &[u8]) {
        let mut byte = [0];
        while !self.shown.ends_with(prompt) {
            self.child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
            self.shown.push(char::from(byte[0]));
        }
        nix::unistd::write(&self.keyboard, line).unwrap();
    }

    /// Exit code, standard output, standard error; nothing must have been echoed.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut stdout, mut stderr) = (self.shown, String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code();
        let flags = tcgetattr(&self.terminal).unwrap().local_flags;
        assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        drop(self.terminal);
        let mut echoed = Vec::new();
        // Ends with EIO, since the terminal is gone.
        drop(File::from(self.keyboard).read_to_end(&mut echoed));
        assert_eq!(echoed, b"", "echoed to the terminal");
        (code, stdout, stderr)
    }
}

#[test]
fn asks_twice_without_echo() {
    let site = Site::new();
    let mut typing = Typing::start(site.user(&["add", "alice"]));
    typing.answer("Password: ", b"s3cret\n");
    typing.answer("Again (for verification): ", b"s3cret\n");
    let prompts = "Password: \nAgain (for verification): \nalice@example.org added\n";
    assert_eq!(typing.end(), (Some(0), prompts.to_owned(), String::new()));
    assert!(site.accepts("s3cret"));
}

#[test]
fn two_different_passwords_change_nothing() {
    let site = Site::with_alice("s3cret");
    let mut typing = Typing::start(site.user(&["passwd", "alice"]));
    typing.answer("Password: ", b"one\n");
    typing.answer("Again (for verification): ", b"two\n");
    let (code, _, stderr) = typing.end();
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "saslgate: the passwords don't match; nothing was changed\n");
    assert!(site.accepts("s3cret"));
}

#[test]
fn control_c_leaves_password_and_terminal_as_they_were() {
    let site = Site::with_alice("s3cret");
    let mut typing = Typing::start(site.user(&["passwd", "alice"]));
    typing.answer("Password: ", b"half\x03");
    let (code, _, stderr) = typing.end();
    assert_eq!(code, Some(1));
    assert_eq!(stderr, "saslgate: interrupted; nothing was changed\n");
    assert!(site.accepts("s3cret"));
}

#[test]
fn saslpasswd2_prompts_as_the_original_does() {
    let site = Site::new();
    let command = |user: &str| {
        let mut command = program("saslpasswd2");
        command.args(["-c", "-u", "example.org", "-f"]).arg(site.path("users.db")).arg(user);
        command
    };
    let mut typing = Typing::start(command("alice"));
    typing.answer("Password: ", b"s3cret\n");
    typing.answer("Again (for verification): ", b"s3cret\n");
    let prompts = "Password: \nAgain (for verification): \n";
    assert_eq!(typing.end(), (Some(0), prompts.to_owned(), String::new()));
    assert!(site.accepts("s3cret"));
    let mut typing = Typing::start(command("bob"));
    typing.answer("Password: ", b"one\n");
    typing.answer("Again (for verification): ", b"two\n");
    let (code, _, stderr) = typing.end();
    assert_eq!(code, Some(7));
    assert_eq!(stderr, "saslpasswd2: passwords don't match; aborting\n");
}
