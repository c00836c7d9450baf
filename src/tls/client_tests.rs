//! Certificates of clients, against authorities and revocation lists made here; pinned keys.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SerialNumber,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// An authority of clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What is odd about a client's certificate.
#[derive(Clone, Copy, PartialEq)]
enum Oddity {
    None,
    Expired,
    ForServers,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, serial: u64, oddity: Oddity) -> (String, String) {
        let mut params = CertificateParams::new(vec!["laptop.test".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name.push(DnType::CommonName, "Alice (laptop)");
        params.extended_key_usages = vec![match oddity {
            Oddity::ForServers => ExtendedKeyUsagePurpose::ServerAuth,
            _ => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        if oddity == Oddity::Expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn revoke(&self, serials: &[u64], next_update_year: i32) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(next_update_year, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

struct Place(tempfile::TempDir);

impl Place {
    /// A server's pair, `ca.pem`, and clients: `good`, `revoked`, `expired`, `server`, `other`.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        place.write("cert.pem", &made.cert.pem());
        place.write("key.pem", &made.signing_key.serialize_pem());
        let (ca, other) = (Authority::new("Root+one"), Authority::new("Other"));
        place.write("ca.pem", &ca.0.pem());
        place.write("crl.pem", &ca.revoke(&[2], 2100));
        place.write("crl-none.pem", &ca.revoke(&[], 2100));
        place.write("crl-old.pem", &ca.revoke(&[], 2021));
        place.write("crl-other.pem", &other.revoke(&[], 2100));
        for (name, issuer, serial, oddity) in [
            ("good", &ca, 1, Oddity::None),
            ("revoked", &ca, 2, Oddity::None),
            ("expired", &ca, 3, Oddity::Expired),
            ("server", &ca, 4, Oddity::ForServers),
            ("other", &other, 5, Oddity::None),
        ] {
            let (certificate, key) = issuer.issue(serial, oddity);
            place.write(&format!("{name}.pem"), &certificate);
            place.write(&format!("{name}.key"), &key);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn settings(&self, demand: Demand, crl: Option<&str>) -> Settings {
        Settings {
            clients: ClientCertificates {
                demand,
                ca_file: Some(self.path("ca.pem")),
                ca_dir: None,
                crl_file: crl.map(|name| self.path(name)),
            },
            ..Settings::of_pair(self.path("cert.pem"), self.path("key.pem"))
        }
    }

    fn client(&self, name: Option<&str>) -> ClientTls {
        let identity =
            name.map(|name| (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key"))));
        let trust = Trust { ca_file: Some(self.path("cert.pem")), identity, ..Trust::default() };
        ClientTls::trusting(&trust, "localhost").unwrap()
    }
}

/// A handshake and a byte, as the server sees it.
async fn meet(server: &ServerTls, client: &ClientTls) -> Result<Negotiated, HandshakeError> {
    let (near, far) = duplex(64 * 1024);
    let served = async {
        let (mut stream, negotiated) = server.accept(near).await?;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        Ok(negotiated)
    };
    let used = async {
        let mut stream = client.connect(far).await.ok()?;
        // Reading is what takes a ticket in.
        stream.read_u8().await.ok()
    };
    tokio::join!(served, used).0
}

fn problem_of(negotiated: &Negotiated) -> &str {
    let certificate = negotiated.certificate.as_ref().expect("a certificate");
    certificate.problem.as_deref().unwrap_or("none")
}

#[tokio::test]
async fn a_request_records_what_is_shown_and_never_ends_the_handshake() {
    let place = Place::new();
    let server = ServerTls::load(&place.settings(Demand::Request, Some("crl.pem"))).unwrap();
    let seen = meet(&server, &place.client(None)).await.unwrap();
    assert_eq!((seen.verify, seen.certificate), ("NO", None));

    let seen = meet(&server, &place.client(Some("good"))).await.unwrap();
    assert_eq!((seen.verify, problem_of(&seen)), ("OK", "none"));
    let shown = seen.certificate.unwrap();
    assert_eq!(shown.subject, "/CN=Alice+20+28laptop+29");
    assert_eq!(shown.issuer, "/CN=Root+5C+2Bone");
    assert_eq!(shown.common_name.as_deref(), Some("Alice (laptop)"));
    assert_eq!(shown.dns_names, ["laptop.test"]);
    assert_eq!(shown.fingerprint.split(':').count(), 32);

    for (name, wanted) in [
        ("revoked", "certificate revoked"),
        ("expired", "certificate has expired"),
        ("server", "unsuitable certificate purpose"),
        ("other", "unable to get local issuer certificate"),
    ] {
        let seen = meet(&server, &place.client(Some(name))).await.unwrap();
        assert_eq!(seen.verify, "FAIL", "{name}");
        let problem = problem_of(&seen).to_ascii_lowercase();
        assert!(problem.contains(&wanted.to_ascii_lowercase()), "{name}: {problem}");
    }
}

#[tokio::test]
async fn a_requirement_is_met_or_there_is_no_session() {
    let place = Place::new();
    let server = ServerTls::load(&place.settings(Demand::Require, Some("crl.pem"))).unwrap();
    assert_eq!(meet(&server, &place.client(Some("good"))).await.unwrap().verify, "OK");
    for name in ["revoked", "expired", "server", "other"] {
        let error = meet(&server, &place.client(Some(name))).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Certificate(_)), "{name}: {error}");
    }
    let error = meet(&server, &place.client(None)).await.unwrap_err().to_string();
    assert!(error.contains("none was shown"), "{error}");
}

#[tokio::test]
async fn nobody_is_asked_unless_it_is_set() {
    let place = Place::new();
    let server = ServerTls::load(&place.settings(Demand::None, None)).unwrap();
    let seen = meet(&server, &place.client(Some("good"))).await.unwrap();
    assert_eq!((seen.verify, seen.certificate), ("NOT", None));
}

#[tokio::test]
async fn a_revocation_list_counts_for_resumed_sessions_and_after_a_reload() {
    let place = Place::new();
    for demand in [Demand::Request, Demand::Require] {
        let server = ServerTls::load(&place.settings(demand, Some("crl-none.pem"))).unwrap();
        let client = place.client(Some("revoked"));
        assert_eq!(meet(&server, &client).await.unwrap().verify, "OK");
        server.reload(&place.settings(demand, Some("crl.pem"))).unwrap();
        // This client resumes: the handshake does not look at its certificate.
        let seen = meet(&server, &client).await;
        match demand {
            Demand::Require => {
                let error = seen.unwrap_err();
                assert!(matches!(error, HandshakeError::Certificate(_)), "{error}");
            }
            _ => assert_eq!(seen.unwrap().verify, "FAIL"),
        }
    }
}

#[tokio::test]
async fn a_ticket_from_before_is_no_way_around_a_requirement() {
    let place = Place::new();
    let server = ServerTls::load(&place.settings(Demand::None, None)).unwrap();
    let client = place.client(None);
    assert_eq!(meet(&server, &client).await.unwrap().verify, "NOT");
    server.reload(&place.settings(Demand::Require, None)).unwrap();
    let error = meet(&server, &client).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Certificate(_)), "{error}");
}

#[tokio::test]
async fn a_list_that_is_over_or_of_another_issuer_lets_nobody_pass() {
    let place = Place::new();
    for list in ["crl-old.pem", "crl-other.pem"] {
        let server = ServerTls::load(&place.settings(Demand::Request, Some(list))).unwrap();
        let seen = meet(&server, &place.client(Some("good"))).await.unwrap();
        assert_eq!(seen.verify, "FAIL", "{list}");
        let ends: Vec<_> = server.expiries().into_iter().map(|expiry| expiry.subject).collect();
        assert_eq!(ends, [Subject::Certificate, Subject::RevocationList]);
    }
}

#[tokio::test]
async fn authorities_of_a_hashed_directory_count_once() {
    let place = Place::new();
    let directory = place.path("cas");
    fs::create_dir(&directory).unwrap();
    fs::rename(place.path("ca.pem"), directory.join("root.pem")).unwrap();
    symlink("root.pem", directory.join("5ed36f99.0")).unwrap();
    fs::write(directory.join("README"), "no certificate").unwrap();
    symlink("nowhere", directory.join("dangling.0")).unwrap();
    let mut settings = place.settings(Demand::Request, None);
    settings.clients.ca_file = None;
    settings.clients.ca_dir = Some(directory.clone());
    let server = ServerTls::load(&settings).unwrap();
    assert_eq!(meet(&server, &place.client(Some("good"))).await.unwrap().verify, "OK");
    assert_eq!(meet(&server, &place.client(Some("other"))).await.unwrap().verify, "FAIL");
    fs::remove_file(directory.join("root.pem")).unwrap();
    let error = server.refresh().unwrap_err().to_string();
    assert!(error.contains("no authority") && error.contains("cas"), "{error}");
    // What cannot be loaded changes nothing.
    assert_eq!(meet(&server, &place.client(Some("good"))).await.unwrap().verify, "OK");
}

#[test]
fn each_wrong_file_of_clients_is_named() {
    let place = Place::new();
    let says = |change: &dyn Fn(&mut Settings)| {
        let mut settings = place.settings(Demand::Request, Some("crl.pem"));
        change(&mut settings);
        ServerTls::load(&settings).err().expect("a refusal").to_string()
    };
    let text = says(&|settings| settings.clients.ca_file = Some(place.path("none.pem")));
    assert!(text.contains("cannot read the client CA file") && text.contains("none.pem"), "{text}");
    let text = says(&|settings| settings.clients.crl_file = Some(place.path("ca.pem")));
    assert!(text.contains("no revocation list in") && text.contains("ca.pem"), "{text}");
    let junk = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n";
    place.write("junk.pem", junk);
    let text = says(&|settings| settings.clients.crl_file = Some(place.path("junk.pem")));
    assert!(text.contains("junk.pem cannot be used"), "{text}");
    let text = says(&|settings| settings.certificates[0].staple = Some(place.path("ca.pem")));
    assert!(text.contains("cannot use the OCSP response"), "{text}");
    let text = says(&|settings| {
        let nameless = Authority::new("Nameless");
        place.write("nameless.pem", &nameless.0.pem());
        place.write("nameless.key", &nameless.0.key().serialize_pem());
        settings.certificates.push(Pair {
            certificate: place.path("nameless.pem"),
            key: place.path("nameless.key"),
            ..Pair::default()
        });
    });
    assert!(text.contains("carries no DNS name") && text.contains("names"), "{text}");
}

fn pinning(pins: &[Pin]) -> ClientTls {
    let trust = Trust { pins: pins.to_vec(), ..Trust::default() };
    ClientTls::trusting(&trust, "whatever.test").unwrap()
}

/// The fingerprint of a key; the public half is made from it anew.
fn pin_of(key: &Path) -> Pin {
    use base64::Engine;
    let key = KeyPair::from_pem(&fs::read_to_string(key).unwrap()).unwrap();
    let digest = Sha256::digest(key.subject_public_key_info());
    let text = base64::engine::general_purpose::STANDARD.encode(digest);
    Pin::parse(&format!("sha256//{text}")).unwrap()
}

#[tokio::test]
async fn a_pinned_key_stands_for_authority_and_name() {
    let place = Place::new();
    let server = ServerTls::load(&place.settings(Demand::None, None)).unwrap();
    let (ours, theirs) = (pin_of(&place.path("key.pem")), pin_of(&place.path("good.key")));
    for pins in [&[ours][..], &[theirs, ours]] {
        meet(&server, &pinning(pins)).await.unwrap();
    }
    let (near, far) = duplex(64 * 1024);
    let client = pinning(&[theirs]);
    let (_, connected) = tokio::join!(server.accept(near), client.connect(far));
    let error = connected.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, HandshakeError::Certificate(_)), "{text}");
    assert!(text.contains(&ours.to_string()), "{text}");
}
