//! Handshakes over an in-memory pipe, and every way a certificate file can be wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    /// A directory with a good pair for `localhost`.
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        files.write_pair(&KeyPair::generate().unwrap());
        files
    }

    fn write_pair(&self, key: &KeyPair) {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        self.write("cert.pem", &params.self_signed(key).unwrap().pem());
        self.write("key.pem", &key.serialize_pem());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o600);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn settings(&self) -> Settings {
        Settings::of_pair(self.path("cert.pem"), self.path("key.pem"))
    }

    fn load_error(&self) -> String {
        ServerTls::load(&self.settings()).err().expect("a refusal").to_string()
    }
}

/// A client that trusts `ca` and speaks as `adjust` says.
async fn connect_raw(
    ca: &Path,
    adjust: impl FnOnce(&mut ClientConfig),
    versions: &[&'static rustls::SupportedProtocolVersion],
    io: DuplexStream,
) -> std::io::Result<ClientStream<DuplexStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    adjust(&mut config);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("localhost").unwrap(), io).await
}

const BOTH: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];
const ONLY_12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

#[tokio::test]
async fn a_verified_client_and_the_server_agree_and_talk() {
    let files = Files::new();
    let server = ServerTls::load(&files.settings()).unwrap();
    let client = ClientTls::load(Some(&files.path("cert.pem")), "localhost").unwrap();
    let (near, far) = duplex(64 * 1024);
    let (server, client) = tokio::join!(server.accept(near), client.connect(far));
    let ((mut server, seen), mut client) = (server.unwrap(), client.unwrap());

    assert_eq!((seen.version, seen.verify, seen.bits), ("TLSv1.3", "NOT", 256));
    assert_eq!(seen.cipher, "TLS_AES_256_GCM_SHA384");
    assert_eq!(seen.server_name.as_deref(), Some("localhost"));
    let seen = negotiated_client(&client);
    assert_eq!((seen.version, seen.verify, seen.server_name), ("TLSv1.3", "OK", None));

    client.write_all(b"EHLO x\r\n").await.unwrap();
    client.flush().await.unwrap();
    let mut got = [0; 8];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"EHLO x\r\n");
}

#[tokio::test]
async fn the_oldest_version_is_a_setting() {
    let files = Files::new();
    let server = ServerTls::load(&files.settings()).unwrap();
    let (near, far) = duplex(64 * 1024);
    let ca = files.path("cert.pem");
    let (accepted, connected) =
        tokio::join!(server.accept(near), connect_raw(&ca, |_| (), ONLY_12, far));
    connected.unwrap();
    let (_, seen) = accepted.unwrap();
    assert_eq!((seen.version, seen.bits), ("TLSv1.2", 256));
    assert_eq!(seen.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");

    let settings = Settings { minimum_version: MinimumVersion::Tls13, ..files.settings() };
    server.reload(&settings).unwrap();
    let (near, far) = duplex(64 * 1024);
    let (accepted, connected) =
        tokio::join!(server.accept(near), connect_raw(&ca, |_| (), ONLY_12, far));
    assert!(connected.is_err());
    let error = accepted.err().unwrap();
    assert!(matches!(error, HandshakeError::Incompatible(_)), "{error}");
}

#[tokio::test]
async fn alpn_for_another_protocol_is_refused_and_smtp_passes() {
    let files = Files::new();
    let server = ServerTls::load(&files.settings()).unwrap();
    let ca = files.path("cert.pem");
    let offer = |name: &'static [u8]| {
        move |config: &mut ClientConfig| config.alpn_protocols = vec![name.to_vec()]
    };

    let (near, far) = duplex(64 * 1024);
    let (accepted, connected) =
        tokio::join!(server.accept(near), connect_raw(&ca, offer(b"http/1.1"), BOTH, far));
    assert!(matches!(accepted.err(), Some(HandshakeError::WrongProtocol)));
    assert!(connected.is_err());

    let (near, far) = duplex(64 * 1024);
    let (accepted, connected) =
        tokio::join!(server.accept(near), connect_raw(&ca, offer(b"smtp"), BOTH, far));
    assert!(accepted.is_ok() && connected.is_ok());
}

