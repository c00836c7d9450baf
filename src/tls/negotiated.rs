//! What a handshake agreed on, in the words sendmail logs.
//!
//! For the log line and the `Received:` line. Names are OpenSSL's, which is
//! what analyzers of sendmail's log know; rustls has IANA's.

use std::sync::Arc;

use rustls::{CipherSuite, CommonState, ProtocolVersion};

use super::clients::Judgement;
use super::{ClientCertificate, ClientStream, ServerStream};

/// The facts of an encrypted connection, for the log and the `Received:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// OpenSSL's name of the cipher suite, as sendmail logs it:
    /// `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES128-GCM-SHA256`.
    pub cipher: String,
    /// Strength of the cipher in bits: 128 or 256.
    pub bits: u16,
    /// sendmail's `{verify}`. Of a client's certificate: `NOT` asked for, `NO` where
    /// none was shown, `OK`, or `FAIL`. Of a server's: `OK`.
    pub verify: &'static str,
    /// The certificate that the client has shown, verified or not.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The name the client asked for (SNI); never set towards the backend.
    pub server_name: Option<String>,
}

/// What was agreed with a client, whose certificate came to `judgement`.
pub(super) fn negotiated_server<IO>(
    stream: &ServerStream<IO>,
    judgement: Option<Judgement>,
) -> Negotiated {
    let (_, connection) = stream.get_ref();
    let server_name = connection.server_name().map(str::to_owned);
    let (verify, certificate) =
        judgement.map_or(("NOT", None), |judged| (judged.verify, judged.certificate));
    let certificate = certificate.map(Arc::new);
    Negotiated { server_name, certificate, ..describe(connection, verify) }
}

/// What was agreed with the backend.
#[must_use]
pub fn negotiated_client<IO>(stream: &ClientStream<IO>) -> Negotiated {
    let (_, connection) = stream.get_ref();
    describe(connection, "OK")
}

fn describe(state: &CommonState, verify: &'static str) -> Negotiated {
    let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
    let (cipher, bits) = suite.map_or_else(|| ("unknown".to_owned(), 0), cipher);
    Negotiated {
        version: version(state.protocol_version()),
        cipher,
        bits,
        verify,
        certificate: None,
        server_name: None,
    }
}

fn version(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    }
}

/// OpenSSL's name and strength of every suite the library offers; a suite that
/// a later version of it adds shows under rustls's name, its strength as unknown.
fn cipher(suite: CipherSuite) -> (String, u16) {
    let (name, bits) = match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => {
            ("ECDHE-ECDSA-AES256-GCM-SHA384", 256)
        }
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => {
            ("ECDHE-ECDSA-AES128-GCM-SHA256", 128)
        }
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("ECDHE-ECDSA-CHACHA20-POLY1305", 256)
        }
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-RSA-AES256-GCM-SHA384", 256),
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-RSA-AES128-GCM-SHA256", 128),
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("ECDHE-RSA-CHACHA20-POLY1305", 256)
        }
        other => return (format!("{other:?}"), 0),
    };
    (name.to_owned(), bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_of_the_provider_has_its_openssl_name() {
        for suite in rustls::crypto::aws_lc_rs::default_provider().cipher_suites {
            let (name, bits) = cipher(suite.suite());
            assert!(bits == 128 || bits == 256, "{name} has no strength");
            assert!(!name.contains("_WITH_"), "{name} is not OpenSSL's name");
        }
    }
}
