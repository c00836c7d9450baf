//! How `saslgate-pam` is started, by authd or as a service, and how it ends.
//!
//! Needs what `support/pam.rs` needs, and readelf.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use saslgate::auth::Answer;
use saslgate::backend::pam::{Helper, HelperOptions, Pam, Reach, Settings};
use saslgate::base::ReasonCode;

use support::pam::{
    LOG, PASSWORD, World, assert_accepted, assert_unavailable, children, is_alive, login, module,
    settings, until,
};
use support::process::PATIENCE;

/// A helper started as authd does it, its log in a file.
struct Own {
    dir: tempfile::TempDir,
    pam: Arc<Pam>,
}

impl Own {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        change(&mut settings);
        let module = module().display();
        let lines = format!(
            "auth required {module} wait={0}\naccount required {module}\n",
            dir.path().join("go").display()
        );
        fs::write(settings.service_dir.as_ref().unwrap().join("smtp"), lines).unwrap();
        let program = dir.path().join("program");
        let script = format!(
            "#!/bin/sh\necho $$ >> {0}/pids\nexec {1} \"$@\" 2>> {0}/log\n",
            dir.path().display(),
            env!("CARGO_BIN_EXE_saslgate-pam")
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let options = HelperOptions { program, peer_uid: None, log: LOG };
        let helper = Helper::spawn(&settings, &options).unwrap();
        Self { pam: Pam::connect(settings, Reach::Own(helper)), dir }
    }