#[tokio::test]
async fn a_session_is_resumed_with_a_ticket_also_across_a_reload() {
    let files = Files::new();
    let server = ServerTls::load(&files.settings()).unwrap();
    let client = ClientTls::load(Some(&files.path("cert.pem")), "localhost").unwrap();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let (near, far) = duplex(64 * 1024);
        let (accepted, connected) = tokio::join!(server.accept(near), client.connect(far));
        let ((mut accepted, _), mut connected) = (accepted.unwrap(), connected.unwrap());
        accepted.write_all(b"x").await.unwrap();
        accepted.flush().await.unwrap();
        // Reading is what takes the ticket in.
        connected.read_u8().await.unwrap();
        kinds.push(accepted.get_ref().1.handshake_kind().unwrap());
        server.reload(&files.settings()).unwrap();
    }
    assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{kinds:?}");
}

#[tokio::test]
async fn handshake_errors_say_who_is_at_fault() {
    let files = Files::new();
    let server = ServerTls::load(&files.settings()).unwrap();
    let after = async |bytes: &'static [u8]| {
        let (near, mut far) = duplex(64 * 1024);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        server.accept(near).await.err().unwrap().to_string()
    };
    for text in [&b"EHLO client.test\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n\r\n\r\n"] {
        let reason = after(text).await;
        assert!(reason.starts_with("plaintext instead of TLS"), "{reason}");
    }
    assert!(after(b"").await.contains("closed the connection"));
    assert!(after(b"\x16\x03\x01").await.contains("closed the connection"));
    let reason = after(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await;
    assert!(reason.contains("broke the TLS protocol"), "{reason}");
}

#[tokio::test]
async fn the_backend_is_verified_by_authority_and_by_name() {
    let (files, other) = (Files::new(), Files::new());
    let server = ServerTls::load(&files.settings()).unwrap();
    let ours = files.path("cert.pem");
    let theirs = other.path("cert.pem");
    for (ca, name) in [(&theirs, "localhost"), (&ours, "mx.gate.test"), (&ours, "127.0.0.1")] {
        let client = ClientTls::load(Some(ca), name).unwrap();
        let (near, far) = duplex(64 * 1024);
        let (accepted, connected) = tokio::join!(server.accept(near), client.connect(far));
        let error = connected.err().unwrap();
        assert!(matches!(error, HandshakeError::Certificate(_)), "{error}");
        let error = accepted.err().unwrap();
        assert!(matches!(error, HandshakeError::Alert(_) | HandshakeError::Closed), "{error}");
    }
}

#[tokio::test]
async fn a_bad_pair_keeps_the_old_one_and_a_good_one_replaces_it() {
    let files = Files::new();
    let server = ServerTls::load(&files.settings()).unwrap();
    let old = ClientTls::load(Some(&files.path("cert.pem")), "localhost").unwrap();
    let stranger = ClientTls::load(Some(&files.path("cert.pem")), "localhost").unwrap();
    let passes = async |client: &ClientTls| {
        let (near, far) = duplex(64 * 1024);
        let (accepted, connected) = tokio::join!(server.accept(near), client.connect(far));
        accepted.is_ok() && connected.is_ok()
    };
    files.write("cert.pem", "half a file");
    assert!(server.reload(&files.settings()).is_err());
    assert!(passes(&old).await);

    files.write_pair(&KeyPair::generate().unwrap());
    server.reload(&files.settings()).unwrap();
    let new = ClientTls::load(Some(&files.path("cert.pem")), "localhost").unwrap();
    assert!(passes(&new).await);
    // Not the client from above: its ticket resumes without looking at a certificate.
    assert!(!passes(&stranger).await);
}

