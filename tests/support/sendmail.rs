//! A real sendmail in a private directory on a free loopback port.
//!
//! Runs a copy of the packaged binary (the original is setgid, and ignores
//! `LD_PRELOAD`) under a small shim that gives it a host name with a dot, no
//! DNS, and a file instead of syslog. Works as root and as any user. Whatever
//! is accepted is one file per delivery, complete before sendmail's 250.
//!
//! Needs: sendmail with its m4 files (Debian: sendmail-bin sendmail-base
//! sendmail-cf m4; Fedora: sendmail sendmail-cf), and a C compiler.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use super::process::{self, PATIENCE, free_port, is_listening, run, wait_until};

/// The host name of every test sendmail.
pub(crate) const HOST_NAME: &str = "mx.gate.test";

/// Another program may take the port between our choice and sendmail's bind.
const ATTEMPTS: usize = 5;

/// What kind of sendmail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Ask this saslauthd socket about passwords: AUTH PLAIN and LOGIN, after STARTTLS only.
    pub(crate) saslauthd: Option<PathBuf>,
    /// Offer STARTTLS with a certificate of its own ([`Sendmail::certificate`]); AUTH implies it.
    pub(crate) has_tls: bool,
    /// `MaxMessageSize`.
    pub(crate) max_message_bytes: Option<u64>,
    /// Further lines for the .mc file, before `MAILER`; `@D@` is the directory.
    pub(crate) extra_mc: String,
    /// Its access map (`FEATURE(access_db)` with SKIP, `FEATURE(blocklist_recipients)`).
    pub(crate) access: Option<String>,
    /// Class w, beside its own names and `gate.test`, as `local-host-names`.
    pub(crate) local_host_names: String,
    /// Class R, as `relay-domains`.
    pub(crate) relay_domains: String,
    /// Whom it sees when a client comes from an address in 127/8: that address,
    /// the one it sees, and its name, a line each (see the shim). IPv6 ones must come
    /// to [`Sendmail::ipv6_address`].
    pub(crate) peers: String,
}

/// A running sendmail; ends, with its children, when dropped.
pub(crate) struct Sendmail {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
    /// Of the daemon whose clients have IPv6 addresses, if there are peers.
    ipv6_port: Option<u16>,
}

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// Envelope sender; empty for `<>`.
    pub(crate) from: String,
    /// Envelope recipients of this delivery (one per destination host).
    pub(crate) recipients: Vec<String>,
    /// What the delivery agent got, with LF line ends: trace headers, then the message.
    pub(crate) text: Vec<u8>,
}

impl Mail {
    fn parse(file: &[u8]) -> Self {
        let mut mail = Self { from: String::new(), recipients: Vec::new(), text: Vec::new() };
        let mut rest = file;
        while let Some((line, tail)) = split_line(rest) {
            let line = String::from_utf8_lossy(line);
            if let Some(from) = line.strip_prefix("X-Env-From: ") {
                mail.from = from.trim_matches(['<', '>']).to_owned();
            } else if let Some(recipient) = line.strip_prefix("X-Env-Rcpt: ") {
                mail.recipients.push(recipient.to_owned());
            } else {
                break;
            }
            rest = tail;
        }
        mail.text = rest.to_vec();
        mail
    }

    /// The `Received:` headers at the top, newest first, unfolded into one line each.
    pub(crate) fn received(&self) -> Vec<String> {
        let trace = &self.text[..self.text.len() - self.below_trace().len()];
        let text = String::from_utf8_lossy(trace).replace("\n\t", " ").replace("\n ", " ");
        text.lines().map(str::to_owned).collect()
    }

