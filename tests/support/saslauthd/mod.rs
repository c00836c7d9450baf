//! A saslauthd to talk to: ours with the password store, through PAM or on a
//! sasldb2, or Cyrus's, each in a private directory with the same user.
//!
//! `SUBJECT=original` starts `/usr/sbin/saslauthd -a pam`, `SUBJECT=pam` our
//! authd with saslgate-pam; both through the real libpam with private service
//! files. `SUBJECT=original-sasldb` starts `saslauthd -a sasldb`, `SUBJECT=sasldb`
//! our authd, both on a file of Cyrus's saslpasswd2. Without it: our authd with the store, which needs nothing installed.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::process::{self, PATIENCE, wait_until};
use super::sasldb;

/// Password of [`USER`] in every subject.
pub(crate) const PASSWORD: &str = "s3cret-Zauberwort";
pub(crate) const WRONG: &str = "wr0ng-Zauberwort";
pub(crate) const USER: &str = "alice";
pub(crate) const REALM: &str = "example.org";

/// Longest wait for a reply before a test is lost.
const REPLY_TIME: Duration = PATIENCE;

/// How long the original may take to reap its killed workers.
const REAP_TIME: Duration = Duration::from_secs(1);

/// Whom the cases talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our authd with the password store.
    Store,
    /// Our authd through saslgate-pam.
    Pam,
    /// Our authd on a sasldb2 that Cyrus's saslpasswd2 wrote.
    Sasldb,
    /// Cyrus saslauthd 2.1.28 with PAM.
    Original,
    /// The same with `-a sasldb`, on such a file.
    OriginalSasldb,
}

impl Kind {
    /// As `SUBJECT` says.
    pub(crate) fn from_env() -> Self {
        match std::env::var("SUBJECT").as_deref() {
            Err(_) | Ok("" | "store") => Self::Store,
            Ok("pam") => Self::Pam,
            Ok("sasldb") => Self::Sasldb,
            Ok("original") => Self::Original,
            Ok("original-sasldb") => Self::OriginalSasldb,
            Ok(other) => {
                panic!("SUBJECT={other}: store, pam, sasldb, original or original-sasldb")
            }
        }
    }

    /// True for Cyrus saslauthd.
    pub(crate) fn is_original(self) -> bool {
        matches!(self, Self::Original | Self::OriginalSasldb)
    }

    /// What a wrong password is told.
    pub(crate) fn refusal(self) -> &'static [u8] {
        match self {
            Self::Store | Self::Sasldb | Self::OriginalSasldb => b"\0\x02NO",
            Self::Pam | Self::Original => b"\0\x11NO PAM auth error",
        }
    }
}

/// A running saslauthd. Dropping it stops it.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) child: Child,
    dir: tempfile::TempDir,
}

impl Subject {
    /// Starts one and waits until it can be connected to.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// The same, with more lines for the section `[authd]` of ours.
    pub(crate) fn start_with(kind: Kind, authd: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("sasl").tempdir().unwrap();
        match kind {
            Kind::Store => add_user(&write_config(dir.path(), "store", authd)),
            Kind::Pam => {
                write_pam_services(dir.path());
                write_config(dir.path(), "pam", authd);
            }
            Kind::Sasldb => {
                write_sasldb(dir.path());
                write_config(dir.path(), "sasldb", authd);
            }
            Kind::Original => write_pam_services(dir.path()),
            Kind::OriginalSasldb => write_sasldb(dir.path()),
        }
        let child = spawn(kind, dir.path());
        let mut subject = Self { kind, child, dir };
        subject.wait_until_ready(0);
        subject
    }

    /// Waits until it says that it listens, behind the first `seen` bytes of its log.
    fn wait_until_ready(&mut self, seen: usize) {
        let is_up = wait_until(PATIENCE, || {
            let says_so = self.log()[seen..].contains("listening on socket");
            says_so || self.child.try_wait().unwrap().is_some()
        });
        let exit = self.child.try_wait().unwrap();
        assert!(is_up && exit.is_none(), "did not start ({exit:?}): {}", self.log());
    }

