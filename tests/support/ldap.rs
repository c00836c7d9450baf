//! A saslauthd that asks a directory: ours, or the original with the same file.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use super::gate::{Ready, Service};
use super::process::{PATIENCE, wait_until};
use super::saslauthd::{read_reply, request};
use super::slapd::{PASSWORD, READER_PASSWORD, Slapd, WRONG};

/// A saslauthd that asks a directory.
pub(crate) struct Asked {
    /// Ends before its directory does.
    pub(crate) service: Service,
    dir: tempfile::TempDir,
    is_original: bool,
}

impl Asked {
    /// Ours, with these lines in `[ldap]`.
    pub(crate) fn ours(ldap: &str) -> Self {
        Self::start(tempfile::tempdir().unwrap(), ldap)
    }

    fn start(dir: tempfile::TempDir, ldap: &str) -> Self {
        let place = dir.path().display();
        let config = dir.path().join("saslgate.toml");
        let text = format!(
            "[authd]\nsocket = \"{place}/mux\"\nbackends = [\"ldap\"]\nfloor = \"0s\"\n\
             default_realm = \"host.test\"\n[log]\nlevel = \"debug\"\n[ldap]\n{ldap}\n"
        );
        fs::write(&config, text).unwrap();
        let ready = Ready::Socket(dir.path().join("mux"));
        let service = Service::start("authd", &config, &[ready]);
        Self { service, dir, is_original: false }
    }

    /// Ours, with the original's file.
    pub(crate) fn ours_with(conf: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("saslauthd.conf");
        fs::write(&file, conf).unwrap();
        Self::start(dir, &format!("config = \"{}\"", file.display()))
    }

    /// The original, with its file.
    pub(crate) fn original(conf: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("saslauthd.conf");
        fs::write(&file, conf).unwrap();
        let mut command = Command::new("/usr/sbin/saslauthd");
        command.args(["-d", "-a", "ldap", "-n", "1", "-m"]).arg(dir.path()).arg("-O").arg(&file);
        // On its end the original in debug mode signals its whole process group.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let service = Service::spawn(&mut command, dir.path().join("log"));
        let socket = dir.path().join("mux");
        let is_up = wait_until(PATIENCE, || UnixStream::connect(&socket).is_ok());
        assert!(is_up, "the original did not start: {}", service.log());
        Self { service, dir, is_original: true }
    }

    pub(crate) fn exchange<F: AsRef<[u8]>>(&self, fields: &[F; 4]) -> &'static str {
        let mut stream = UnixStream::connect(self.dir.path().join("mux")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&request(fields)).unwrap();
        match read_reply(&mut stream).as_slice() {
            b"\0\x02OK" => "OK",
            b"\0\x02NO" => "NO",
            b"" => "closed",
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ask(&self, login: &str, password: &str, realm: &str) -> &'static str {
        self.exchange(&[login, password, "imap", realm])
    }

    pub(crate) fn log(&self) -> String {
        self.service.log()
    }

    /// Waits for `text` in the log, which is written behind the reply.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let found = wait_until(PATIENCE, || self.log().contains(text));
        assert!(found, "{text:?} is not in the log:\n{}", self.log());
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_original && !thread::panicking() {
            let log = self.log();
            for secret in [PASSWORD, WRONG, READER_PASSWORD] {
                assert!(!log.contains(secret), "a password is in the log");
            }
        }
    }
}

/// Runs `cases` (login, password, realm, what ours says, what the original says) against both.
pub(crate) fn both(conf: &str, cases: &[(&str, &str, &str, &str, &str)]) {
    let ours = Asked::ours_with(conf);
    let original = Asked::original(conf);
    for (login, password, realm, expected, theirs) in cases {
        assert_eq!(ours.ask(login, password, realm), *expected, "ours: {login}: {}", ours.log());
        assert_eq!(original.ask(login, password, realm), *theirs, "the original: {login}: {conf}");
    }
}

pub(crate) fn people(slapd: &Slapd) -> String {
    format!("ldap_servers: {}\nldap_search_base: ou=people,dc=example,dc=org\n", slapd.url())
}