    /// The message below the trace headers, with CRLF line ends: what the client sent.
    pub(crate) fn as_sent(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in self.below_trace() {
            if byte == b'\n' {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    }

    fn below_trace(&self) -> &[u8] {
        let mut rest = &self.text[..];
        let mut is_in_trace = false;
        while let Some((line, tail)) = split_line(rest) {
            let is_folded = line.starts_with(b" ") || line.starts_with(b"\t");
            is_in_trace = line.starts_with(b"Received:") || is_folded && is_in_trace;
            if !is_in_trace {
                break;
            }
            rest = tail;
        }
        rest
    }
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    Some((&text[..end], &text[end + 1..]))
}

impl Sendmail {
    /// Builds the configuration, starts sendmail, and waits until it listens.
    pub(crate) fn start(options: &Options) -> Self {
        for _ in 0..ATTEMPTS {
            if let Some(running) = Self::try_start(options, free_port()) {
                return running;
            }
        }
        panic!("no free port for sendmail in {ATTEMPTS} attempts");
    }

    /// As [`Sendmail::start`], on a port that another one was just killed on.
    pub(crate) fn start_on(options: &Options, port: u16) -> Self {
        Self::try_start(options, port).expect("the port is taken")
    }

    /// `None` if the port was taken; panics with sendmail's log for every other trouble.
    fn try_start(options: &Options, port: u16) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("sendmail-").tempdir().unwrap();
        let ipv6_port = (!options.peers.is_empty()).then(free_port);
        let binary = prepare(dir.path(), (port, ipv6_port), options);
        let mut command = Command::new(&binary);
        command
            .arg("-C")
            .arg(dir.path().join("sendmail.cf"))
            .arg("-bD")
            .env("LD_PRELOAD", dir.path().join("shim.so"))
            .env("SHIM_HOST", HOST_NAME)
            .env("SHIM_LOG", dir.path().join("maillog"))
            .env("SHIM_PEERS", dir.path().join("peers"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = spawn_copy(&mut command);
        let mut running = Self { child, dir, port, ipv6_port };
        let mut has_ended = false;
        wait_until(PATIENCE, || {
            has_ended = running.child.try_wait().unwrap().is_some();
            has_ended || running.is_ours()
        });
        if !has_ended && running.is_ours() {
            return Some(running);
        }
        let log = running.maillog();
        assert!(log.contains("Address already in use"), "sendmail does not listen:\n{log}");
        running.kill();
        None
    }

    /// True once this very process has written its pid file and the port answers.
    fn is_ours(&self) -> bool {
        let pid = fs::read_to_string(self.path("sendmail.pid")).unwrap_or_default();
        pid.lines().next() == Some(&self.child.id().to_string())
            && is_listening(self.address())
            && self.ipv6_port.is_none_or(|_| is_listening(self.ipv6_address()))
            && !self.maillog().contains("Address already in use")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where clients come to that it is to see at IPv6 addresses; still IPv4 itself.
    pub(crate) fn ipv6_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ipv6_port.expect("there are no peers")))
    }

    /// What its rulesets make of `input`, the lines of `sendmail -bt`.
    pub(crate) fn rulesets(&self, input: &str) -> String {
        let mut command = Command::new(self.path("sendmail"));
        command
            .arg("-C")
            .arg(self.path("sendmail.cf"))
            .arg("-bt")
            .env("LD_PRELOAD", self.path("shim.so"))
            .env("SHIM_HOST", HOST_NAME)
            .env("SHIM_LOG", self.path("maillog"));
        run(&mut command, input.as_bytes()).expect_success().stdout
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its own self-signed certificate, for [`HOST_NAME`], `localhost` and 127.0.0.1.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Everything it logged so far.
    pub(crate) fn maillog(&self) -> String {
        let bytes = fs::read(self.path("maillog")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let is_there = wait_until(PATIENCE, || self.maillog().contains(text));
        assert!(is_there, "no {text:?} in:\n{}", self.maillog());
    }

    /// Every delivery so far, oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(self.path("mail"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"msg."))
            })
            .map(|path| (fs::metadata(&path).unwrap().modified().unwrap(), path))
            .collect();
        files.sort();
        files.iter().map(|(_, path)| Mail::parse(&fs::read(path).unwrap())).collect()
    }