    /// Starts another process on the same directory, after the first has ended.
    pub(crate) fn restart(&mut self) {
        let seen = self.log().len();
        self.child = spawn(self.kind, self.dir());
        self.wait_until_ready(seen);
    }

    /// As [`restart`](Self::restart), with a configuration that gives root up.
    pub(crate) fn restart_without_root(&mut self) {
        process::stop(&mut self.child);
        let config = fs::read_to_string(self.config()).unwrap();
        let config = config.replace("floor = \"0s\"", "floor = \"0s\"\nuser = \"nobody\"");
        fs::write(self.config(), config).unwrap();
        self.restart();
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir().join("mux")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir().join("saslgate.toml")
    }

    /// All it has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    /// Waits for `text` in the log.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let found = wait_until(PATIENCE, || self.log().contains(text));
        assert!(found, "{text:?} is not in the log:\n{}", self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::send(self.child.id(), signal);
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(REPLY_TIME)).unwrap();
        stream
    }

    /// Sends `parts`, a write each, and reads until the server closes.
    pub(crate) fn exchange(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut stream = self.connect();
        for part in parts {
            stream.write_all(part).unwrap();
            std::thread::yield_now();
        }
        read_reply(&mut stream)
    }

    /// Asks with the four fields, realm empty for none.
    pub(crate) fn ask(&self, login: &str, password: &str, realm: &str) -> Vec<u8> {
        self.exchange(&[&request(&[login, password, "smtp", realm])])
    }

    /// Asks for the user that exists.
    pub(crate) fn ask_right(&self) -> Vec<u8> {
        self.ask(USER, PASSWORD, REALM)
    }

    /// Stops it politely; gives its exit code and its log.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let code = process::stop(&mut self.child);
        (code, self.log())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let is_running = matches!(self.child.try_wait(), Ok(None));
        if is_running && self.kind.is_original() {
            // Its workers outlive it: they go first, while it is there to reap them.
            let workers = process::descendants(self.child.id());
            for (pid, _) in &workers {
                process::send(*pid, Signal::SIGKILL);
            }
            // Best effort: its master sometimes reaps nobody and hears no SIGTERM.
            wait_until(REAP_TIME, || process::descendants(self.child.id()).is_empty());
            // And it may just have forked another; all are of its process group, which is its own.
            if let Ok(group) = i32::try_from(self.child.id()) {
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        } else if is_running {
            process::stop(&mut self.child);
        }
        if !std::thread::panicking() {
            let log = self.log();
            assert!(!log.contains(PASSWORD) && !log.contains(WRONG), "a password is in the log");
        }
    }
}

/// Reads until the server closes. A reset behind the reply is a close.
pub(crate) fn read_reply(stream: &mut UnixStream) -> Vec<u8> {
    let (mut reply, mut chunk) = (Vec::new(), [0; 2048]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return reply,
            Ok(count) => reply.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return reply,
            Err(error) => panic!("no end of the reply (so far {reply:?}): {error}"),
        }
    }
}

pub(crate) fn request<F: AsRef<[u8]>>(fields: &[F; 4]) -> Vec<u8> {
    fields.iter().flat_map(|field| counted(field.as_ref())).collect()
}

pub(crate) fn counted(field: &[u8]) -> Vec<u8> {
    let length = u16::try_from(field.len()).unwrap();
    [&length.to_be_bytes()[..], field].concat()
}

/// The program under test.
pub(crate) fn saslgate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_saslgate"))
}

/// The program under another name: a link in `dir`.
pub(crate) fn saslgate_as(name: &str, dir: &Path) -> Command {
    let link = dir.join(name);
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_saslgate"), &link).unwrap();
    }
    Command::new(link)
}

fn write_config(dir: &Path, backend: &str, authd: &str) -> PathBuf {
    let path = dir.join("saslgate.toml");
    let place = dir.display();
    let text = format!(
        "[authd]\nsocket = \"{place}/mux\"\nbackends = [\"{backend}\"]\n\
         default_realm = \"{REALM}\"\nfloor = \"0s\"\n{authd}\n\
         [store]\npath = \"{place}/store.db\"\nmemory = \"8KiB\"\niterations = 1\n\
         [pam]\nservice_dir = \"{place}/pam.d\"\n\
         [sasldb]\npath = \"{place}/sasldb2\"\n"
    );
    fs::write(&path, text).unwrap();
    path
}

