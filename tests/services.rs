//! `saslgate authd` and `saslgate gate` as two processes with one configuration
//! file, in front of a real sendmail: mail goes through, certificates are
//! replaced by SIGHUP, both end on SIGTERM.
#![cfg(test)]

mod support;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use support::gate::{Ready, SASLGATE, Service};
use support::mail_clients::{Login, Submission, Tls, curl, openssl_s_client};
use support::process::{free_port, run};
use support::sendmail::{Options, Sendmail};

const MESSAGE: &[u8] = b"Date: Fri, 20 Nov 2026 11:59:27 +0000\r\n\
    From: alice@client.test\r\nMessage-ID: <1@client.test>\r\n\r\nhello\r\n";

/// A directory with a certificate, a configuration and a user.
struct Host {
    dir: tempfile::TempDir,
    starttls: SocketAddr,
}

impl Host {
    fn build(backend: SocketAddr) -> Self {
        let starttls = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let host = Self { dir: tempfile::tempdir().unwrap(), starttls };
        host.new_certificate();
        let dir = host.dir.path().display();
        let config = format!(
            "[authd]\nbackends = [\"store\"]\nsocket = \"{dir}/mux\"\ndefault_realm = \"gate.test\"\n\
             [store]\npath = \"{dir}/users.db\"\n\
             [tls]\ncertificate = \"{dir}/cert.pem\"\nkey = \"{dir}/key.pem\"\n\
             [gate]\nhostname = \"gate.test\"\nauth = \"saslauthd:{dir}/mux\"\n\
             [[gate.listener]]\naddress = \"{starttls}\"\nkind = \"submission\"\n\
             [[gate.backend]]\naddress = \"{backend}\"\n\
             [log]\ntarget = \"stderr\"\n"
        );
        fs::write(host.config(), config).unwrap();
        let mut add = Command::new(SASLGATE);
        add.args(["user", "add", "alice", "--config"]).arg(host.config());
        run(&mut add, b"pass-w0rd\n").expect_success();
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("saslgate.toml")
    }

    fn new_certificate(&self) {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
        fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(self.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn is_trusted_with(&self, ca: &Path) -> bool {
        let ca = ["-starttls", "smtp", "-verify_return_error", "-CAfile", ca.to_str().unwrap()];
        openssl_s_client(self.starttls, &ca, b"QUIT\r\n").code == Some(0)
    }

    fn submit(&self) -> Option<i32> {
        let ca = self.path("cert.pem");
        let login = Login { user: "alice", password: "pass-w0rd", mechanism: "PLAIN" };
        let finished = curl(&Submission {
            server: self.starttls,
            tls: Tls::Starttls(&ca),
            login: Some(login),
            from: "alice@client.test",
            to: &["bob@gate.test"],
            message: MESSAGE,
        });
        finished.code
    }
}

#[test]
fn two_services_deliver_reload_and_stop() {
    let sendmail = Sendmail::start(&Options::default());
    let host = Host::build(sendmail.address());
    let socket = Ready::Socket(host.path("mux"));
    let mut authd = Service::start("authd", &host.config(), &[socket]);
    let mut gate = Service::start("gate", &host.config(), &[Ready::Tcp(host.starttls)]);

    assert_eq!(host.submit(), Some(0), "{}\n{}", authd.log(), gate.log());
    assert_eq!(sendmail.mails().last().unwrap().as_sent(), MESSAGE);
    gate.wait_for_log("AUTH=server, relay=[127.0.0.1], authid=alice, mech=PLAIN, bits=0");
    gate.wait_for_log("outcome=accepted");
    for log in [authd.log(), gate.log()] {
        assert!(!log.contains("pass-w0rd"), "{log}");
    }

    let old = host.path("old.pem");
    fs::copy(host.path("cert.pem"), &old).unwrap();
    fs::write(host.path("cert.pem"), "half a certificate").unwrap();
    gate.signal(Signal::SIGHUP);
    gate.wait_for_log("reload refused, the old configuration stays in force:");
    assert!(host.is_trusted_with(&old), "a bad pair must change nothing");
    host.new_certificate();
    gate.signal(Signal::SIGHUP);
    gate.wait_for_log("INFO reloaded");
    assert!(!host.is_trusted_with(&old), "the old certificate is still served");
    assert_eq!(host.submit(), Some(0), "{}", gate.log());

    assert_eq!(gate.stop(), Some(0), "{}", gate.log());
    assert_eq!(authd.stop(), Some(0), "{}", authd.log());
}
