//! `saslgate-pam` and its client against the real libpam, with private service
//! files: the host's own PAM configuration is neither read nor touched.
//!
//! Needs a C compiler, the PAM headers (libpam0g-dev) for a module that
//! misbehaves on request (`fixtures/pam/pam_misbehave.c`), and pam_matrix
//! (libpam-wrapper). The supervisor runs as its own process, as authd starts
//! it; the client runs in the test.
#![cfg(test)]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use saslgate::auth::{Accepted, Answer, Attempt, RealmSource, Service, Verification, Verify};
use saslgate::backend::pam::{Helper, HelperOptions, Pam, Reach, Settings, UserForm};
use saslgate::base::{Identity, Origin, ReasonCode, Secret};
use saslgate::ops::log;

const PASSWORD: &str = "s3cret-Zauberwort";
const WRONG: &str = "wr0ng-Zauberwort";
const LOG: log::Settings = log::Settings { level: log::Level::Debug, target: log::Target::Stderr };
/// Longest wait for anything: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The misbehaving module, compiled once a run.
fn module() -> &'static Path {
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

fn pam_matrix() -> PathBuf {
    let found =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
            .iter()
            .map(|dir| Path::new(dir).join("pam_wrapper/pam_matrix.so"))
            .find(|path| path.exists());
    found.expect("pam_matrix.so of libpam-wrapper")
}

/// A running supervisor with its own services, and its log.
struct World {
    dir: tempfile::TempDir,
    settings: Settings,
    child: Child,
    /// As the authd that started it holds: closing it ends the supervisor.
    pipe: Option<OwnedFd>,
    pam: Arc<Pam>,
}

