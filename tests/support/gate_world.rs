//! The gate with its neighbours: the program, a certificate, a saslauthd and a
//! backend, all in a private directory and on loopback.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fake_authd::FakeAuthd;
use super::gate::{SASLGATE, Service};
use super::process::{PATIENCE, wait_until};
use super::smtp_client::SmtpClient;

/// What is to be set, beyond what every world has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Lines of `[gate]`; they come after, and must not repeat, those of the world.
    pub(crate) gate: String,
    /// Lines of `[[gate.backend]]` beside its address.
    pub(crate) backend: String,
    /// Lines of `[tls]` beside `certificate` and `key`; with a `[[tls.certificate]]` among
    /// them they are all there is.
    pub(crate) tls: String,
    /// Further sections, such as `[[gate.listener]]`.
    pub(crate) sections: String,
    /// The saslauthd socket, where the fake one is not wanted.
    pub(crate) auth: Option<PathBuf>,
}

impl Options {
    /// With these lines in `[gate]`.
    pub(crate) fn gate(lines: &str) -> Self {
        Self { gate: lines.to_owned(), ..Self::default() }
    }
}

/// A running gate. Ends when dropped.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) authd: FakeAuthd,
    /// The listener that starts in clear.
    pub(crate) starttls: SocketAddr,
    /// The listener that starts with TLS.
    pub(crate) implicit: SocketAddr,
    /// Those of [`Options::sections`].
    pub(crate) more: Vec<SocketAddr>,
    dir: tempfile::TempDir,
}

impl World {
    /// Starts a gate in front of `backend`, and waits until it knows the
    /// backend to be there, or not to be.
    pub(crate) fn start(backend: SocketAddr, options: &Options) -> Self {
        let mut world = Self::launch(backend, options);
        world.service.wait_for_log("backend: address=");
        world
    }

    /// As [`World::start`], without waiting for the first probe.
    pub(crate) fn launch(backend: SocketAddr, options: &Options) -> Self {
        let (dir, authd) = lay_out(backend, options);
        let mut command = Command::new(SASLGATE);
        command.arg("gate").arg("--config").arg(dir.path().join("saslgate.toml"));
        let mut service = Service::spawn(&mut command, dir.path().join("gate.log"));
        service.wait_for_log("listening on ");
        let mut listeners = listeners(&service.log());
        let more = listeners.split_off(2);
        Self { service, authd, starttls: listeners[0], implicit: listeners[1], more, dir }
    }

    /// A file of the world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The certificate, which is its own authority.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Makes a new key and certificate in place of the old ones.
    pub(crate) fn renew_certificate(&self) {
        write_certificate(self.dir.path());
    }

    /// A client on the implicit-TLS listener, before the greeting.
    pub(crate) fn connect(&self) -> SmtpClient {
        SmtpClient::connect_implicit(self.implicit, &self.ca())
    }

    /// A client that is logged in.
    pub(crate) fn log_in(&self) -> SmtpClient {
        let mut client = self.connect();
        client.log_in();
        client
    }

    /// The lines of the log that tell of a message.
    pub(crate) fn message_lines(&self) -> Vec<String> {
        let log = self.service.log();
        log.lines().filter(|line| line.contains(" message: ")).map(str::to_owned).collect()
    }

    /// Waits until the log tells of `count` messages, and gives those lines.
    pub(crate) fn wait_for_messages(&self, count: usize) -> Vec<String> {
        let has_come = wait_until(PATIENCE, || self.message_lines().len() >= count);
        let lines = self.message_lines();
        assert!(has_come && lines.len() == count, "not {count} messages:\n{}", self.service.log());
        lines
    }

    /// Waits until the log tells of `count` ended sessions.
    pub(crate) fn wait_for_sessions(&self, count: usize) {
        let has_come = wait_until(PATIENCE, || {
            self.service.log().matches(" disconnect: relay=").count() >= count
        });
        assert!(has_come, "not {count} sessions:\n{}", self.service.log());
    }
}

/// The directory of a world: `saslgate.toml`, a certificate, and a saslauthd that runs.
pub(crate) fn lay_out(backend: SocketAddr, options: &Options) -> (tempfile::TempDir, FakeAuthd) {
    let dir = tempfile::Builder::new().prefix("gate-").tempdir().unwrap();
    let authd = FakeAuthd::start(&dir.path().join("mux"));
    write_certificate(dir.path());
    fs::write(dir.path().join("saslgate.toml"), config(dir.path(), backend, options)).unwrap();
    (dir, authd)
}

/// Makes a key and a certificate for `localhost`, `gate.test` and 127.0.0.1 in `dir`.
fn write_certificate(dir: &Path) {
    let names = ["localhost", "gate.test", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    let key = dir.join("key.pem");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

fn config(dir: &Path, backend: SocketAddr, options: &Options) -> String {
    let Options { gate, backend: backend_lines, tls, sections, auth } = options;
    let dir = dir.display();
    let pair = match tls.contains("[[tls.certificate]]") {
        true => String::new(),
        false => format!("certificate = \"{dir}/cert.pem\"\nkey = \"{dir}/key.pem\"\n"),
    };
    let auth =
        auth.as_ref().map_or_else(|| format!("{dir}/mux"), |path| path.display().to_string());
    // Probes at intervals would come between; tests that want them set their own.
    let interval =
        if backend_lines.contains("probe_interval") { "" } else { "probe_interval = \"1h\"" };
    // So would connections that outlive their session.
    let pool = if backend_lines.contains("pool_idle") { "" } else { "pool_idle = 0" };
    format!(
        "[log]\nlevel = \"debug\"\n\
         [tls]\n{pair}{tls}\n\
         [gate]\nhostname = \"gate.test\"\nauth = \"saslauthd:{auth}\"\n{gate}\n\
         [[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"submission\"\n\
         [[gate.listener]]\naddress = \"127.0.0.1:0\"\nkind = \"submissions\"\n\
         [[gate.backend]]\naddress = \"{backend}\"\n{interval}\n{pool}\n{backend_lines}\n{sections}\n"
    )
}

/// The addresses with the ports that the kernel chose, as the log names them.
fn listeners(log: &str) -> Vec<SocketAddr> {
    let (_, rest) = log.split_once("listening on ").unwrap();
    rest.lines().next().unwrap().split(", ").map(|text| text.parse().unwrap()).collect()
}
