//! authd as a service: start, second instance, reload, drain, crash, the service manager.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{
    Kind, PASSWORD, REALM, Subject, USER, read_reply, request, saslgate, saslgate_as,
};

const OK: &[u8] = b"\0\x02OK";

fn right() -> Vec<u8> {
    request(&[USER, PASSWORD, "smtp", REALM])
}

#[test]
fn finishes_what_is_under_way_before_it_ends() {
    let mut subject = Subject::start(Kind::Store);
    let mut open = subject.connect();
    open.write_all(&right()[..9]).unwrap();
    // Behind an answered request the one before it has been accepted.
    assert_eq!(subject.ask_right(), OK);
    subject.signal(Signal::SIGTERM);
    assert!(wait_until(PATIENCE, || !subject.socket().exists()), "the socket stays");
    assert!(subject.child.try_wait().unwrap().is_none(), "it did not wait");
    open.write_all(&right()[9..]).unwrap();
    assert_eq!(read_reply(&mut open), OK);
    let ended = wait_until(PATIENCE, || subject.child.try_wait().unwrap().is_some());
    assert!(ended, "{}", subject.log());
    assert_eq!(subject.child.try_wait().unwrap().unwrap().code(), Some(0));
}

#[test]
fn refuses_a_second_instance_and_leaves_the_first_alone() {
    let subject = Subject::start(Kind::Store);
    let mut second = saslgate();
    second.arg("--config").arg(subject.config()).arg("authd");
    let second = process::run(&mut second, b"");
    assert_eq!(second.code, Some(2));
    let pid = subject.child.id();
    let expected =
        format!("another instance is running on {} (pid {pid})", subject.socket().display());
    assert!(second.stderr.contains(&expected), "{}", second.stderr);
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn starts_again_behind_a_killed_one() {
    let mut subject = Subject::start(Kind::Store);
    subject.child.kill().unwrap();
    subject.child.wait().unwrap();
    assert!(subject.socket().exists(), "a killed process leaves its socket behind");
    subject.restart();
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn a_bad_configuration_keeps_the_old_one_and_says_why() {
    let subject = Subject::start(Kind::Store);
    let good = fs::read_to_string(subject.config()).unwrap();
    fs::write(subject.config(), format!("{good}\nnonsense = 1\n")).unwrap();
    subject.signal(Signal::SIGHUP);
    subject.wait_for_log("reload refused, the old configuration stays in force");
    subject.wait_for_log("nonsense");
    assert_eq!(subject.ask_right(), OK);
    // A store that cannot be opened is no reason to lose the one that is open.
    let elsewhere = good.replace("store.db", "no-such-dir/store.db");
    fs::write(subject.config(), elsewhere).unwrap();
    subject.signal(Signal::SIGHUP);
    subject.wait_for_log("no-such-dir");
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn a_reload_takes_over_what_can_change_and_names_what_cannot() {
    let subject = Subject::start(Kind::Store);
    assert_eq!(subject.ask(USER, PASSWORD, ""), OK);
    let changed = fs::read_to_string(subject.config())
        .unwrap()
        .replace("default_realm = \"example.org\"", "default_realm = \"elsewhere.test\"")
        .replace("/mux\"", "/mux2\"");
    fs::write(subject.config(), changed).unwrap();
    subject.signal(Signal::SIGHUP);
    subject.wait_for_log("what changed here only comes with a restart: authd.socket");
    assert_eq!(subject.ask(USER, PASSWORD, ""), Kind::Store.refusal(), "alice@elsewhere.test");
    assert_eq!(subject.ask_right(), OK);
}

#[test]
fn explains_a_configuration_it_cannot_start_with() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    fs::write(&config, "[authd]\nsocket = 25\n").unwrap();
    let mut command = saslgate();
    command.arg("--config").arg(&config).arg("authd");
    let ended = process::run(&mut command, b"");
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("bad.toml:2"), "{}", ended.stderr);
}

#[test]
fn our_testsaslauthd_speaks_as_the_original_does() {
    let subject = Subject::start(Kind::Store);
    let run = |words: &[&str], input: &str| {
        let mut command = saslgate_as("testsaslauthd", subject.dir());
        command.args(words).arg("-f").arg(subject.socket());
        process::run(&mut command, input.as_bytes())
    };
    let yes = run(&["-u", USER, "-p", PASSWORD, "-r", REALM], "");
    assert_eq!((yes.code, yes.stdout.as_str()), (Some(0), "0: OK \"Success.\"\n"));
    let piped = run(&["-u", USER, "-p", "-", "-r", REALM], &format!("{PASSWORD}\n"));
    assert_eq!((piped.code, piped.stdout.as_str()), (Some(0), "0: OK \"Success.\"\n"));
    let no = run(&["-u", USER, "-p", "x", "-R", "2"], "");
    let said = "0: NO \"authentication failed\"\n1: NO \"authentication failed\"\n";
    assert_eq!((no.code, no.stdout.as_str()), (Some(255), said));
    let usage = run(&["-u", USER], "");
    assert_eq!(usage.code, Some(1));
    assert!(usage.stderr.starts_with("testsaslauthd: usage: testsaslauthd -u username"));
    let long = run(&["-u", USER, "-p", &"x".repeat(8200)], "");
    assert_eq!(long.code, Some(255), "{}", long.stderr);
}

#[test]
fn our_testsaslauthd_names_what_the_connection_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = saslgate_as("testsaslauthd", dir.path());
    command.args(["-u", "a", "-p", "b", "-f", "/nonexistent/mux"]);
    let ended = process::run(&mut command, b"");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(255), "0: "));
    assert_eq!(ended.stderr, "connect() : No such file or directory\n");
}

