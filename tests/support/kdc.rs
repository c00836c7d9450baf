//! MIT's KDC with a database of its own, as a child on loopback.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::process::{self, PATIENCE, is_listening, wait_until};

pub(crate) const REALM: &str = "EXAMPLE.TEST";

/// A realm. Dropping it stops its KDC.
pub(crate) struct Kdc {
    dir: tempfile::TempDir,
    realm: &'static str,
    port: u16,
    child: Option<Child>,
}

/// A krb5.conf of these realms, each with the ports of its KDCs; the first is the default.
pub(crate) fn krb5_conf(realms: &[(&str, &[u16])]) -> String {
    let mut text = format!(
        "[libdefaults]\n default_realm = {}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n[realms]\n",
        realms[0].0
    );
    for (realm, ports) in realms {
        let kdcs: String = ports.iter().map(|port| format!("  kdc = 127.0.0.1:{port}\n")).collect();
        write!(text, " {realm} = {{\n{kdcs} }}\n").unwrap();
    }
    text + "[domain_realm]\n .example.test = EXAMPLE.TEST\n"
}

impl Kdc {
    /// A realm with the key of `host/mx.example.test` in [`keytab`](Self::keytab), not yet served.
    pub(crate) fn new(realm: &'static str) -> Self {
        let dir = tempfile::Builder::new().prefix("kdc").tempdir().unwrap();
        let port = process::free_port();
        let place = dir.path().display();
        let profile = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [realms]\n {realm} = {{\n  database_name = {place}/principal\n  \
             key_stash_file = {place}/stash\n  acl_file = {place}/acl\n }}\n\
             [logging]\n kdc = FILE:{place}/kdc.log\n admin_server = FILE:{place}/admin.log\n"
        );
        fs::write(dir.path().join("kdc.conf"), profile).unwrap();
        fs::write(dir.path().join("krb5.conf"), krb5_conf(&[(realm, &[port])])).unwrap();
        let kdc = Self { dir, realm, port, child: None };
        let mut create = kdc.tool("kdb5_util");
        process::run(create.args(["create", "-s", "-P", "master-key"]), b"").expect_success();
        let made = kdc.export("host/mx.example.test");
        fs::rename(made, kdc.keytab()).unwrap();
        kdc
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn keytab(&self) -> PathBuf {
        self.path("keytab")
    }

    /// Adds somebody with this password; `options` are those of kadmin's addprinc.
    pub(crate) fn add(&mut self, principal: &str, password: &str, options: &str) {
        self.admin(&format!("addprinc {options} -pw {password} {principal}"));
    }

    /// Gives a service a new key, made if it is not there, and puts it into a new keytab.
    pub(crate) fn export(&self, service: &str) -> PathBuf {
        let keytab = self.path("exported");
        let _ = fs::remove_file(&keytab);
        if !self.admin("listprincs").contains(service) {
            self.admin(&format!("addprinc -randkey {service}"));
        }
        self.admin(&format!("ktadd -k {} {service}", keytab.display()));
        keytab
    }

    /// One command of kadmin.
    pub(crate) fn admin(&self, query: &str) -> String {
        let mut command = self.tool("kadmin.local");
        let done = process::run(command.args(["-q", query]), b"").expect_success();
        let is_bad = done.stderr.lines().any(|line| {
            let is_error = |word: &str| line.contains(word);
            is_error("while ") || is_error("usage") || is_error("nvalid")
        });
        assert!(!is_bad, "{query}: {}", done.stderr);
        done.stdout
    }

    pub(crate) fn start(&mut self) {
        let log = File::create(self.path("out")).unwrap();
        let child = self
            .tool("krb5kdc")
            .arg("-n")
            .arg("-P")
            .arg(self.path("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let address = ([127, 0, 0, 1], self.port).into();
        let is_up = wait_until(PATIENCE, || is_listening(address));
        assert!(is_up, "no KDC: {}", fs::read_to_string(self.path("out")).unwrap_or_default());
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::stop(&mut child);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program of MIT's that sees this realm and no other.
    fn tool(&self, name: &str) -> Command {
        let sbin = Path::new("/usr/sbin").join(name);
        let mut command =
            Command::new(if sbin.exists() { sbin } else { Path::new("/usr/bin").join(name) });
        command
            .env("KRB5_CONFIG", self.path("krb5.conf"))
            .env("KRB5_KDC_PROFILE", self.path("kdc.conf"))
            .args(["-r", self.realm]);
        command
    }
}

impl Drop for Kdc {
    fn drop(&mut self) {
        self.stop();
    }
}
