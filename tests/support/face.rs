//! A laboratory for saslauthd under its own name: each script runs as root of
//! a mount and pid namespace, with private PAM services, a private `/dev/log`
//! and a private `/etc/default`. Whatever it starts dies with it.
//!
//! A script has `$SASLAUTHD` (the subject), `$OURS`, `$ORIGINAL`, `$D` (a
//! private directory), `$R` (its run directory), and the functions below.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::process::{self, PATIENCE};
use super::saslauthd::{PASSWORD, REALM, USER, WRONG, write_pam_services};

/// Whom the cases are tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    /// Cyrus saslauthd 2.1.28.
    Original,
}

const ORIGINAL: &str = "/usr/sbin/saslauthd";

pub(crate) struct Lab {
    pub(crate) who: Who,
    dir: tempfile::TempDir,
    syslog: Arc<Mutex<Vec<String>>>,
}

impl Lab {
    /// For the subject that `SUBJECT` names.
    pub(crate) fn new() -> Self {
        let who = match std::env::var("SUBJECT").as_deref() {
            Ok("original") => Who::Original,
            _ => Who::Ours,
        };
        let dir = tempfile::Builder::new().prefix("face").tempdir().unwrap();
        write_pam_services(dir.path());
        know_joined_name(dir.path());
        fs::create_dir(dir.path().join("dev")).unwrap();
        fs::create_dir(dir.path().join("default")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_saslgate"), dir.path().join("saslauthd"))
            .unwrap();
        fs::write(dir.path().join("saslgate.toml"), "[authd]\nfloor = \"0s\"\n").unwrap();
        let syslog = listen(dir.path().join("log"));
        Self { who, dir, syslog }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ours(&self) -> PathBuf {
        self.dir.path().join("saslauthd")
    }

    /// The subject, for command lines that start nothing.
    pub(crate) fn saslauthd(&self) -> Command {
        let program = match self.who {
            Who::Ours => self.ours(),
            Who::Original => ORIGINAL.into(),
        };
        let mut command = Command::new(program);
        command.env("SASLGATE_CONFIG", self.dir.path().join("saslgate.toml"));
        command
    }

    /// Runs a script in the laboratory, and gives what it wrote to its standard output.
    pub(crate) fn run(&self, script: &str) -> String {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", &PATIENCE.as_secs().to_string(), "unshare"]);
        if !nix::unistd::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        let program = self.saslauthd();
        // The shell is the first process in there: it reaps what daemons leave behind.
        command
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "sh", "-c", &format!("{PRELUDE}\n{script}")])
            .env("D", self.dir.path())
            .env("R", self.run_dir())
            .env("SASLAUTHD", program.get_program())
            .env("PROJECT", env!("CARGO_MANIFEST_DIR"))
            .env("OURS", self.ours())
            .env("ORIGINAL", ORIGINAL)
            .env("SASLGATE_CONFIG", self.dir.path().join("saslgate.toml"))
            .envs([("USER", USER), ("RIGHT", PASSWORD), ("WRONG", WRONG), ("REALM", REALM)])
            .env("PROGRAMS", Path::new(env!("CARGO_BIN_EXE_saslgate")).parent().unwrap());
        let ended = process::run(&mut command, b"");
        assert!(!ended.stderr.contains("never:"), "{script}\n{}{}", ended.stdout, ended.stderr);
        assert!(!ended.stderr.contains("mount:"), "{}", ended.stderr);
        ended.stdout
    }

    /// What has come to syslog once `text` has, a datagram each.
    pub(crate) fn syslog(&self, text: &str) -> Vec<String> {
        let has_come = || self.syslog.lock().unwrap().iter().any(|line| line.contains(text));
        process::wait_until(PATIENCE, has_come);
        let lines = self.syslog.lock().unwrap().clone();
        assert!(!lines.concat().contains(PASSWORD) && !lines.concat().contains(WRONG));
        lines
    }