/// Starts authd as the service manager would, with `prelude` run by the shell before it.
fn start_managed(subject_config: &Path, prelude: &str, notify: &Path, stdin: Stdio) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = format!("{prelude} exec \"$0\" --config \"$1\" authd");
    command
        .arg("-c")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_saslgate"))
        .arg(subject_config)
        .env("NOTIFY_SOCKET", notify)
        .env("WATCHDOG_USEC", "200000")
        .stdin(stdin)
        .stderr(Stdio::null());
    command
}

#[test]
fn tells_the_service_manager_and_takes_its_socket() {
    // The files of a subject; its own authd is stopped, and ours takes their place.
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let notify_path = subject.dir().join("notify");
    let notify = UnixDatagram::bind(&notify_path).unwrap();
    notify.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = UnixListener::bind(subject.socket()).unwrap();
    let mut managed = start_managed(
        &subject.config(),
        "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$",
        &notify_path,
        Stdio::from(std::os::fd::OwnedFd::from(listener)),
    )
    .spawn()
    .unwrap();
    wait_for_state(&notify, "READY=1");
    assert_eq!(subject.ask_right(), OK);
    wait_for_state(&notify, "WATCHDOG=1");
    process::send(managed.id(), Signal::SIGHUP);
    wait_for_state(&notify, "RELOADING=1");
    wait_for_state(&notify, "READY=1");
    process::send(managed.id(), Signal::SIGTERM);
    wait_for_state(&notify, "STOPPING=1");
    assert_eq!(process::stop(&mut managed), Some(0));
    assert!(subject.socket().exists(), "an inherited socket is not ours to remove");
}