    /// The pid of the daemon.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the daemon and all its sessions without warning.
    pub(crate) fn kill(&mut self) {
        let sessions = process::descendants(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (pid, _) in sessions {
            process::send(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Sendmail {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

/// Starts a program that was just written. A child that another thread forks in
/// that moment holds the file open for writing until it execs, and so long the
/// kernel refuses (ETXTBSY).
fn spawn_copy(command: &mut Command) -> Child {
    let mut spawned = command.spawn();
    wait_until(PATIENCE, || {
        let is_busy =
            matches!(&spawned, Err(error) if error.kind() == ErrorKind::ExecutableFileBusy);
        if is_busy {
            spawned = command.spawn();
        }
        !is_busy
    });
    spawned.unwrap()
}

/// Fills the directory; gives the path of the binary to run.
fn prepare(dir: &Path, (port, ipv6_port): (u16, Option<u16>), options: &Options) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sendmail");
    let fixture = |name: &str| fs::read_to_string(fixtures.join(name)).unwrap();
    for name in ["queue", "mail", "sasl"] {
        fs::create_dir(dir.join(name)).unwrap();
        chmod(&dir.join(name), 0o700);
    }
    for name in ["empty", "statistics"] {
        fs::write(dir.join(name), "").unwrap();
    }
    fs::write(dir.join("service.switch"), "passwd files\nhosts files\naliases files\n").unwrap();
    fs::write(dir.join("peers"), &options.peers).unwrap();
    fs::write(dir.join("local-host-names"), &options.local_host_names).unwrap();
    fs::write(dir.join("relay-domains"), &options.relay_domains).unwrap();
    if let Some(access) = &options.access {
        write_access(dir, access);
    }
    fs::write(dir.join("deliver"), fixture("deliver.sh")).unwrap();
    chmod(&dir.join("deliver"), 0o755);
    if options.has_tls || options.saslauthd.is_some() {
        write_certificate(dir);
    }
    if let Some(socket) = &options.saslauthd {
        let text = format!(
            "pwcheck_method: saslauthd\nsaslauthd_path: {}\nmech_list: LOGIN PLAIN\n",
            socket.display()
        );
        fs::write(dir.join("sasl/Sendmail.conf"), text).unwrap();
    }
    let mc = fixture("sendmail.mc.in")
        .replace("@EXTRA@\n", &variant(options, ipv6_port, &fixture))
        .replace("@CFDIR@", &first_of(&["/usr/share/sendmail/cf", "/usr/share/sendmail-cf"]))
        .replace("@D@", &dir.to_string_lossy())
        .replace("@U@", &user_name())
        .replace("@PORT@", &port.to_string());
    fs::write(dir.join("sendmail.mc"), mc).unwrap();
    let cf = run(Command::new("m4").arg(dir.join("sendmail.mc")), b"").expect_success();
    fs::write(dir.join("sendmail.cf"), cf.stdout).unwrap();
    build_shim(&fixtures.join("shim.c"), &dir.join("shim.so"));
    let binary = dir.join("sendmail");
    let packaged = ["/usr/libexec/sendmail/sendmail", "/usr/sbin/sendmail.sendmail"];
    fs::copy(first_of(&packaged), &binary).unwrap();
    chmod(&binary, 0o755);
    binary
}

fn variant(options: &Options, ipv6_port: Option<u16>, fixture: &dyn Fn(&str) -> String) -> String {
    let mut extra = String::new();
    if let Some(port) = ipv6_port {
        extra.push_str(&fixture("ipv6.mc.in").replace("@PORT6@", &port.to_string()));
    }
    if options.access.is_some() {
        extra.push_str(&fixture("access.mc.in"));
    }
    extra.push_str(&options.extra_mc);
    if let Some(limit) = options.max_message_bytes {
        extra.push_str(&format!("define(`confMAX_MESSAGE_SIZE', `{limit}')dnl\n"));
    }
    if options.has_tls || options.saslauthd.is_some() {
        extra.push_str(&fixture("tls.mc.in"));
    }
    if options.saslauthd.is_some() {
        // Last: it ends with LOCAL_CONFIG.
        extra.push_str(&fixture("auth.mc.in"));
    }
    extra
}

/// The map as makemap(8) makes it. It warns of lines that it leaves out, and goes on.
fn write_access(dir: &Path, text: &str) {
    fs::write(dir.join("access"), text).unwrap();
    let mut makemap = Command::new(first_of(&["/usr/sbin/makemap"]));
    run(makemap.arg("hash").arg(dir.join("access")), text.as_bytes());
    assert!(dir.join("access.db").exists(), "makemap made no map");
}

fn build_shim(source: &Path, target: &Path) {
    run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(target).arg(source), b"")
        .expect_success();
}

fn write_certificate(dir: &Path) {
    let names = [HOST_NAME, "localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    chmod(&dir.join("key.pem"), 0o600);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn first_of(paths: &[&str]) -> String {
    let found = paths.iter().find(|path| Path::new(path).exists());
    found.unwrap_or_else(|| panic!("none of {paths:?}: is sendmail installed?")).to_string()
}

fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    user.expect("the account that runs the tests has no name").name
}