    fn pids(&self) -> Vec<i32> {
        let pids = fs::read_to_string(self.dir.path().join("pids")).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    fn go(&self) {
        fs::write(self.dir.path().join("go"), "").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_of_our_own_is_replaced_when_it_is_killed() {
    let own = Own::new(|_| {});
    let running = tokio::spawn({
        let pam = Arc::clone(&own.pam);
        async move { login(&pam, "smtp", PASSWORD).await }
    });
    until("a worker", || {
        own.pids().first().is_some_and(|pid| !children(Pid::from_raw(*pid)).is_empty())
    })
    .await;
    kill(Pid::from_raw(own.pids()[0]), Signal::SIGKILL).unwrap();
    assert_unavailable(&running.await.unwrap(), ReasonCode::BackendDown);
    own.go();
    // The listening socket outlives the child: this waits for the next one.
    assert_accepted(&login(&own.pam, "smtp", PASSWORD).await);
    assert_eq!(own.pids().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_of_our_own_ends_with_its_client() {
    let own = Own::new(|_| {});
    own.go();
    assert_accepted(&login(&own.pam, "smtp", PASSWORD).await);
    let pid = own.pids()[0];
    let Own { dir, pam } = own;
    drop(pam);
    until("the end of the helper", || !is_alive(pid)).await;
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains(PASSWORD));
}

/// `saslgate-pam` as a service of its own, from a configuration file.
struct Unit {
    dir: tempfile::TempDir,
    child: Child,
}

impl Unit {
    /// Starts it and waits until it is ready.
    async fn start(socket: &str, prepare: impl FnOnce(&mut Command, &Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let module = module().display();
        let lines = format!("auth required {module}\naccount required {module}\n");
        let service_dir = settings.service_dir.unwrap();
        fs::write(service_dir.join("smtp"), lines).unwrap();
        let config = dir.path().join("saslgate.toml");
        let service_dir = service_dir.display();
        fs::write(
            &config,
            format!("[pam]\nsocket = \"{socket}\"\nservice_dir = \"{service_dir}\"\n")
                .replace("DIR", dir.path().to_str().unwrap()),
        )
        .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_saslgate-pam"));
        command.arg("--config").arg(&config);
        command.stderr(File::create(dir.path().join("log")).unwrap());
        prepare(&mut command, dir.path());
        let mut unit = Self { child: command.spawn().unwrap(), dir };
        until("the start", || {
            unit.log().contains("is ready") || unit.child.try_wait().unwrap().is_some()
        })
        .await;
        unit
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    async fn login(&self) -> Answer {
        let socket = self.dir.path().join("pam.sock");
        let pam = Pam::connect(settings(self.dir.path()), Reach::Running(socket));
        login(&pam, "smtp", PASSWORD).await
    }

    fn terminate(&mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        eprintln!("--- log of saslgate-pam\n{}", self.log());
    }
}

#[tokio::test]
async fn a_service_makes_its_socket_and_removes_it() {
    let mut unit = Unit::start("DIR/pam.sock", |_, _| {}).await;
    let socket = unit.dir.path().join("pam.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_accepted(&unit.login().await);
    unit.terminate();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_service_takes_the_place_of_one_that_died_and_of_no_other() {
    let leave_stale = |_: &mut Command, dir: &Path| {
        drop(UnixListener::bind(dir.join("pam.sock")).unwrap());
    };
    let unit = Unit::start("DIR/pam.sock", leave_stale).await;
    assert_accepted(&unit.login().await);
    let occupied = unit.dir.path().join("pam.sock");
    let mut second = Unit::start(occupied.to_str().unwrap(), |_, _| {}).await;
    assert!(!second.child.wait().unwrap().success());
    assert!(second.log().contains("another saslgate-pam is running"), "{}", second.log());
    let put_file = |_: &mut Command, dir: &Path| fs::write(dir.join("pam.sock"), "x").unwrap();
    let mut third = Unit::start("DIR/pam.sock", put_file).await;
    assert!(!third.child.wait().unwrap().success());
    assert!(third.log().contains("is in the way"), "{}", third.log());
    assert_eq!(fs::read(third.dir.path().join("pam.sock")).unwrap(), b"x");
    assert_accepted(&unit.login().await);
}

#[tokio::test]
async fn a_service_without_a_socket_says_what_to_do() {
    let mut unit = Unit::start("", |_, _| {}).await;
    assert!(!unit.child.wait().unwrap().success());
    assert!(unit.log().contains("set pam.socket"), "{}", unit.log());
}

#[tokio::test]
async fn a_service_takes_the_socket_of_the_service_manager_and_tells_it() {
    let mut heard = None;
    let mut unit = Unit::start("", |command, dir| {
        let notify = UnixDatagram::bind(dir.join("notify")).unwrap();
        command.env("NOTIFY_SOCKET", dir.join("notify"));
        heard = Some(notify);
        // The shell stands in for systemd: it puts the socket at descriptor 3.
        let listener = UnixListener::bind(dir.join("pam.sock")).unwrap();
        let ours = std::mem::replace(command, Command::new("/bin/sh"));
        command
            .args(["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&0 </dev/null", "sh"])
            .arg(ours.get_program())
            .args(ours.get_args())
            .env("NOTIFY_SOCKET", dir.join("notify"))
            .stdin(OwnedFd::from(listener))
            .stderr(File::create(dir.join("log")).unwrap());
    })
    .await;
    let mut bytes = [0; 512];
    let heard = heard.unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let count = heard.recv(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..count]).contains("READY=1"));
    assert_accepted(&unit.login().await);
    unit.terminate();
    assert!(unit.dir.path().join("pam.sock").exists(), "not ours to remove");
}

#[tokio::test]
async fn a_stranger_is_turned_away() {
    // Only root can become somebody else.
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let world = World::new("");
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(world.path("pam.sock"), fs::Permissions::from_mode(0o666)).unwrap();
    let socket = world.path("pam.sock");
    let program = "import socket, sys; s = socket.socket(socket.AF_UNIX); \
                   s.connect(sys.argv[1]); sys.exit(len(s.recv(1)))";
    let status =
        Command::new("python3").args(["-c", program]).arg(&socket).uid(65_534).status().unwrap();
    assert!(status.success(), "closed without a word");
    until("the warning", || world.log().contains("turned away a connection of uid 65534")).await;
    assert_accepted(&world.login(PASSWORD).await);
    assert_eq!(world.workers().len(), 1);
}

#[test]
fn a_helper_that_is_not_there_is_an_error_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("no-such-program");
    let options = HelperOptions { program, peer_uid: None, log: LOG };
    let error = Helper::spawn(&settings(dir.path()), &options).err().unwrap().to_string();
    assert!(error.contains("no-such-program"), "{error}");
}

#[test]
fn only_saslgate_pam_needs_libpam() {
    let needed = |binary: &str| -> io::Result<String> {
        let output = Command::new("readelf").args(["-d", binary]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let helper = needed(env!("CARGO_BIN_EXE_saslgate-pam")).unwrap();
    let daemon = needed(env!("CARGO_BIN_EXE_saslgate")).unwrap();
    assert!(helper.contains("libpam.so.0"), "{helper}");
    assert!(daemon.contains("NEEDED") && !daemon.contains("libpam"), "{daemon}");
}
