//! A world for one server: its packages laid over the host's files, an `/etc`,
//! `/var` and `/run` of its own, a loopback network of its own with every port
//! free, and an end that takes all its processes along.
//!
//! Programs with fixed paths run unmodified, packages that exclude each other
//! stand side by side, and nothing of the host is written. Needs root and
//! overlayfs; the packages come from `packaging/setup.sh clients`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::process::{self, Finished, PATIENCE, wait_until};

/// First process of the world, started outside of it.
const ENTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clients/enter.sh");

/// A running world. Dropping it ends everything in it.
pub(crate) struct World {
    /// `unshare`; its death kills the first process inside, and that all others.
    outside: Child,
    /// Pid of the first process inside, as seen here.
    inside: u32,
    scratch: tempfile::TempDir,
}

impl World {
    /// Makes one with `files` (absolute path, content) in it, and the directory
    /// `sockets` at `/run/saslauthd`.
    pub(crate) fn make(sockets: &Path, files: &[(&str, String)]) -> Self {
        let scratch = tempfile::Builder::new().prefix("world").tempdir().unwrap();
        // Servers that become somebody else look into both.
        for place in [scratch.path(), sockets] {
            fs::set_permissions(place, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let own = scratch.path().join("files");
        fs::create_dir(&own).unwrap();
        for (path, text) in files {
            let path = own.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let log = File::create(scratch.path().join("world.log")).unwrap();
        let mut outside = Command::new("unshare")
            .args(["--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"])
            .args(["--propagation", "private", "sh", ENTER])
            .arg(root())
            .args([scratch.path(), sockets])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(outside.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let inside = process::descendants(outside.id()).first().map_or(0, |(pid, _)| *pid);
        let world = Self { outside, inside, scratch };
        assert_eq!(said, "ready\n", "no world:\n{}", world.logs());
        world
    }

    /// A command that runs in the world, from its root directory.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.inside.to_string()])
            .args(["--mount", "--pid", "--net", "--wdns=/", "--", program]);
        command
    }

    /// Runs a client program in it.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Finished {
        process::run(self.command(program).args(arguments), input)
    }

    /// Starts a server: a shell script that ends in `exec` of a program that
    /// stays in the foreground. Waits until it listens on `port`.
    pub(crate) fn serve(&self, script: &str, port: u16) {
        let log = File::create(self.scratch.path().join("server.log")).unwrap();
        let script = format!("set -eu\n{script}");
        let mut server = self
            .command("sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut has_ended = false;
        let is_up = wait_until(PATIENCE, || {
            has_ended = server.try_wait().unwrap().is_some();
            has_ended || self.listens(port)
        });
        assert!(is_up && !has_ended, "the server does not listen on {port}:\n{}", self.logs());
        // Who dies with the world is reaped here.
        std::thread::spawn(move || server.wait());
    }

    /// True if somebody in the world listens on this port (proc(5): address in hex, state 0A).
    fn listens(&self, port: u16) -> bool {
        let wanted = format!(":{port:04X}");
        ["tcp", "tcp6"].iter().any(|table| {
            let table = fs::read_to_string(format!("/proc/{}/net/{table}", self.inside));
            table.unwrap_or_default().lines().any(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let address = fields.next().unwrap_or_default();
                address.ends_with(&wanted) && fields.nth(1) == Some("0A")
            })
        })
    }

    /// What the world and its server said, and the end of the logs below its `/var/log`.
    pub(crate) fn logs(&self) -> String {
        let mut logs = String::new();
        for name in ["world.log", "server.log"] {
            let text = fs::read(self.scratch.path().join(name)).unwrap_or_default();
            logs += &format!("--- {name}\n{}\n", String::from_utf8_lossy(&text));
        }
        if self.inside != 0 {
            let tail = "find /var/log -type f -newer /etc/group -exec tail -n 40 {} +";
            let found = self.run("sh", &["-c", tail], b"");
            logs += &found.stdout;
        }
        logs
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The first process ends with its input, and the kernel ends the others.
        drop(self.outside.stdin.take());
        if !wait_until(PATIENCE, || !matches!(self.outside.try_wait(), Ok(None))) {
            let _ = self.outside.kill();
        }
        let _ = self.outside.wait();
    }
}

/// Where `packaging/setup.sh clients` unpacks.
fn root() -> PathBuf {
    // CARGO_TARGET_TMPDIR is `tmp` in the target directory.
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients").join("root")
}

/// True if a file of one of these names (patterns of alternatives, `|` between)
/// is among the unpacked packages or on the host.
pub(crate) fn has(alternatives: &str) -> bool {
    alternatives.split('|').any(|path| {
        let unpacked = root().join(path.trim_start_matches('/'));
        unpacked.exists() || Path::new(path).exists()
    })
}