    /// A service manager's ear at `$D/notify`.
    pub(crate) fn notifications(&self) -> UnixDatagram {
        let socket = UnixDatagram::bind(self.dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }
}

/// A syslog daemon. It reads all the time: the original waits for one that does
/// not, for ever, once ten lines are in its queue.
fn listen(path: PathBuf) -> Arc<Mutex<Vec<String>>> {
    let socket = UnixDatagram::bind(path).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::downgrade(&lines);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 8192];
        // Ends with the laboratory.
        while let Some(lines) = sink.upgrade() {
            if let Ok(length) = socket.recv(&mut bytes) {
                let line = String::from_utf8_lossy(&bytes[..length]);
                lines.lock().unwrap().push(line.trim_end_matches('\0').to_owned());
            }
        }
    });
    lines
}

/// pam_matrix of the services knows `alice@example.org` too, with another password.
fn know_joined_name(dir: &Path) {
    let passdb = dir.join("passdb");
    let known = fs::read_to_string(&passdb).unwrap();
    fs::write(passdb, format!("{known}{USER}@{REALM}:joined-{PASSWORD}:smtp\n")).unwrap();
}

/// `saslauthd[4711] :` as `saslauthd[PID] :`, and the path of the program as its name.
pub(crate) fn without_pid(text: &str) -> String {
    let mut lines = String::new();
    for line in text.split_inclusive('\n') {
        let line = match line.find("saslauthd: ") {
            Some(at) if line.starts_with('/') => &line[at..],
            _ => line,
        };
        match line.split_once("] :") {
            Some((head, rest)) if head.starts_with("saslauthd[") => {
                lines.push_str("saslauthd[PID] :");
                lines.push_str(rest);
            }
            _ => lines.push_str(line),
        }
    }
    lines
}

/// Builds the laboratory; `up DIR` waits for a daemon there, `down` ends the
/// one in `$R`, `ask` logs in, `waits FUNCTION` looks until it is true.
const PRELUDE: &str = r#"
mount -t tmpfs none "$D/dev" || exit
for n in null zero full random urandom tty; do
    : >"$D/dev/$n"; [ ! -e /dev/$n ] || mount --bind /dev/$n "$D/dev/$n"
done
ln -s "$D/log" "$D/dev/log"
mount --rbind "$D/dev" /dev || exit
mount --bind "$D/pam.d" /etc/pam.d || exit
PATH=$PATH:/usr/sbin:/sbin

waits() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 1500 ] || { echo "never: $*" >&2; exit 1; }
        sleep 0.02
    done
}
is_up() { [ -S "$1/mux" ] && testsaslauthd -u nobody -p probe -s smtp -f "$1/mux" 2>&1 | grep -q NO; }
up() { waits is_up "$1"; }
is_gone() { ! kill -0 $1 2>/dev/null; }
is_down() { [ ! -e "$R/mux" ] && [ ! -e "$R/saslauthd.pid" ]; }
down() { kill $(cat "$R/saslauthd.pid"); waits is_down; }
ask() {
    case $1 in
        right) set -- -p "$RIGHT" ;;
        wrong) set -- -p "$WRONG" ;;
        realm) set -- -p "$RIGHT" -r "$REALM" ;;
        joined) set -- -p "joined-$RIGHT" -r "$REALM" ;;
    esac
    testsaslauthd -u "$USER" -s smtp -f "$R/mux" "$@" 2>&1 | cut -d' ' -f2
}
settings() {
    printf '%s\n' "$@" >"$D/default/saslauthd"
    mount --bind "$D/default" /etc/default
}
in_place_of_the_original() {
    mkdir "$D/bin"
    ln -s "$PROGRAMS/saslgate-pam" "$D/bin/saslgate-pam"
    mount --bind "$D/bin" /usr/local/bin
    mount --bind "$PROGRAMS/saslgate" /usr/sbin/saslauthd
}
"#;
