//! OpenLDAP's slapd in a private directory, with an authority of its own.
//!
//! The host's configuration, account and service are left alone: slapd runs in
//! the foreground, as whoever runs the test, on loopback ports.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::process::{self, PATIENCE, free_port, is_listening, wait_until};

/// What everybody's password is, unless a test says otherwise.
pub(crate) const PASSWORD: &str = "s3cret-Zauberwort";
/// Nobody's.
pub(crate) const WRONG: &str = "wr0ng-Zauberwort";
/// May read hashes and groups.
pub(crate) const READER: &str = "cn=reader,dc=example,dc=org";
pub(crate) const READER_PASSWORD: &str = "reader-Zauberwort";
const ADMIN: &str = "cn=admin,dc=example,dc=org";
const ADMIN_PASSWORD: &str = "admin-Zauberwort";

/// A running slapd. Ends when dropped.
pub(crate) struct Slapd {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
    tls_port: u16,
}

impl Slapd {
    /// Starts one with its entries.
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ldap").tempdir().unwrap();
        write_certificates(dir.path());
        let (port, tls_port) = (free_port(), free_port());
        write_config(dir.path());
        let ldif = dir.path().join("data.ldif");
        fs::write(&ldif, entries()).unwrap();
        let mut load = Command::new("/usr/sbin/slapadd");
        load.arg("-f").arg(dir.path().join("slapd.conf")).arg("-l").arg(&ldif);
        process::run(&mut load, b"").expect_success();
        let child = spawn(dir.path(), port, tls_port);
        let mut slapd = Self { child, dir, port, tls_port };
        slapd.wait_until_ready();
        slapd
    }

    fn wait_until_ready(&mut self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.tls_port));
        let is_up = wait_until(PATIENCE, || {
            is_listening(address) || self.child.try_wait().unwrap().is_some()
        });
        let exit = self.child.try_wait().unwrap();
        assert!(is_up && exit.is_none(), "slapd did not start ({exit:?}): {}", self.log());
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}/", self.port)
    }

    /// By the name that its certificate has.
    pub(crate) fn named_url(&self) -> String {
        format!("ldap://localhost:{}/", self.port)
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}/", self.tls_port)
    }

    /// Its socket as a URL.
    pub(crate) fn socket_url(&self) -> String {
        socket_url(self.dir.path())
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("slapd.log")).unwrap_or_default()
    }

    /// Ends it at once, as a power failure does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it politely, or finds that it is no more.
    pub(crate) fn stop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            process::stop(&mut self.child);
        }
    }

    /// Starts another process on the same ports and data.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = spawn(self.dir.path(), self.port, self.tls_port);
        self.wait_until_ready();
    }

    /// Sets a user's password.
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        let name = format!("uid={user},ou=people,dc=example,dc=org");
        let mut command = Command::new("ldappasswd");
        command.args(["-x", "-H", &self.url(), "-D", ADMIN, "-w", ADMIN_PASSWORD]);
        command.args(["-s", password, &name]);
        process::run(&mut command, b"").expect_success();
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn socket_url(dir: &Path) -> String {
    let path = dir.join("ldapi").display().to_string();
    format!("ldapi://{}/", path.replace('/', "%2F"))
}