/// What is usual, in a private directory; tests change what they are about.
fn settings(dir: &Path) -> Settings {
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

fn flags(settings: &Settings) -> Vec<String> {
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
    fn new(arguments: &str) -> Self {
        Self::with(arguments, |_| {})
    }

    fn with(arguments: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(dir.path());
        change(&mut settings);
        let client = settings.clone();
        Self::start(dir, arguments, &settings, client)
    }

    fn start(dir: tempfile::TempDir, arguments: &str, server: &Settings, client: Settings) -> Self {
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

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn service(&self, name: &str, lines: &str) {
        let directory = self.settings.service_dir.as_ref().unwrap();
        fs::write(directory.join(name), lines).unwrap();
    }

    /// Makes `service` run the module with `arguments`; `DIR` in them is the private directory.
    fn module(&self, service: &str, arguments: &str) {
        let arguments = arguments.replace("DIR", self.dir.path().to_str().unwrap());
        let module = module().display();
        self.service(
            service,
            &format!("auth required {module} {arguments}\naccount required {module} {arguments}\n"),
        );
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    fn workers(&self) -> HashSet<i32> {
        children(self.pid())
    }

    async fn login(&self, password: &str) -> Answer {
        login(&self.pam, "smtp", password).await
    }

    /// Starts a login that goes on beside the test.
    fn begin(&self, service: &'static str) -> tokio::task::JoinHandle<Answer> {
        let pam = Arc::clone(&self.pam);
        tokio::spawn(async move { login(&pam, service, PASSWORD).await })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Tests that fail show what the supervisor had to say.
        eprintln!("--- log of saslgate-pam\n{}", self.log());
        let log = self.log();
        assert!(!log.contains(PASSWORD) && !log.contains(WRONG), "a password is in the log");
    }
}

fn children(pid: Pid) -> HashSet<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn attempt(service: &str, password: &str) -> Arc<Attempt> {
    Arc::new(Attempt {
        realm: RealmSource::Claim,
        identity: Identity::new("alice", "example.org").unwrap(),
        password: Secret::copied_from(password.as_bytes()).unwrap(),
        service: Service::from_wire(service.as_bytes()).unwrap(),
        origin: Origin { client: Some("192.0.2.7".parse().unwrap()), port: None, uid: None },
    })
}

async fn ask(pam: &Arc<Pam>, attempt: Arc<Attempt>) -> Answer {
    match Arc::clone(pam).verify(attempt) {
        Verification::Ready(answer) => answer,
        Verification::Pending(answer) => answer.await,
    }
}

async fn login(pam: &Arc<Pam>, service: &str, password: &str) -> Answer {
    ask(pam, attempt(service, password)).await
}

/// Waits until `is_so`.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn assert_accepted(answer: &Answer) {
    assert!(matches!(answer, Answer::Accepted(Accepted { user: None, .. })), "{answer:?}");
}

#[track_caller]
fn assert_rejected(answer: &Answer, code: ReasonCode, detail: &str) {
    let Answer::Rejected(reason) = answer else { panic!("{answer:?} is no rejection") };
    assert_eq!(reason.code, code, "{reason}");
    assert!(reason.detail.contains(detail), "{reason}");
}

#[track_caller]
fn assert_unavailable(answer: &Answer, code: ReasonCode) {
    let Answer::Unavailable(reason) = answer else { panic!("{answer:?} is no outage") };
    assert_eq!(reason.code, code, "{reason}");
}

#[tokio::test]
async fn the_right_password_passes_and_a_wrong_one_does_not() {
    let world = World::new(&format!("password={PASSWORD}"));
    assert_accepted(&world.login(PASSWORD).await);
    assert_rejected(
        &world.login(WRONG).await,
        ReasonCode::BadCredentials,
        "PAM auth error: Authentication failure (service smtp)",
    );
    assert_accepted(&world.login(PASSWORD).await);
    assert_eq!(world.workers().len(), 1, "one connection is enough");
}

#[tokio::test]
async fn modules_of_the_distribution_work() {
    let world = World::new("");
    let matrix = pam_matrix();
    let table = world.path("passdb");
    fs::write(&table, format!("alice:{PASSWORD}:smtp\n")).unwrap();
    let (matrix, table) = (matrix.display(), table.display());
    let options = format!("required {matrix} passdb={table}\n");
    world.service("smtp", &format!("auth {options}account {options}"));
    assert_accepted(&world.login(PASSWORD).await);
    assert_rejected(&world.login(WRONG).await, ReasonCode::BadCredentials, "PAM auth error");
    world.service("smtp", "auth required pam_permit.so\naccount required pam_permit.so\n");
    assert_accepted(&world.login(PASSWORD).await);
    world.service("smtp", "auth required pam_permit.so\naccount required pam_deny.so\n");
    let answer = world.login(PASSWORD).await;
    assert_rejected(&answer, ReasonCode::AccessDenied, "PAM acct error");
    world.service("smtp", "auth required pam_deny.so\naccount required pam_permit.so\n");
    let answer = world.login(PASSWORD).await;
    assert_rejected(&answer, ReasonCode::BadCredentials, "PAM auth error");
}

#[tokio::test]
async fn each_result_of_a_module_gets_its_answer() {
    use ReasonCode::{AccessDenied, AccountExpired, BadCredentials, PasswordExpired};
    let world = World::new("");
    for (arguments, code) in [
        ("auth=auth_err", BadCredentials),
        ("auth=perm_denied", BadCredentials),
        ("auth=maxtries", BadCredentials),
        ("acct=acct_expired", AccountExpired),
        ("acct=new_authtok_reqd", PasswordExpired),
        ("acct=authtok_expired", PasswordExpired),
        ("acct=perm_denied", AccessDenied),
        ("acct=user_unknown", AccessDenied),
    ] {
        world.module("smtp", arguments);
        assert_rejected(&world.login(PASSWORD).await, code, "(service smtp)");
    }
    world.module("smtp", "auth=user_unknown");
    let answer = world.login(PASSWORD).await;
    assert!(matches!(answer, Answer::Unknown), "{answer:?}");
    for arguments in ["auth=authinfo_unavail", "auth=system_err", "acct=authinfo_unavail"] {
        world.module("smtp", arguments);
        assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    }
    assert_eq!(world.workers().len(), 1, "none of these ends a worker");
}

#[tokio::test]
async fn a_broken_stack_is_an_outage_and_no_denial() {
    let world = World::new("");
    world.service("smtp", "auth required /nonexistent.so\naccount required /nonexistent.so\n");
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    fs::remove_file(world.settings.service_dir.as_ref().unwrap().join("smtp")).unwrap();
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
}

#[tokio::test]
async fn a_module_that_hangs_is_killed_and_others_go_on() {
    let world = World::with("auth=sleep", |settings| settings.timeout = Duration::from_secs(2));
    world.module("imap", "");
    let hung = world.begin("smtp");
    until("the hung worker", || world.workers().len() == 1).await;
    let victim = *world.workers().iter().next().unwrap();
    for _ in 0..20 {
        assert_accepted(&login(&world.pam, "imap", PASSWORD).await);
    }
    assert_unavailable(&hung.await.unwrap(), ReasonCode::Timeout);
    until("the end of the hung worker", || !is_alive(victim)).await;
    until("its line in the log", || world.log().contains("did not end in time")).await;
    assert!(world.log().contains(&format!("service=smtp user=alice pid={victim}")));
    assert_accepted(&login(&world.pam, "imap", PASSWORD).await);
}

#[tokio::test]
async fn hung_workers_give_their_places_back() {
    let world = World::with("auth=sleep", |settings| {
        settings.timeout = Duration::from_secs(1);
        settings.max_workers = 2;
    });
    let (first, second) = (world.begin("smtp"), world.begin("smtp"));
    assert_unavailable(&first.await.unwrap(), ReasonCode::Timeout);
    assert_unavailable(&second.await.unwrap(), ReasonCode::Timeout);
    world.module("smtp", "");
    until("the end of the hung workers", || world.workers().is_empty()).await;
    assert_accepted(&world.login(PASSWORD).await);
}

#[tokio::test]
async fn a_module_that_crashes_costs_one_request() {
    let world = World::new("");
    for (arguments, told) in [
        ("auth=segv", "signal=SIGSEGV"),
        ("acct=abort", "signal=SIGABRT"),
        ("auth=exit", "ended by a module: service=smtp user=alice"),
    ] {
        world.module("smtp", arguments);
        assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
        until("its line in the log", || world.log().contains(told)).await;
        world.module("smtp", "");
        assert_accepted(&world.login(PASSWORD).await);
    }
}

#[tokio::test]
async fn many_requests_share_few_workers() {
    let world = World::new(&format!("password={PASSWORD}"));
    let logins: Vec<_> = (0..200).map(|_| world.begin("smtp")).collect();
    let mut most = 0;
    for login in logins {
        most = most.max(world.workers().len());
        assert_accepted(&login.await.unwrap());
    }
    assert!(most <= 4, "{most} workers");
    assert!(world.workers().len() <= 4);
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once() {
    let world = World::with("wait=DIR/go", |settings| {
        settings.services = vec!["smtp".to_owned()];
        settings.max_workers = 2;
        settings.max_waiting = 3;
    });
    let mut logins: Vec<_> = (0..9).map(|_| world.begin("smtp")).collect();
    let mut busy = 0;
    until("the refusals", || {
        busy += logins.extract_if(.., |login| login.is_finished()).count();
        busy == 4
    })
    .await;
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::Busy);
    fs::write(world.path("go"), "").unwrap();
    assert_eq!(logins.len(), 5);
    for login in logins {
        assert_accepted(&login.await.unwrap());
    }
}

#[tokio::test]
async fn a_service_that_hangs_leaves_the_others_workers_and_places() {
    let world = World::with("wait=DIR/go", |settings| {
        settings.max_workers = 4;
        settings.max_waiting = 8;
    });
    world.module("imap", "");
    let hung: Vec<_> = (0..50).map(|_| world.begin("smtp")).collect();
    // It has three of the workers and six of the places, and all else is refused at once.
    until("the refusals", || hung.iter().filter(|login| login.is_finished()).count() == 41).await;
    until("the workers", || world.workers().len() == 3).await;
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::Busy);
    for _ in 0..20 {
        assert_accepted(&login(&world.pam, "imap", PASSWORD).await);
    }
    let others: Vec<_> = (0..2).map(|_| world.begin("imap")).collect();
    for other in others {
        assert_accepted(&other.await.unwrap());
    }
    assert!(hung.iter().filter(|login| !login.is_finished()).count() == 9);
    fs::write(world.path("go"), "").unwrap();
    for login in hung {
        let answer = login.await.unwrap();
        if !matches!(&answer, Answer::Unavailable(reason) if reason.code == ReasonCode::Busy) {
            assert_accepted(&answer);
        }
    }
}

#[tokio::test]
async fn idle_workers_leave_and_come_back() {
    let world = World::with("", |settings| settings.idle_timeout = Duration::from_millis(200));
    assert_accepted(&world.login(PASSWORD).await);
    until("the end of the idle worker", || world.workers().is_empty()).await;
    assert_accepted(&world.login(PASSWORD).await);
}

#[tokio::test]
async fn a_login_in_the_moment_a_worker_leaves_is_not_lost() {
    // Each round asks about when the idle time is over.
    let idle = Duration::from_millis(20);
    let world = World::with("", |settings| settings.idle_timeout = idle);
    for round in 0..100u32 {
        assert_accepted(&world.login(PASSWORD).await);
        tokio::time::sleep(idle - Duration::from_millis(1) + Duration::from_micros(20) * round)
            .await;
    }
}

#[tokio::test]
async fn a_worker_is_replaced_after_its_requests() {
    let world = World::with("leak=65536", |settings| settings.requests_per_worker = 3);
    let mut seen = HashSet::new();
    for _ in 0..9 {
        assert_accepted(&world.login(PASSWORD).await);
        seen.extend(world.workers());
    }
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(world.workers().len() <= 1);
}

#[tokio::test]
async fn a_service_off_the_list_is_refused_on_both_sides() {
    let world = World::new("");
    world.module("su", "");
    for service in ["su", "../pam.d/smtp", "SU"] {
        let answer = login(&world.pam, service, PASSWORD).await;
        assert_rejected(&answer, ReasonCode::ServiceNotAllowed, "not in pam.services");
    }
    assert!(world.workers().is_empty(), "nobody needs to be asked");
    // An authd that was told otherwise gets no further.
    let wider = Settings { services: vec!["su".to_owned()], ..world.settings.clone() };
    let pam = Pam::connect(wider, Reach::Running(world.path("pam.sock")));
    let answer = login(&pam, "su", PASSWORD).await;
    assert_rejected(&answer, ReasonCode::ServiceNotAllowed, "does not serve su");
    // Names in capitals, and no name at all.
    assert_accepted(&login(&world.pam, "SMTP", PASSWORD).await);
    assert_accepted(&login(&world.pam, "", PASSWORD).await);
}

#[tokio::test]
async fn the_delay_after_a_failure_holds_nobody() {
    let world = World::with("auth=auth_err delay=60000000", |settings| {
        settings.max_workers = 1;
    });
    let before = Instant::now();
    for _ in 0..5 {
        assert_rejected(&world.login(WRONG).await, ReasonCode::BadCredentials, "");
    }
    assert!(before.elapsed() < Duration::from_secs(30), "the delay of 60 s was slept");
}

#[tokio::test]
async fn messages_and_prompts_do_not_fail_a_login() {
    let world = World::new("info=Hello error=Beware echo=alice");
    assert_accepted(&world.login(PASSWORD).await);
    world.module("smtp", "info=Hello error=Your\\npassword auth=auth_err");
    let answer = world.login(WRONG).await;
    assert_rejected(&answer, ReasonCode::BadCredentials, "; module: Hello; module: Your");
    world.module("smtp", "echo_password auth=auth_err");
    let answer = world.login(WRONG).await;
    assert_rejected(&answer, ReasonCode::BadCredentials, "a message that contains the password");
    assert!(!format!("{answer:?}").contains(WRONG));
    world.module("smtp", "style=7");
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
}

#[tokio::test]
async fn a_user_that_a_module_renames_is_the_one_accepted() {
    let world = World::new("rename=bob");
    let answer = world.login(PASSWORD).await;
    let Answer::Accepted(Accepted { user: Some(user), .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(user, Identity::new("bob", "example.org").unwrap());
    world.module("smtp", "rename=bob\u{1}");
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    let full = Settings { user: UserForm::Full, ..world.settings.clone() };
    let pam = Pam::connect(full, Reach::Running(world.path("pam.sock")));
    world.module("smtp", "rename=bob@Example.NET");
    let answer = login(&pam, "smtp", PASSWORD).await;
    let Answer::Accepted(Accepted { user: Some(user), .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(user, Identity::new("bob", "example.net").unwrap());
}

#[tokio::test]
async fn modules_see_the_items_and_default_signals() {
    let world = World::new("dump=DIR/items fork stdout=noise");
    assert_accepted(&world.login(PASSWORD).await);
    assert_eq!(
        fs::read_to_string(world.path("items")).unwrap(),
        "SERVICE=smtp\nUSER=alice\nTTY=smtp\nRHOST=192.0.2.7\nRUSER=alice@example.org\n\
         SIGCHLD=default\nSIGPIPE=default\nBLOCKED=0\n"
    );
    assert!(!world.log().contains("noise"), "standard output of modules goes nowhere");
    fs::remove_file(world.path("items")).unwrap();
    let plain = attempt("imap", PASSWORD);
    let nowhere = Arc::new(Attempt {
        realm: RealmSource::Claim,
        origin: Origin::default(),
        identity: plain.identity.clone(),
        password: Secret::copied_from(PASSWORD.as_bytes()).unwrap(),
        service: plain.service.clone(),
    });
    world.module("imap", "dump=DIR/items");
    assert_accepted(&ask(&world.pam, nowhere).await);
    let items = fs::read_to_string(world.path("items")).unwrap();
    assert!(items.contains("TTY=imap\nRHOST=(unset)\n"), "{items}");
}

#[tokio::test]
async fn a_module_that_comes_back_twice_gets_one_answer() {
    let world = World::new("auth=twice");
    assert_accepted(&world.login(PASSWORD).await);
    let workers = world.workers();
    for _ in 0..20 {
        assert_accepted(&world.login(PASSWORD).await);
    }
    assert_eq!(world.workers(), workers, "a second answer spoils the connection");
}

#[tokio::test]
async fn children_of_modules_die_with_the_worker() {
    let world = World::with("dump=DIR/items linger auth=sleep", |settings| {
        settings.timeout = Duration::from_secs(1);
    });
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::Timeout);
    let items = || fs::read_to_string(world.path("items")).unwrap_or_default();
    until("the module", || items().contains("CHILD=")).await;
    let items = items();
    let child = items.split("CHILD=").nth(1).unwrap().trim().parse().unwrap();
    until("the end of the module's child", || !is_alive(child)).await;
}

#[tokio::test]
async fn a_password_that_was_counted_is_not_sent_again() {
    let world = World::new("count=DIR/count auth=segv");
    assert_unavailable(&world.login(WRONG).await, ReasonCode::BackendDown);
    assert_eq!(fs::read(world.path("count")).unwrap(), b"x");
}

#[tokio::test]
async fn sigterm_lets_a_running_request_finish() {
    let mut world = World::new("count=DIR/count wait=DIR/go");
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    kill(world.pid(), Signal::SIGTERM).unwrap();
    until("its line in the log", || world.log().contains("stopping")).await;
    assert_unavailable(&world.login(PASSWORD).await, ReasonCode::BackendDown);
    assert!(is_alive(world.pid().as_raw()));
    fs::write(world.path("go"), "").unwrap();
    assert_accepted(&running.await.unwrap());
    assert!(world.child.wait().unwrap().success());
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_module_that_hangs_for_ever() {
    let mut world = World::with("count=DIR/count auth=sleep", |settings| {
        settings.timeout = Duration::from_secs(2);
    });
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    kill(world.pid(), Signal::SIGTERM).unwrap();
    assert_unavailable(&running.await.unwrap(), ReasonCode::Timeout);
    assert!(world.child.wait().unwrap().success());
}

#[tokio::test]
async fn sighup_replaces_the_workers_and_loses_no_request() {
    let world = World::new("count=DIR/count wait=DIR/go");
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    let before = world.workers();
    kill(world.pid(), Signal::SIGHUP).unwrap();
    fs::write(world.path("go"), "").unwrap();
    assert_accepted(&running.await.unwrap());
    until("the end of the old worker", || world.workers().is_disjoint(&before)).await;
    assert_accepted(&world.login(PASSWORD).await);
}

#[tokio::test]
async fn the_supervisor_ends_when_its_authd_has_gone() {
    let mut world = World::new("");
    assert_accepted(&world.login(PASSWORD).await);
    let workers = world.workers();
    drop(world.pipe.take());
    assert!(world.child.wait().unwrap().success());
    assert!(workers.iter().all(|pid| !is_alive(*pid)));
}

#[tokio::test]
async fn workers_die_with_a_supervisor_that_is_killed() {
    let mut world = World::new("count=DIR/count auth=sleep");
    let running = world.begin("smtp");
    until("the module", || world.path("count").exists()).await;
    let workers = world.workers();
    assert_eq!(workers.len(), 1);
    world.child.kill().unwrap();
    assert_unavailable(&running.await.unwrap(), ReasonCode::BackendDown);
    until("the end of the worker", || workers.iter().all(|pid| !is_alive(*pid))).await;
}

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
