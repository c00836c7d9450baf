//! `saslgate authd` beside Cyrus saslauthd: same machine, same users, one run.
//!
//! `cargo bench --features peer-tests --bench authd`; needs root (Cyrus reads
//! `/etc/pam.d`, `/etc/shadow` and `/etc/sasldb2`, so it runs in a mount namespace
//! of its own where those are ours). Each request is one connection, as libsasl2 makes
//! them. Load generator and daemon share the machine's cores, so a row compares
//! the two daemons and is no absolute limit.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a program that measures and prints")]

#[path = "load.rs"]
mod load;
#[path = "table.rs"]
mod table;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use load::Figures;

const USER: &str = "alice";
const PASSWORD: &str = "s3cret-for-the-benchmark";
const CLIENTS: [usize; 3] = [1, 8, 64];
const CYRUS: &str = "/usr/sbin/saslauthd";

/// One comparison: how each of the two is told to verify.
struct Case {
    title: &'static str,
    cyrus: &'static [&'static str],
    ours: &'static str,
    time: Duration,
}

const CASES: &[Case] = &[
    Case {
        title: "PAM, a stack that costs nothing (pam_permit): what the daemons themselves cost",
        cyrus: &["-a", "pam"],
        ours: "backends = [\"pam\"]",
        time: Duration::from_secs(4),
    },
    Case {
        title: "PAM, 5 ms a login (pam_exec sleep): what waiting for modules costs",
        cyrus: &["-a", "pam"],
        ours: "backends = [\"pam\"]",
        time: Duration::from_secs(4),
    },
    Case {
        title: "hashed passwords: ours argon2id (19 MiB, 2 passes), Cyrus's shadow yescrypt",
        cyrus: &["-a", "shadow"],
        ours: "backends = [\"store\"]",
        time: Duration::from_secs(4),
    },
    Case {
        title: "password database: ours argon2id (hashed), Cyrus's sasldb (plaintext)",
        cyrus: &["-a", "sasldb"],
        ours: "backends = [\"store\"]",
        time: Duration::from_secs(4),
    },
];

fn main() {
    if !nix::unistd::geteuid().is_root() || !Path::new(CYRUS).exists() {
        println!("authd: SKIPPED: needs root and {CYRUS}");
        return;
    }
    for (number, case) in CASES.iter().enumerate() {
        compare(number, case);
    }
}

fn compare(number: usize, case: &Case) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path();
    prepare(dir, number);
    let mut table = table::new(
        case.title,
        &["clients", "saslgate/s", "Cyrus/s", "ratio", "p99 ms", "Cyrus p99 ms", "ratio"],
    );
    for clients in CLIENTS {
        let theirs = measure(&mut Cyrus::start(dir, case.cyrus), clients, case.time);
        let ours = measure(&mut Ours::start(dir, case.ours), clients, case.time);
        let mark = |figures: &Figures, text: String| {
            if figures.failed > 0 { format!("{text} ({} failed)", figures.failed) } else { text }
        };
        table.add_row([
            clients.to_string(),
            mark(&ours, table::rate(ours.rate)),
            mark(&theirs, table::rate(theirs.rate)),
            table::ratio(ours.rate, theirs.rate),
            table::ms(ours.p99),
            table::ms(theirs.p99),
            table::ratio(ours.p99.as_secs_f64(), theirs.p99.as_secs_f64()),
        ]);
    }
    println!("{table}");
}

