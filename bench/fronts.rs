//! The fronts of the gate's benchmark, each in processes of its own, and what they need.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use nix::unistd::Pid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::ceiling::{self, Books, Role};
use crate::smtp::Session;
use crate::support::gate::{Ready, Service};
use crate::support::process::free_port;

/// Something that takes sessions with STARTTLS and AUTH.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) server: SocketAddr,
    /// The processes that work for it.
    pub(crate) pids: Vec<Pid>,
    /// What was sent through it.
    pub(crate) letters: Letters,
    /// Ends when dropped.
    pub(crate) _running: Option<Service>,
}

/// Messages that clients heard to be accepted, by number.
#[derive(Default)]
pub(crate) struct Letters(Mutex<Vec<u64>>);

/// Numbers the messages of the whole run.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Letters {
    /// Sends one of `bytes` bytes over `session`; true if it was accepted.
    pub(crate) fn send(
        &self,
        session: &mut Session,
        bytes: usize,
        send: fn(&mut Session, &[u8]) -> io::Result<()>,
    ) -> bool {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let is_accepted = send(session, &ceiling::message(number, bytes)).is_ok();
        if is_accepted {
            self.0.lock().expect("no panic").push(number);
        }
        is_accepted
    }
}

/// Everything that runs throughout.
pub(crate) struct House {
    dir: TempDir,
    /// What came to the sink.
    pub(crate) books: Arc<Books>,
    /// The socket of authd.
    pub(crate) saslauthd: PathBuf,
    pub(crate) ceiling: Front,
    pub(crate) gate: Front,
    authd: Service,
    _ceiling: Ceiling,
    _sink: tokio::runtime::Runtime,
}

/// The user of the benchmark, as `smtp.rs` logs in.
const USER: &str = "alice@bench.test";
const PASSWORD: &str = "s3cret";

impl House {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        certificate(dir.path());
        let saslauthd = dir.path().join("mux");
        let authd = authd(dir.path(), &saslauthd);
        let books = Books::new();
        let (listener, sink_address) = ceiling::listen();
        let sink = tokio::runtime::Runtime::new().expect("a runtime");
        sink.spawn(ceiling::serve(listener, Role::Sink(Arc::clone(&books))));
        let ceiling = Ceiling::start(dir.path());
        let top = Front {
            server: ceiling.server,
            pids: vec![Pid::from_raw(ceiling.child.id().cast_signed())],
            letters: Letters::default(),
            _running: None,
        };
        let none = Front {
            server: sink_address,
            pids: Vec::new(),
            letters: Letters::default(),
            _running: None,
        };
        let mut house = Self {
            dir,
            books,
            saslauthd,
            ceiling: top,
            gate: none,
            authd,
            _ceiling: ceiling,
            _sink: sink,
        };
        house.gate = house.gate_before(sink_address, "sink");
        house
    }

    /// Ends the run unless each message that the gate accepted came to the sink
    /// once, as it was sent.
    pub(crate) fn check(&self) {
        let accepted = std::mem::take(&mut *self.gate.letters.0.lock().expect("no panic"));
        let wrong = accepted.iter().filter(|number| self.books.arrivals(**number) != 1).count();
        assert_eq!(wrong, 0, "messages that were accepted and are lost or came twice");
        assert_eq!(self.books.altered(), 0, "messages that were altered");
    }

    /// A gate with room for the load before the mail server at `backend`.
    pub(crate) fn gate_before(&self, backend: SocketAddr, name: &str) -> Front {
        let home = self.dir.path();
        let dir = home.join(name);
        fs::create_dir(&dir).expect("the gate's directory");
        let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = format!(
            "[log]\nlevel = \"info\"\n\
             [gate]\nhostname = \"gate.test\"\nauth = \"saslauthd:{}\"\nmax_sessions = 12000\n\
             max_sessions_per_address = 12000\nmax_commands = 1000000\n\
             [[gate.listener]]\naddress = \"{at}\"\nkind = \"submission\"\n\
             [[gate.backend]]\naddress = \"{backend}\"\npool_messages = 1000000\n\
             [tls]\ncertificate = \"{home}/cert.pem\"\nkey = \"{home}/key.pem\"\n",
            self.saslauthd.display(),
            home = home.display(),
        );
        let file = dir.join("saslgate.toml");
        fs::write(&file, config).expect("the gate's configuration");
        let gate = Service::start("gate", &file, &[Ready::Tcp(at)]);
        let pids = [gate.pid(), self.authd.pid()].map(|pid| Pid::from_raw(pid.cast_signed()));
        Front { server: at, pids: pids.to_vec(), letters: Letters::default(), _running: Some(gate) }
    }
}

fn certificate(dir: &Path) {
    let pair =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    fs::write(dir.join("cert.pem"), pair.cert.pem()).expect("cert.pem");
    fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).expect("key.pem");
    fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o600)).expect("its mode");
}

/// Our authd over a store with one user, and a cache.
fn authd(dir: &Path, socket: &Path) -> Service {
    let dir = dir.join("authd");
    fs::create_dir(&dir).expect("authd's directory");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("its mode");
    let config = format!(
        "[authd]\nbackends = [\"store\"]\nsocket = \"{}\"\ndefault_realm = \"bench.test\"\n\
         [store]\npath = \"{}/users.db\"\n[cache]\nenabled = true\n",
        socket.display(),
        dir.display(),
    );
    let file = dir.join("saslgate.toml");
    fs::write(&file, config).expect("authd's configuration");
    let mut add = Command::new(env!("CARGO_BIN_EXE_saslgate"))
        .arg("--config")
        .arg(&file)
        .args(["user", "add", "--stdin", USER])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("saslgate user add");
    let mut input = add.stdin.take().expect("its input");
    input.write_all(PASSWORD.as_bytes()).expect("writing the password");
    drop(input);
    assert!(add.wait().expect("its end").success(), "cannot make the user");
    Service::start("authd", &file, &[Ready::Socket(socket.to_owned())])
}

/// The ceiling in a process of its own: this program under another argument.
pub(crate) struct Ceiling {
    child: Child,
    server: SocketAddr,
}

impl Ceiling {
    /// First argument with which this program is the ceiling; the directory with
    /// its certificate follows in the environment.
    pub(crate) const ARGUMENT: &str = "--ceiling-server";
    const DIRECTORY: &str = "SASLGATE_BENCH_DIR";

    fn start(dir: &Path) -> Self {
        let this = std::env::current_exe().expect("our own path");
        let mut child = Command::new(this)
            .arg(Self::ARGUMENT)
            .env(Self::DIRECTORY, dir)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the ceiling");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its address");
        let server = line.trim().parse().expect("an address");
        crate::wait_until("the ceiling does not listen", || TcpStream::connect(server).is_ok());
        Self { child, server }
    }

    /// Serves until it is ended.
    pub(crate) fn serve() {
        let dir = PathBuf::from(std::env::var_os(Self::DIRECTORY).expect("a directory"));
        let chain = CertificateDer::from_pem_file(dir.join("cert.pem")).expect("cert.pem");
        let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).expect("key.pem");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("a pair");
        let role = Role::Ceiling(tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        let (listener, address) = ceiling::listen();
        println!("{address}");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(ceiling::serve(listener, role)).expect("serving");
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
