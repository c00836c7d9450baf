//! The backends `rimap` and `httpform` against real servers, Dovecot and
//! lighttpd. Beside the original where it can be: Debian builds it with rimap
//! and without httpform.
//!
//! Needs dovecot-imapd, lighttpd with its OpenSSL module, and sasl2-bin.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use support::process::{self, PATIENCE, free_port, is_listening, wait_until};
use support::saslauthd::{read_reply, request};

const RIGHT: &str = "s3cret-Zauberwort";
const WRONG: &str = "wr0ng-Zauberwort";
const NO: &[u8] = b"\0\x02NO";

/// A saslauthd, ours or the original, in a directory of its own.
struct Asked {
    dir: tempfile::TempDir,
    child: Child,
    is_original: bool,
}

impl Asked {
    /// Ours, with this backend and these lines of its section.
    fn ours(backend: &str, section: &str) -> Self {
        let dir = directory();
        let config = dir.path().join("saslgate.toml");
        let text = format!(
            "[authd]\nsocket = \"{}/mux\"\nbackends = [\"{backend}\"]\nfloor = \"0s\"\n\
             [{backend}]\n{section}\n",
            dir.path().display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_saslgate"));
        command.arg("--config").arg(config).arg("authd");
        Self::start(dir, command, false)
    }

    fn original(mechanism: &str, option: &str) -> Self {
        let dir = directory();
        let mut command = Command::new("/usr/sbin/saslauthd");
        command.args(["-d", "-a", mechanism, "-O", option, "-n", "2", "-m"]).arg(dir.path());
        Self::start(dir, command, true)
    }

    fn start(dir: tempfile::TempDir, mut command: Command, is_original: bool) -> Self {
        let log = File::create(dir.path().join("log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut asked = Self { dir, child, is_original };
        let is_up = wait_until(PATIENCE, || {
            let has_ended = asked.child.try_wait().unwrap().is_some();
            has_ended || asked.log().contains("listening on socket")
        });
        assert!(is_up && asked.child.try_wait().unwrap().is_none(), "{}", asked.log());
        asked
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Waits for `text` in the log, which is written behind the reply.
    fn assert_logs(&self, text: &str) {
        let is_there = wait_until(PATIENCE, || self.log().contains(text));
        assert!(is_there, "{text:?} is not in the log:\n{}", self.log());
    }

    fn ask(&self, login: &str, password: impl AsRef<[u8]>) -> Vec<u8> {
        let mut stream =
            std::os::unix::net::UnixStream::connect(self.dir.path().join("mux")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let fields = [login.as_bytes(), password.as_ref(), b"imap", b"example.org"];
        stream.write_all(&request(&fields)).unwrap();
        read_reply(&mut stream)
    }

    fn assert_right(&self, login: &str, password: impl AsRef<[u8]>) {
        let reply = self.ask(login, password);
        assert!(reply[2..].starts_with(b"OK"), "{login}: {reply:?}\n{}", self.log());
    }

    fn assert_refused(&self, login: &str, password: impl AsRef<[u8]>) {
        let reply = self.ask(login, password);
        match self.is_original {
            true => assert_eq!(&reply[2..4], b"NO", "{login}"),
            false => assert_eq!(reply, NO, "{login}: {}", self.log()),
        }
    }

    /// Ours closes without a reply; the original says NO.
    fn assert_outage(&self, login: &str, password: impl AsRef<[u8]>) {
        let reply = self.ask(login, password);
        match self.is_original {
            true => assert_eq!(&reply[2..4], b"NO", "{login}"),
            false => assert_eq!(reply, b"", "{login}: {}", self.log()),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_original {
            for (pid, _) in process::descendants(self.child.id()) {
                process::send(pid, nix::sys::signal::Signal::SIGKILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        } else {
            process::stop(&mut self.child);
            let log = self.log();
            let is_told = log.contains(RIGHT) || log.contains(WRONG);
            assert!(thread::panicking() || !is_told, "a password is in the log:\n{log}");
        }
    }
}

fn directory() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("remote").tempdir().unwrap();
    // Servers that become somebody else look into it.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// A server in a directory, and its two ports: in clear, and TLS.
struct Server {
    dir: tempfile::TempDir,
    child: Option<Child>,
    clear: u16,
    tls: u16,
    command: fn(&Path) -> Command,
}

impl Server {
    /// With `localhost` in its certificate.
    fn new(command: fn(&Path) -> Command) -> Self {
        let dir = directory();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { dir, child: None, clear: free_port(), tls: free_port(), command }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&mut self) {
        let log = File::create(self.path("out")).unwrap();
        let mut command = (self.command)(self.dir.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        let is_up = wait_until(PATIENCE, || {
            let up = |port| is_listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            child.try_wait().unwrap().is_some() || (up(self.clear) && up(self.tls))
        });
        let has_ended = child.try_wait().unwrap().is_some();
        self.child = Some(child);
        let said =
            || ["out", "log"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default());
        assert!(is_up && !has_ended, "{:?}", said());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::stop(&mut child);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Dovecot with some users. `more` are lines of its configuration.
fn dovecot(more: &str) -> Server {
    let mut server = Server::new(|dir| {
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(dir.join("dovecot.conf"));
        command
    });
    let mut users = format!("alice:{{PLAIN}}{RIGHT}\nquote:{{PLAIN}}a\"b\\c {{5}}\n").into_bytes();
    users.extend_from_slice(b"eight:{PLAIN}p\xc3\xa4ss\n");
    fs::write(server.path("users"), users).unwrap();
    let text = format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\nprotocols = imap\n\
         listen = 127.0.0.1\nssl = yes\nssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\n\
         mail_location = maildir:{dir}/mail/%u\nauth_failure_delay = 0\n\
         passdb {{\n driver = passwd-file\n args = {dir}/users\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={dir}/mail/%u\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = {clear}\n }}\n \
         inet_listener imaps {{\n port = {tls}\n ssl = yes\n }}\n}}\n{more}\n",
        dir = server.dir.path().display(),
        clear = server.clear,
        tls = server.tls,
    );
    fs::write(server.path("dovecot.conf"), text).unwrap();
    fs::create_dir(server.path("mail")).unwrap();
    fs::set_permissions(server.path("mail"), fs::Permissions::from_mode(0o777)).unwrap();
    server.start();
    server
}

#[test]
fn dovecot_says_who_is_right_and_the_original_agrees() {
    let mut server = dovecot("");
    let ours = Asked::ours("rimap", &format!("server = \"127.0.0.1:{}\"", server.clear));
    let original = Asked::original("rimap", &format!("127.0.0.1/{}", server.clear));
    for asked in [&ours, &original] {
        asked.assert_right("alice", RIGHT);
        asked.assert_refused("alice", WRONG);
        asked.assert_refused("nobody-here", RIGHT);
        asked.assert_right("quote", "a\"b\\c {5}");
        asked.assert_refused("quote", "a\"b\\c {5");
    }
    // Beyond ASCII is a literal.
    ours.assert_right("eight", b"p\xc3\xa4ss");
    ours.assert_refused("eight", b"p\xc3\xa4s");
    server.stop();
    for asked in [&ours, &original] {
        asked.assert_outage("alice", RIGHT);
    }
    ours.assert_logs("cannot connect to 127.0.0.1");
    server.start();
    for asked in [&ours, &original] {
        asked.assert_right("alice", RIGHT);
    }
}

#[test]
fn tls_is_verified_or_nobody_is_asked() {
    let server = dovecot("");
    let ca = format!("ca_file = \"{}\"", server.path("cert.pem").display());
    for (tls, port) in [("starttls", server.clear), ("implicit", server.tls)] {
        let section = |host: &str, more: &str| {
            Asked::ours("rimap", &format!("server = \"{host}:{port}\"\ntls = \"{tls}\"\n{more}"))
        };
        let good = section("localhost", &ca);
        good.assert_right("alice", RIGHT);
        good.assert_refused("alice", WRONG);
        good.assert_right("eight", b"p\xc3\xa4ss");
        let named = section("127.0.0.1", &format!("{ca}\nserver_name = \"localhost\""));
        named.assert_right("alice", RIGHT);
        // Another name, and an authority that nobody trusts.
        for bad in [section("127.0.0.1", &ca), section("localhost", "")] {
            bad.assert_outage("alice", RIGHT);
            bad.assert_logs("no verified TLS");
        }
    }
}

#[test]
fn a_server_that_wants_tls_is_not_told_a_password_in_clear() {
    // To Dovecot a client is at home only if both ends have one address.
    let server = dovecot("disable_plaintext_auth = yes\nlisten = 127.0.0.1, 127.0.0.2\n");
    let ours = Asked::ours("rimap", &format!("server = \"127.0.0.2:{}\"", server.clear));
    ours.assert_outage("alice", RIGHT);
    ours.assert_logs("LOGINDISABLED");
}

/// What a client sends to a server that greets and then answers nothing.
fn overheard(asked: impl Fn(u16) -> Asked, password: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(b"* OK [CAPABILITY IMAP4rev1] hello\r\n").unwrap();
            let mut said = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while !said.contains("NOOP") && lines.read_line(&mut said).unwrap_or(0) > 0 {}
            let _ = tell.send(said);
        }
    });
    let asked = asked(port);
    let _ = asked.ask("alice", password);
    heard.try_iter().collect()
}

#[test]
fn a_password_begins_no_imap_command_as_it_does_with_the_original() {
    let password = "p\"w\r\nsaslauthd NOOP\r\n";
    let ours = |port| Asked::ours("rimap", &format!("server = \"127.0.0.1:{port}\""));
    assert_eq!(overheard(ours, password), "", "nothing is sent");
    let original = |port| Asked::original("rimap", &format!("127.0.0.1/{port}"));
    assert!(overheard(original, password).contains("\r\nsaslauthd NOOP"));
}

/// lighttpd with an application that knows alice.
fn lighttpd() -> Server {
    let mut server = Server::new(|dir| {
        let mut command = Command::new("lighttpd");
        command.arg("-D").arg("-f").arg(dir.join("lighttpd.conf"));
        command
    });
    let script = format!(
        "body=$(cat)\ncase \"$body\" in\n\
         'u=alice&p={RIGHT}&r=example.org') status='200 OK' ;;\n\
         'u=none&p={RIGHT}&r=example.org') status='204 No Content' ;;\n\
         'u=odd&p=a%26b%3Dc%25&r=example.org') status='200 OK' ;;\n\
         'u=moved&'*) status='302 Found' ;;\n\
         'u=broken&'*) status='500 Internal Server Error' ;;\n\
         'u=basic&'*) status='401 Unauthorized' ;;\n\
         *) status='403 Forbidden' ;;\nesac\n\
         printf 'Status: %s\\r\\nContent-Type: text/plain\\r\\n\\r\\n' \"$status\"\n"
    );
    fs::write(server.path("login.cgi"), script).unwrap();
    let text = format!(
        "server.document-root = \"{dir}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {clear}\n\
         server.modules = (\"mod_cgi\", \"mod_openssl\")\nserver.errorlog = \"{dir}/log\"\n\
         cgi.assign = (\".cgi\" => \"/bin/sh\")\n\
         $SERVER[\"socket\"] == \"127.0.0.1:{tls}\" {{\n ssl.engine = \"enable\"\n \
         ssl.pemfile = \"{dir}/cert.pem\"\n ssl.privkey = \"{dir}/key.pem\"\n}}\n",
        dir = server.dir.path().display(),
        clear = server.clear,
        tls = server.tls,
    );
    fs::write(server.path("lighttpd.conf"), text).unwrap();
    let conf = format!(
        "# shared\nldap_servers: ldap://localhost/\nhttpform_host: 127.0.0.1\n\
         httpform_port: {}\nhttpform_uri: /login.cgi\nhttpform_data: u=%u&p=%p&r=%r\n",
        server.clear
    );
    fs::write(server.path("saslauthd.conf"), conf).unwrap();
    server.start();
    server
}

#[test]
fn a_web_application_says_who_is_right_by_the_file_of_the_original() {
    let mut server = lighttpd();
    let conf = server.path("saslauthd.conf").display().to_string();
    let ours = Asked::ours("httpform", &format!("config = \"{conf}\""));
    for login in ["alice", "none"] {
        ours.assert_right(login, RIGHT);
    }
    ours.assert_right("odd", "a&b=c%");
    for (login, password) in [("alice", WRONG), ("nobody-here", RIGHT), ("basic", RIGHT)] {
        ours.assert_refused(login, password);
    }
    for login in ["moved", "broken"] {
        ours.assert_outage(login, RIGHT);
    }
    server.stop();
    ours.assert_outage("alice", RIGHT);
    server.start();
    ours.assert_right("alice", RIGHT);
}

#[test]
fn a_web_application_is_asked_over_verified_tls() {
    let server = lighttpd();
    let section = |host: &str, more: &str| {
        let url = format!("https://{host}:{}/login.cgi", server.tls);
        Asked::ours("httpform", &format!("url = \"{url}\"\nform = \"u=%u&p=%p&r=%r\"\n{more}"))
    };
    let ca = format!("ca_file = \"{}\"", server.path("cert.pem").display());
    let good = section("localhost", &ca);
    for _ in 0..20 {
        good.assert_right("alice", RIGHT);
        good.assert_refused("alice", WRONG);
    }
    for bad in [section("127.0.0.1", &ca), section("localhost", "")] {
        bad.assert_outage("alice", RIGHT);
        bad.assert_logs("no verified TLS");
    }
}