/// Copies of the host's accounts with one more, whose password yescrypt has hashed.
fn accounts(dir: &Path) {
    let hash = Command::new("perl")
        .args(["-e", r#"print crypt($ARGV[0], q($y$j9T$abcdefghijklmnopqrstu/$))"#, PASSWORD])
        .output()
        .expect("perl");
    let hash = String::from_utf8(hash.stdout).expect("a hash");
    assert!(hash.starts_with("$y$"), "crypt(3) of this host knows no yescrypt");
    let extend = |file: &str, line: String| {
        let text = fs::read_to_string(Path::new("/etc").join(file)).expect(file);
        fs::write(dir.join(file), text + &line).expect(file);
    };
    extend("passwd", format!("{USER}:x:64000:64000::/:/bin/false\n"));
    extend("shadow", format!("{USER}:{hash}:20000:0:99999:7:::\n"));
}

/// PAM services, accounts, sasldb and our store, with one user.
fn prepare(dir: &Path, number: usize) {
    let pam = dir.join("pam.d");
    fs::create_dir(&pam).expect("pam.d");
    let slow = dir.join("slow");
    fs::write(&slow, "#!/bin/sh\nexec sleep 0.005\n").expect("slow");
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).expect("mode");
    let auth = match number {
        1 => format!("auth required pam_exec.so quiet {}", slow.display()),
        _ => "auth required pam_permit.so".to_owned(),
    };
    fs::write(pam.join("smtp"), format!("{auth}\naccount required pam_permit.so\n")).expect("smtp");
    accounts(dir);
    feed(
        Command::new("saslpasswd2")
            .args(["-c", "-p", "-u", "bench.test", "-f"])
            .arg(dir.join("sasldb2"))
            .arg(USER),
        PASSWORD,
    );
    fs::write(dir.join("saslgate.toml"), config(dir, "")).expect("config");
    feed(
        Command::new(env!("CARGO_BIN_EXE_saslgate"))
            .arg("--config")
            .arg(dir.join("saslgate.toml"))
            .args(["user", "add", "--stdin", "alice@bench.test"]),
        PASSWORD,
    );
}

fn config(dir: &Path, backends: &str) -> String {
    let dir = dir.display();
    format!(
        "[authd]\n{backends}\nsocket = \"{dir}/ours/mux\"\ndefault_realm = \"bench.test\"\n\
         [pam]\nservice_dir = \"{dir}/pam.d\"\nservices = [\"smtp\"]\n\
         [store]\npath = \"{dir}/users.db\"\n"
    )
}

fn feed(command: &mut Command, text: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a program to make the user");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(text.as_bytes()).expect("writing the password");
    drop(stdin);
    assert!(child.wait().expect("its end").success(), "cannot make the user: {command:?}");
}

/// A daemon under test.
trait Subject {
    fn socket(&self) -> &Path;
}

/// Cyrus saslauthd as the distribution starts it: five processes, no debug output.
struct Cyrus {
    dir: PathBuf,
    socket: PathBuf,
}

impl Cyrus {
    fn start(dir: &Path, flags: &[&str]) -> Self {
        let run = dir.join("cyrus");
        let _ = fs::create_dir(&run);
        let script = format!(
            "mount --bind {0}/pam.d /etc/pam.d && touch /etc/sasldb2 && \
             mount --bind {0}/passwd /etc/passwd && mount --bind {0}/shadow /etc/shadow && \
             mount --bind {0}/sasldb2 /etc/sasldb2 && exec {CYRUS} -m {0}/cyrus -n 5 {1}",
            dir.display(),
            flags.join(" "),
        );
        let status = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .status()
            .expect("unshare");
        assert!(status.success(), "Cyrus saslauthd did not start");
        let cyrus = Self { socket: run.join("mux"), dir: run };
        wait_for(&cyrus.socket);
        cyrus
    }
}

impl Subject for Cyrus {
    fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Cyrus {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.join("saslauthd.pid")).unwrap_or_default();
        end(pid.trim().parse().ok());
    }
}

/// `saslgate authd` with default settings.
struct Ours {
    child: Child,
    socket: PathBuf,
}

impl Ours {
    fn start(dir: &Path, backends: &str) -> Self {
        fs::write(dir.join("saslgate.toml"), config(dir, backends)).expect("config");
        let child = Command::new(env!("CARGO_BIN_EXE_saslgate"))
            .args(["authd", "--config"])
            .arg(dir.join("saslgate.toml"))
            .stderr(Stdio::null())
            .spawn()
            .expect("saslgate authd");
        let ours = Self { child, socket: dir.join("ours/mux") };
        wait_for(&ours.socket);
        ours
    }
}

impl Subject for Ours {
    fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        end(i32::try_from(self.child.id()).ok());
        let _ = self.child.wait();
    }
}

fn end(pid: Option<i32>) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let Some(pid) = pid.map(Pid::from_raw) else { return };
    let _ = kill(pid, Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(10);
    while kill(pid, None).is_ok() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
        // A child of ours stays a zombie until it is waited for.
        let _ = nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
    }
}

fn wait_for(socket: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {}", socket.display());
        thread::sleep(Duration::from_millis(10));
    }
}

fn measure(subject: &mut dyn Subject, clients: usize, time: Duration) -> Figures {
    let socket = subject.socket();
    let request = request();
    load::run(clients, time, || || ask(socket, &request).unwrap_or(false))
}

/// The request as libsasl2 writes it.
fn request() -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [USER, PASSWORD, "smtp", "bench.test"] {
        bytes.extend(u16::try_from(field.len()).expect("a short field").to_be_bytes());
        bytes.extend(field.as_bytes());
    }
    bytes
}

fn ask(socket: &Path, request: &[u8]) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(request)?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply)?;
    Ok(&reply[2..] == b"OK")
}
