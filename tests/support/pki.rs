//! Certificates for tests: an authority, what it issues and revokes, as files of a directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};

use super::process::run;

/// An authority with its directory: `NAME.pem` and `NAME.key` for all it issues.
pub(crate) struct Authority {
    dir: PathBuf,
    name: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, with files `NAME.pem` and `NAME.key` in `dir`.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { dir: dir.to_owned(), name: name.to_owned(), issuer };
        authority.write(&format!("{name}.pem"), &authority.issuer.pem());
        authority.write(&format!("{name}.key"), &authority.issuer.key().serialize_pem());
        authority
    }

    /// The certificate of the authority.
    pub(crate) fn file(&self) -> PathBuf {
        self.path(&format!("{}.pem", self.name))
    }

    /// A file of the directory.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Issues `FILE.pem` and `FILE.key` for DNS names, or for a client without any;
    /// `adjust` may change what it says.
    pub(crate) fn issue(
        &self,
        file: &str,
        serial: u64,
        names: &[&str],
        adjust: impl FnOnce(&mut CertificateParams),
    ) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name.push(DnType::CommonName, file);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{file}.pem"), &params.signed_by(&key, &self.issuer).unwrap().pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    /// Writes a revocation list of these serial numbers to `file`.
    pub(crate) fn revoke(&self, file: &str, serials: &[u64]) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 1, 1),
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write(file, &params.signed_by(&self.issuer).unwrap().pem().unwrap());
    }

    /// Writes an OCSP response for `certificate`, which says that it is good, to
    /// `FILE.der`. Made by openssl.
    pub(crate) fn respond(&self, file: &str, certificate: &str, serial: u64) {
        let index = format!("V\t991231235959Z\t\t{serial:02X}\tunknown\t/CN={certificate}\n");
        self.write("index.txt", &index);
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&self.dir).args(["ocsp", "-index", "index.txt", "-ndays", "7"]);
        for (option, ending) in
            [("-rsigner", "pem"), ("-CA", "pem"), ("-issuer", "pem"), ("-rkey", "key")]
        {
            openssl.arg(option).arg(format!("{}.{ending}", self.name));
        }
        openssl.arg("-cert").arg(format!("{certificate}.pem"));
        openssl.arg("-respout").arg(format!("{file}.der"));
        run(&mut openssl, b"").expect_success();
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        // Whole at once, as tools that renew certificates do it.
        let beside = self.path(&format!("{file}.new"));
        fs::write(&beside, text).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(beside, path).unwrap();
    }
}