fn spawn(dir: &Path, port: u16, tls_port: u16) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("slapd.log")).unwrap();
    let places =
        format!("ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/ {}", socket_url(dir));
    Command::new("/usr/sbin/slapd")
        .arg("-f")
        .arg(dir.join("slapd.conf"))
        // In the foreground, and silent.
        .args(["-h", &places, "-d", "0"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn first_of(paths: &[&'static str]) -> &'static str {
    paths.iter().copied().find(|path| Path::new(path).exists()).unwrap_or(paths[0])
}

fn write_config(dir: &Path) {
    let schema = first_of(&["/etc/ldap/schema", "/etc/openldap/schema"]);
    let modules = first_of(&["/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap"]);
    let place = dir.display();
    fs::create_dir(dir.join("db")).unwrap();
    let text = format!(
        "include {schema}/core.schema\ninclude {schema}/cosine.schema\n\
         include {schema}/inetorgperson.schema\n\
         pidfile {place}/slapd.pid\nargsfile {place}/slapd.args\n\
         modulepath {modules}\nmoduleload back_mdb\n\
         TLSCACertificateFile {place}/ca.pem\n\
         TLSCertificateFile {place}/cert.pem\nTLSCertificateKeyFile {place}/key.pem\n\
         authz-regexp \"gidNumber=[0-9]+\\\\+uidNumber={uid},cn=peercred,cn=external,cn=auth\" \"{READER}\"\n\
         database mdb\nsuffix \"dc=example,dc=org\"\n\
         rootdn \"{ADMIN}\"\nrootpw {ADMIN_PASSWORD}\n\
         directory {place}/db\nmaxsize 10485760\ndbnosync\n\
         access to attrs=userPassword by dn.exact=\"{READER}\" read by anonymous auth by self write by * none\n\
         access to dn.subtree=\"ou=hidden,dc=example,dc=org\" by dn.exact=\"{READER}\" read by anonymous auth by * none\n\
         access to * by * read\n",
        uid = nix::unistd::geteuid(),
    );
    fs::write(dir.join("slapd.conf"), text).unwrap();
}

fn write_certificates(dir: &Path) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    // GnuTLS takes a certificate with the name of its issuer for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    // Not localhost: libldap takes that for the name of the host, and looks for it.
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let names = vec![host, saslgate::sys::host::fqdn(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(dir.join("ca.pem"), authority_certificate.pem()).unwrap();
    fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    let path = dir.join("key.pem");
    fs::write(&path, key.serialize_pem()).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A hash as slapd's own tool makes it.
fn hashed(scheme: &[&str]) -> String {
    let mut command = Command::new("/usr/sbin/slappasswd");
    command.args(["-n", "-s", PASSWORD, "-h"]).args(scheme);
    process::run(&mut command, b"").expect_success().stdout
}

/// Users with a stored password of each kind.
pub(crate) const SCHEMES: &[(&str, &[&str])] = &[
    ("ssha", &["{SSHA}"]),
    ("sha", &["{SHA}"]),
    ("smd5", &["{SMD5}"]),
    ("md5", &["{MD5}"]),
    ("crypt5", &["{CRYPT}", "-c", "$5$%.8s"]),
    ("crypt6", &["{CRYPT}", "-c", "$6$%.8s"]),
    ("clear", &["{CLEARTEXT}"]),
];

fn entries() -> String {
    let mut text = format!(
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n\n\
         dn: {READER}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
         cn: reader\nuserPassword: {READER_PASSWORD}\n\n"
    );
    for unit in ["people", "groups", "hidden", "example.test"] {
        text.push_str(&format!(
            "dn: ou={unit},dc=example,dc=org\nobjectClass: organizationalUnit\nou: {unit}\n\n"
        ));
    }
    let person = |unit: &str, user: &str, password: &str| {
        format!(
            "dn: uid={user},ou={unit},dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: {user}\n\
             cn: {user}\nsn: x\nmail: {user}@example.test\nuserPassword: {password}\n\n"
        )
    };
    for user in ["alice", "bob", "twin", "a\\2cb"] {
        let plain = user.replace("\\2c", ",");
        text.push_str(
            &person("people", user, PASSWORD)
                .replace(&format!("uid: {user}"), &format!("uid: {plain}")),
        );
    }
    // Latin-1 for "pässword".
    text.push_str(
        &person("people", "latin", "x").replace("userPassword: x", "userPassword:: cORzc3dvcmQ="),
    );
    text.push_str(&person("hidden", "twin", PASSWORD));
    text.push_str(&person("example.test", "carol", PASSWORD));
    for (user, scheme) in SCHEMES {
        text.push_str(&person("people", user, &hashed(scheme)));
    }
    text.push_str(
        "dn: cn=mail,ou=groups,dc=example,dc=org\nobjectClass: groupOfUniqueNames\ncn: mail\n\
         uniqueMember: uid=alice,ou=people,dc=example,dc=org\n\n",
    );
    text
}