fn add_user(config: &Path) {
    let mut command = saslgate();
    command.arg("--config").arg(config).args(["user", "add"]).arg(format!("{USER}@{REALM}"));
    process::run(&mut command, format!("{PASSWORD}\n").as_bytes()).expect_success();
}

/// A sasldb2 with the user in the realm that the cases name, and in that of
/// the host, which is the original's for a request without one.
fn write_sasldb(dir: &Path) {
    let file = dir.join("sasldb2");
    sasldb::set(&file, USER, REALM, PASSWORD);
    sasldb::saslpasswd2(&file, &["-c", "-p", USER], PASSWORD).expect_success();
    // Fedora's saslauthd looks in a directory that can be replaced as a whole.
    fs::create_dir(dir.join("sasl2")).unwrap();
    fs::hard_link(&file, dir.join("sasl2/sasldb2")).unwrap();
}

/// PAM service files that know the user through pam_matrix, and `acct`, whose
/// account has expired. `other` is what the original falls back to.
pub(crate) fn write_pam_services(dir: &Path) {
    let services = dir.join("pam.d");
    fs::create_dir(&services).unwrap();
    let passdb = dir.join("passdb");
    let lines: String = ["smtp", "imap", "other", "pop3"]
        .iter()
        .map(|service| format!("{USER}:{PASSWORD}:{service}\n"))
        .collect();
    fs::write(&passdb, lines).unwrap();
    let matrix = format!("{} passdb={}", pam_matrix().display(), passdb.display());
    let normal = format!("auth required {matrix}\naccount required {matrix}\n");
    for service in ["smtp", "imap"] {
        fs::write(services.join(service), &normal).unwrap();
    }
    // pam_matrix compares service names, and there is none when it comes to this.
    let other = format!("auth required {matrix}\naccount required pam_permit.so\n");
    fs::write(services.join("other"), other).unwrap();
    let expired = format!("auth required {matrix}\naccount required pam_deny.so\n");
    fs::write(services.join("pop3"), expired).unwrap();
}

fn library(name: &str) -> PathBuf {
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not there: install libpam-wrapper"))
}

fn pam_matrix() -> PathBuf {
    library("pam_wrapper/pam_matrix.so")
}

/// Runs what is appended to it where `dir/pam.d` lies over `/etc/pam.d`: the
/// original reads that directory and no other. A mount namespace of its own
/// keeps the host's as it is.
fn among_services(dir: &Path) -> Command {
    under_mounts("mount --bind \"$0/pam.d\" /etc/pam.d", dir)
}

/// The same for its sasldb2, whose path is compiled in.
fn beside_sasldb(dir: &Path) -> Command {
    let script = "if [ -e /etc/sasldb2 ]; then mount --bind \"$0/sasldb2\" /etc/sasldb2; \
                  else mount --bind \"$0/sasl2\" /etc/sasl2; fi";
    under_mounts(script, dir)
}

/// Runs what is appended to it behind `mounts`, in which `$0` is `dir`.
fn under_mounts(mounts: &str, dir: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(format!("set -e; {mounts}; exec \"$@\""))
        .arg(dir);
    command
}

fn spawn(kind: Kind, dir: &Path) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = match kind {
        Kind::Store | Kind::Pam | Kind::Sasldb => {
            let mut command = saslgate();
            command.arg("--config").arg(dir.join("saslgate.toml")).arg("authd");
            command
        }
        Kind::Original => {
            let mut command = among_services(dir);
            command.args(["/usr/sbin/saslauthd", "-d", "-a", "pam", "-n", "5", "-m"]).arg(dir);
            command
        }
        Kind::OriginalSasldb => {
            let mut command = beside_sasldb(dir);
            command.args(["/usr/sbin/saslauthd", "-d", "-a", "sasldb", "-n", "5", "-m"]).arg(dir);
            command
        }
    };
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        // On its end the original in debug mode signals its whole process group.
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
