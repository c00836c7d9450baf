//! A `saslgate-pam` with the real libpam and private service files.
//!
//! Needs a C compiler, the PAM headers (libpam0g-dev) for a module that
//! misbehaves on request (`fixtures/pam/pam_misbehave.c`), and pam_matrix
//! (libpam-wrapper). The supervisor runs as its own process, as authd starts
//! it; the client runs in the test.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use saslgate::auth::{Accepted, Answer, Attempt, RealmSource, Service, Verification, Verify};
use saslgate::backend::pam::{Pam, Reach, Settings, UserForm};
use saslgate::base::{Identity, Origin, ReasonCode, Secret};
use saslgate::ops::log;

use super::process::PATIENCE;

pub(crate) const PASSWORD: &str = "s3cret-Zauberwort";
pub(crate) const WRONG: &str = "wr0ng-Zauberwort";
pub(crate) const LOG: log::Settings = log::Settings {
    level: log::Level::Debug,
    target: log::Target::Stderr,
    format: log::Format::Text,
};

/// The misbehaving module, compiled once a run.
pub(crate) fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pam/pam_misbehave.c");
        let name = format!("pam_misbehave.{}.so", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let output = folder.join(name);
        let status = Command::new("cc")
            .args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&output, &source])
            .arg("-lpam")
            .status()
            .expect("cc runs");
        assert!(status.success(), "needs libpam0g-dev");
        // In one step: a run beside this one keeps the file it has mapped.
        let module = folder.join("pam_misbehave.so");
        fs::rename(output, &module).unwrap();
        module
    })
}

pub(crate) fn pam_matrix() -> PathBuf {
    let found =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
            .iter()
            .map(|dir| Path::new(dir).join("pam_wrapper/pam_matrix.so"))
            .find(|path| path.exists());
    found.expect("pam_matrix.so of libpam-wrapper")
}

/// A running supervisor with its own services, and its log.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) child: Child,
    /// As the authd that started it holds: closing it ends the supervisor.
    pub(crate) pipe: Option<OwnedFd>,
    pub(crate) pam: Arc<Pam>,
}

/// What is usual, in a private directory; tests change what they are about.
pub(crate) fn settings(dir: &Path) -> Settings {
    let service_dir = dir.join("pam.d");
    fs::create_dir_all(&service_dir).unwrap();
    Settings {
        socket: None,
        services: vec!["smtp".to_owned(), "imap".to_owned()],
        user: UserForm::Local,
        timeout: Duration::from_secs(30),
        max_workers: 4,
        max_waiting: 1000,
        idle_timeout: Duration::from_secs(60),
        requests_per_worker: 1000,
        service_dir: Some(service_dir),
        watched_files: Vec::new(),
    }
}

pub(crate) fn flags(settings: &Settings) -> Vec<String> {
    let text = |value: &dyn ToString| value.to_string();
    [
        "--inherited",
        "--services",
        &settings.services.join(","),
        "--timeout-ms",
        &text(&settings.timeout.as_millis()),
        "--max-workers",
        &text(&settings.max_workers),
        "--idle-timeout-ms",
        &text(&settings.idle_timeout.as_millis()),
        "--requests-per-worker",
        &text(&settings.requests_per_worker),
        "--service-dir",
        settings.service_dir.as_ref().unwrap().to_str().unwrap(),
        "--log-level",
        "debug",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl World {
    /// Starts a supervisor whose service `smtp` runs the module with `arguments`.
    pub(crate) fn new(arguments: &str) -> Self {
        Self::with(arguments, |_| {})
    }

    pub(crate) fn with(arguments: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        change(&mut settings);
        let client = settings.clone();
        Self::start(dir, arguments, &settings, client)
    }

    pub(crate) fn start(
        dir: tempfile::TempDir,
        arguments: &str,
        server: &Settings,
        client: Settings,
    ) -> Self {
        let socket = dir.path().join("pam.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (pipe, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_saslgate-pam"))
            .args(flags(server))
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::from(theirs))
            .stderr(File::create(dir.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let pam = Pam::connect(client.clone(), Reach::Running(socket));
        let world = Self { dir, settings: client, child, pipe: Some(pipe), pam };
        world.module("smtp", arguments);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn service(&self, name: &str, lines: &str) {
        let directory = self.settings.service_dir.as_ref().unwrap();
        fs::write(directory.join(name), lines).unwrap();
    }

    /// Makes `service` run the module with `arguments`; `DIR` in them is the private directory.
    pub(crate) fn module(&self, service: &str, arguments: &str) {
        let arguments = arguments.replace("DIR", self.dir.path().to_str().unwrap());
        let module = module().display();
        self.service(
            service,
            &format!("auth required {module} {arguments}\naccount required {module} {arguments}\n"),
        );
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub(crate) fn workers(&self) -> HashSet<i32> {
        children(self.pid())
    }

    pub(crate) async fn login(&self, password: &str) -> Answer {
        login(&self.pam, "smtp", password).await
    }

    /// Starts a login that goes on beside the test.
    pub(crate) fn begin(&self, service: &'static str) -> tokio::task::JoinHandle<Answer> {
        let pam = Arc::clone(&self.pam);
        tokio::spawn(async move { login(&pam, service, PASSWORD).await })
    }
}

#[allow(clippy::print_stderr, reason = "tests that fail show what the supervisor had to say")]
impl Drop for World {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        eprintln!("--- log of saslgate-pam\n{}", self.log());
        let log = self.log();
        assert!(!log.contains(PASSWORD) && !log.contains(WRONG), "a password is in the log");
    }
}

pub(crate) fn children(pid: Pid) -> HashSet<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub(crate) fn attempt(service: &str, password: &str) -> Arc<Attempt> {
    Arc::new(Attempt {
        realm: RealmSource::Claim,
        identity: Identity::new("alice", "example.org").unwrap(),
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(service.as_bytes()).unwrap(),
        origin: Origin { client: Some("192.0.2.7".parse().unwrap()), port: None, uid: None },
    })
}

pub(crate) async fn ask(pam: &Arc<Pam>, attempt: Arc<Attempt>) -> Answer {
    match Arc::clone(pam).verify(attempt) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

pub(crate) async fn login(pam: &Arc<Pam>, service: &str, password: &str) -> Answer {
    ask(pam, attempt(service, password)).await
}

/// Waits until `is_so`.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn assert_accepted(answer: &Answer) {
    assert!(matches!(answer, Answer::Accepted(Accepted { user: None, .. })), "{answer:?}");
}

#[track_caller]
pub(crate) fn assert_rejected(answer: &Answer, code: ReasonCode, detail: &str) {
    let Answer::Rejected(reason) = answer else { panic!("{answer:?} is no rejection") };
    assert_eq!(reason.code, code, "{reason}");
    assert!(reason.detail.contains(detail), "{reason}");
}

#[track_caller]
pub(crate) fn assert_unavailable(answer: &Answer, code: ReasonCode) {
    let Answer::Unavailable(reason) = answer else { panic!("{answer:?} is no outage") };
    assert_eq!(reason.code, code, "{reason}");
}
