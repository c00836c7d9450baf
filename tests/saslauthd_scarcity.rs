//! authd where the host runs out of something: descriptors, time that goes its
//! own ways, randomness, room for the log. (A full disk below the store:
//! `store_disk_full`, `store_tmpfs`.)
#![cfg(test)]

mod support;

use std::fs;
use std::fs::File;
use std::os::unix::net::UnixStream;
#[cfg(feature = "peer-tests")]
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use support::process::{self, PATIENCE, wait_until};
use support::saslauthd::{Kind, PASSWORD, REALM, Subject, USER, WRONG, request};

const OK: &[u8] = b"\0\x02OK";
const NO: &[u8] = b"\0\x02NO";

/// Starts authd on the files of `subject`, whose own has ended, by a shell that runs `prelude`.
fn start(subject: &Subject, prelude: &str, environment: &[(&str, &str)]) -> Child {
    let log = File::options().append(true).open(subject.dir().join("log")).unwrap();
    Command::new("/bin/sh")
        .args(["-c", &format!("{prelude} exec \"$0\" --config \"$1\" authd")])
        .arg(env!("CARGO_BIN_EXE_saslgate"))
        .arg(subject.config())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn restarted(authd: &str, prelude: &str, environment: &[(&str, &str)]) -> (Subject, Child) {
    let mut subject = Subject::start_with(Kind::Store, authd);
    process::stop(&mut subject.child);
    let mut child = start(&subject, prelude, environment);
    let is_up = wait_until(PATIENCE, || {
        child.try_wait().unwrap().is_some() || UnixStream::connect(subject.socket()).is_ok()
    });
    assert!(is_up && child.try_wait().unwrap().is_none(), "{}", subject.log());
    (subject, child)
}

/// Clock ticks (proc(5): fields 14 and 15) that a process has used.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn out_of_descriptors_it_waits_without_spinning_and_serves_on() {
    let (subject, mut child) = restarted("", "ulimit -n 64;", &[]);
    let idle: Vec<UnixStream> = (0..80).map(|_| subject.connect()).collect();
    subject.wait_for_log("Too many open files");
    let (started, before) = (Instant::now(), ticks(child.id()));
    // A second look at the load while nothing can be accepted; requests wait in the backlog.
    let mut waiting = subject.connect();
    std::io::Write::write_all(&mut waiting, &request(&[USER, PASSWORD, "smtp", REALM])).unwrap();
    wait_until(PATIENCE, || started.elapsed().as_millis() >= 1000);
    let (used, passed) = (ticks(child.id()) - before, started.elapsed());
    // A hundred ticks are a second; a loop that spins takes all of it.
    assert!(u128::from(used) * 10 < passed.as_millis() / 2, "{used} ticks in {passed:?}");
    drop(idle);
    assert_eq!(support::saslauthd::read_reply(&mut waiting), OK);
    assert_eq!(subject.ask_right(), OK);
    subject.wait_for_log("works again");
    assert_eq!(process::stop(&mut child), Some(0));
}

/// The disk below the log is full: nothing can be said, and everything is answered.
#[test]
fn a_log_that_cannot_be_written_keeps_nobody_out() {
    let (subject, mut child) = restarted("", "exec 1>/dev/full 2>/dev/full;", &[]);
    for _ in 0..100 {
        assert_eq!(subject.ask_right(), OK);
        assert_eq!(subject.ask(USER, WRONG, REALM), NO);
    }
    assert_eq!(process::stop(&mut child), Some(0));
}

/// Where a program of another package is: on the host, or unpacked by `setup.sh clients`.
#[cfg(feature = "peer-tests")]
fn library(pattern: &[&str]) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients").join("root");
    let places = pattern.iter().map(|path| PathBuf::from("/").join(path));
    let unpacked = pattern.iter().map(|path| unpacked.join(path));
    places.chain(unpacked).find(|path| path.exists())
}

/// Only CLOCK_REALTIME jumps, as when somebody sets the clock: ten years forth, twenty back.
#[cfg(feature = "peer-tests")]
#[test]
fn a_clock_that_jumps_changes_no_answer() {
    let found = library(&[
        "usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        "usr/lib64/faketime/libfaketimeMT.so.1",
    ]);
    let Some(faketime) = found else {
        assert!(!Path::new("/etc/debian_version").exists(), "run packaging/setup.sh clients");
        eprintln!("SKIPPED: libfaketime is not here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let offset = dir.path().join("offset");
    fs::write(&offset, "+0").unwrap();
    let environment = [
        ("LD_PRELOAD", faketime.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let (subject, mut child) = restarted("[cache]\nenabled = true", "", &environment);
    for jump in ["+0", "+3650d", "-7300d", "+0"] {
        fs::write(dir.path().join("new"), jump).unwrap();
        fs::rename(dir.path().join("new"), &offset).unwrap();
        assert_eq!(subject.ask_right(), OK, "{jump}");
        assert_eq!(subject.ask(USER, WRONG, REALM), NO, "{jump}");
        assert_eq!(subject.ask_right(), OK, "{jump}, remembered");
    }
    // A password that was changed at another time is changed now.
    fs::write(&offset, "-7300d").unwrap();
    let mut passwd = support::saslauthd::saslgate();
    passwd.arg("--config").arg(subject.config());
    passwd.args(["user", "passwd"]).arg(format!("{USER}@{REALM}"));
    process::run(&mut passwd, b"an-0ther-Zauberwort\n").expect_success();
    assert_eq!(subject.ask_right(), NO, "the old password");
    assert_eq!(subject.ask(USER, "an-0ther-Zauberwort", REALM), OK);
    assert_eq!(process::stop(&mut child), Some(0));
}

/// A kernel that gives no random bytes, by way of a library in front of libc's `getrandom`.
#[cfg(feature = "peer-tests")]
#[test]
fn without_randomness_no_password_is_set_and_no_service_starts_half_secret() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("norandom.c");
    fs::write(
        &source,
        "#include <errno.h>\n#include <sys/types.h>\n\
         ssize_t getrandom(void *b, size_t n, unsigned f)\n\
         { (void)b; (void)n; (void)f; errno = EIO; return -1; }\n\
         int getentropy(void *b, size_t n) { (void)b; (void)n; errno = EIO; return -1; }\n",
    )
    .unwrap();
    let library = dir.path().join("norandom.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&library, &source]);
    process::run(&mut compiler, b"").expect_success();

    let mut subject = Subject::start_with(Kind::Store, "[cache]\nenabled = true");
    let user = |words: &[&str]| {
        let mut command = support::saslauthd::saslgate();
        command.arg("--config").arg(subject.config()).arg("user").args(words);
        command.env("LD_PRELOAD", &library);
        process::run(&mut command, b"an-0ther-Zauberwort\n")
    };
    let alice = format!("{USER}@{REALM}");
    assert_ne!(user(&["passwd", &alice]).code, Some(0));
    assert_ne!(user(&["add", "bob@example.org"]).code, Some(0));
    assert_eq!(subject.ask_right(), OK, "the old password stays");
    assert_eq!(subject.ask("bob", "an-0ther-Zauberwort", REALM), NO);

    process::stop(&mut subject.child);
    let seen = subject.log().len();
    let mut child = start(&subject, "", &[("LD_PRELOAD", library.to_str().unwrap())]);
    let has_ended = wait_until(PATIENCE, || child.try_wait().unwrap().is_some());
    assert!(has_ended, "it runs with a key that can be guessed");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let said = subject.log()[seen..].to_owned();
    assert!(said.contains("the kernel gives no random bytes"), "{said}");
}