#[test]
fn a_key_that_others_can_reach_is_refused_with_the_command_that_helps() {
    let files = Files::new();
    for mode in [0o644, 0o620, 0o604, 0o660, 0o601, 0o666] {
        files.chmod("key.pem", mode);
        let text = files.load_error();
        let wanted =
            format!("has mode {mode:04o}: others could read or replace it; run: chmod 600");
        assert!(text.contains(&wanted), "{text}");
        assert!(text.contains("key.pem"), "{text}");
    }
    for mode in [0o600, 0o400, 0o640, 0o440] {
        files.chmod("key.pem", mode);
        assert!(ServerTls::load(&files.settings()).is_ok(), "{mode:o}");
    }
}

#[test]
fn each_wrong_file_is_named_with_what_to_do() {
    let says = |change: &dyn Fn(&Files), wanted: &[&str]| {
        let files = Files::new();
        change(&files);
        let text = files.load_error();
        assert!(!text.contains('\n'), "one line: {text}");
        for part in wanted {
            assert!(text.contains(part), "no {part:?} in: {text}");
        }
    };
    let remove = |name| move |files: &Files| fs::remove_file(files.path(name)).unwrap();
    let write = |name, text| move |files: &Files| files.write(name, text);
    says(&remove("cert.pem"), &["cannot read the certificate", "cert.pem", "No such file"]);
    says(&remove("key.pem"), &["cannot read the private key", "key.pem", "No such file"]);
    says(&write("cert.pem", "hello\n"), &["no certificate in the certificate", "cert.pem"]);
    says(&write("key.pem", "hello\n"), &["no private key in", "key.pem"]);
    let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    says(&write("cert.pem", cut), &["not valid PEM", "cert.pem"]);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    says(&write("key.pem", encrypted), &["is encrypted", "openssl pkey -in"]);
    let old_style = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    says(&write("key.pem", old_style), &["is encrypted"]);
    let other = KeyPair::generate().unwrap().serialize_pem();
    says(&|files| files.write("key.pem", &other), &["does not belong to the first certificate"]);
    let junk = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    says(&write("cert.pem", junk), &["cannot use the certificate", "cert.pem"]);
    let directory = |files: &Files| {
        fs::remove_file(files.path("cert.pem")).unwrap();
        fs::create_dir(files.path("cert.pem")).unwrap();
    };
    says(&directory, &["not a regular file", "cert.pem"]);
}

#[test]
fn an_expired_certificate_is_told_of_and_is_no_error() {
    let files = Files::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    files.write("cert.pem", &params.self_signed(&key).unwrap().pem());
    files.write("key.pem", &key.serialize_pem());
    let server = ServerTls::load(&files.settings()).unwrap();
    let at_day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
    let expiries = server.expiries();
    assert_eq!((expiries.len(), &expiries[0].file), (1, &files.path("cert.pem")));
    assert_eq!(expiries[0].names, ["localhost"]);
    assert_eq!(expiries[0].stage(at_day(20_000)), Stage::Over);
    let sentence = expiries[0].sentence(at_day(20_000));
    assert!(sentence.contains("cert.pem has expired on 2020-01-01"), "{sentence}");
    assert_eq!(expiries[0].stage(at_day(18_000)), Stage::Far);
}

#[test]
fn a_backend_name_is_a_dns_name_or_an_address() {
    let files = Files::new();
    let ca = files.path("cert.pem");
    for good in ["mx.gate.test", "127.0.0.1", "::1"] {
        assert!(ClientTls::load(Some(&ca), good).is_ok(), "{good}");
    }
    for bad in ["", "mx gate", "mx.gate.test:25"] {
        let error = ClientTls::load(Some(&ca), bad).err().unwrap();
        assert!(matches!(error, TlsError::BadServerName(_)), "{error}");
    }
    let error = ClientTls::load(Some(&files.path("key.pem")), "x.test").err().unwrap();
    assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
}