#[test]
fn picks_its_socket_by_name_among_several_inherited_ones() {
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let other = UnixListener::bind(subject.dir().join("other")).unwrap();
    let listener = UnixListener::bind(subject.socket()).unwrap();
    let start = |names: &str| {
        let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ \
                      exec \"$0\" --config \"$1\" authd";
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(script)
            .arg(env!("CARGO_BIN_EXE_saslgate"))
            .arg(subject.config())
            .env("LISTEN_FDNAMES", names)
            .stdin(std::os::fd::OwnedFd::from(other.try_clone().unwrap()))
            .stdout(std::os::fd::OwnedFd::from(listener.try_clone().unwrap()))
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let unnamed = start("milter:pam").wait_with_output().unwrap();
    assert_eq!(unnamed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&unnamed.stderr).into_owned();
    assert!(said.contains("FileDescriptorName=saslauthd"), "{said}");
    let mut named = start("milter:saslauthd");
    assert_eq!(subject.ask_right(), OK);
    assert_eq!(process::stop(&mut named), Some(0));
}

fn wait_for_state(notify: &UnixDatagram, wanted: &str) {
    let mut message = [0; 512];
    loop {
        let count = notify.recv(&mut message).unwrap_or_else(|error| panic!("{wanted}: {error}"));
        let text = String::from_utf8_lossy(&message[..count]);
        if text.lines().any(|line| line == wanted) {
            return;
        }
    }
}

#[test]
fn gives_up_root_once_it_has_its_socket() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give it up");
        return;
    }
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let account = nix::unistd::User::from_name("nobody").unwrap().expect("an account `nobody`");
    for file in [".", "store.db"] {
        let path = subject.dir().join(file);
        std::os::unix::fs::chown(&path, Some(account.uid.as_raw()), None).unwrap();
    }
    let config = fs::read_to_string(subject.config()).unwrap();
    let with_user = config.replace("floor = \"0s\"", "floor = \"0s\"\nuser = \"nobody\"");
    fs::write(subject.config(), with_user).unwrap();
    subject.restart();
    assert_eq!(subject.ask_right(), OK);
    let status = fs::read_to_string(format!("/proc/{}/status", subject.child.id())).unwrap();
    let ids = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ids("Uid:"), vec![account.uid.to_string(); 4]);
    assert_eq!(ids("Gid:"), vec![account.gid.to_string(); 4]);
    assert_eq!(ids("CapEff:"), ["0000000000000000"]);
    assert!(!ids("Groups:").contains(&"0".to_owned()), "{status}");
}

/// Somebody tried the service as root once; the service account must not pay for it.
#[test]
fn a_lock_file_that_root_left_does_not_keep_the_service_account_out() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can leave something behind");
        return;
    }
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let lock = subject.dir().join("mux.lock");
    let nobody = nix::unistd::User::from_name("nobody").unwrap().expect("an account `nobody`");
    // The directory of the program may be closed to that account.
    let program = subject.dir().join("saslgate");
    fs::copy(env!("CARGO_BIN_EXE_saslgate"), &program).unwrap();
    for file in ["saslgate.toml", "saslgate", "store.db"] {
        let path = subject.dir().join(file);
        std::os::unix::fs::chown(&path, Some(nobody.uid.as_raw()), None).unwrap();
    }
    let mut command = Command::new(&program);
    command.arg("--config").arg(subject.config()).arg("authd").uid(nobody.uid.as_raw());
    let own = |uid: u32| std::os::unix::fs::chown(subject.dir(), Some(uid), None).unwrap();
    fs::set_permissions(subject.dir(), fs::Permissions::from_mode(0o755)).unwrap();

    let refused = process::run(&mut command, b"");
    let expected = format!("the lock file {} belongs to another account", lock.display());
    assert_eq!((refused.code, refused.stderr.contains(&expected)), (Some(1), true), "{refused:?}");

    own(nobody.uid.as_raw());
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_up = wait_until(PATIENCE, || UnixStream::connect(subject.socket()).is_ok());
    assert!(is_up && subject.ask_right() == OK);
    assert_eq!(fs::metadata(&lock).unwrap().uid(), nobody.uid.as_raw());
    assert_eq!(process::stop(&mut child), Some(0));
}

#[test]
fn a_crash_leaves_no_core_file_with_passwords_in_it() {
    let mut subject = Subject::start(Kind::Store);
    process::stop(&mut subject.child);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "ulimit -c unlimited; exec \"$0\" --config \"$1\" authd"])
        .arg(env!("CARGO_BIN_EXE_saslgate"))
        .arg(subject.config())
        .current_dir(subject.dir())
        .stderr(Stdio::null());
    let mut crashing = command.spawn().unwrap();
    assert!(wait_until(PATIENCE, || UnixStream::connect(subject.socket()).is_ok()));
    assert_eq!(subject.ask_right(), OK);
    process::send(crashing.id(), Signal::SIGABRT);
    let status = crashing.wait().unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}
