//! OCSP responses from files, to be handed to clients with the certificate (RFC 6066 §8).
//!
//! ```text
//! OCSPResponse ::= SEQUENCE { status ENUMERATED (0: successful),
//!   [0] SEQUENCE { type OID, OCTET STRING { BasicOCSPResponse } } }
//! BasicOCSPResponse ::= SEQUENCE { SEQUENCE { [0] version (optional),
//!   [1] or [2] responder, producedAt Time, responses SEQUENCE OF SEQUENCE {
//!     certID SEQUENCE, [0], [1] or [2] status, thisUpdate Time, [0] nextUpdate (optional) } } ... }
//! ```
//!
//! RFC 6960 §4.2.1. Fetching one is the work of a timer (`openssl ocsp -respout`);
//! whether its signature is good, clients say.

use std::path::Path;

use jiff::Timestamp;

use super::TlsError;
use super::der::{ENUMERATED, OCTET_STRING, OID, Reader, SEQUENCE, field};
use super::files::read_file;

/// A response that can be handed out.
#[derive(Debug, Clone)]
pub(super) struct Staple {
    pub(super) der: Vec<u8>,
    pub(super) this_update: Timestamp,
    /// From when on clients will not take it; `None` if it does not say.
    pub(super) next_update: Option<Timestamp>,
}

impl Staple {
    /// Reads the file at `path`, DER.
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        let der = read_file(path, "OCSP response")?.to_vec();
        let bad = |detail: String| TlsError::BadStaple { path: path.to_owned(), detail };
        match inspect(&der) {
            Some(Response::Good { this_update, next_update }) => {
                Ok(Self { der, this_update, next_update })
            }
            Some(Response::Refused(status)) => {
                Err(bad(format!("the responder refused the request (status {status})")))
            }
            None => Err(bad("it is no OCSP response in DER".to_owned())),
        }
    }
}

enum Response {
    Good { this_update: Timestamp, next_update: Option<Timestamp> },
    Refused(u8),
}

fn inspect(der: &[u8]) -> Option<Response> {
    let mut response = Reader::new(der).enter(SEQUENCE)?;
    let status = *response.take(ENUMERATED)?.content.first()?;
    if status != 0 {
        return Some(Response::Refused(status));
    }
    let mut bytes = response.enter(field(0))?.enter(SEQUENCE)?;
    bytes.take(OID)?;
    let basic = bytes.take(OCTET_STRING)?.content;
    let mut data = Reader::new(basic).enter(SEQUENCE)?.enter(SEQUENCE)?;
    data.optional(field(0));
    data.element()?;
    data.time()?;
    let mut single = data.enter(SEQUENCE)?.enter(SEQUENCE)?;
    single.take(SEQUENCE)?;
    single.element()?;
    let this_update = single.time()?;
    let next_update = match single.optional(field(0)) {
        Some(next) => Some(Reader::new(next.content).time()?),
        None => None,
    };
    Some(Response::Good { this_update, next_update })
}

#[cfg(test)]
mod tests {
    use super::super::der::tlv;
    use super::*;

    fn response(next: &[u8]) -> Vec<u8> {
        let time = tlv(0x18, b"20260101000000Z");
        let single = [tlv(SEQUENCE, b""), tlv(0x80, b""), time.clone(), next.to_vec()].concat();
        let data = [tlv(field(2), b""), time, tlv(SEQUENCE, &tlv(SEQUENCE, &single))].concat();
        let basic = tlv(SEQUENCE, &tlv(SEQUENCE, &data));
        let bytes = tlv(SEQUENCE, &[tlv(OID, b"\x2b"), tlv(OCTET_STRING, &basic)].concat());
        tlv(SEQUENCE, &[tlv(ENUMERATED, &[0]), tlv(field(0), &bytes)].concat())
    }

    #[test]
    fn finds_the_end_of_a_response() {
        let next = tlv(field(0), &tlv(0x18, b"20260108000000Z"));
        let read = |der: &[u8]| match inspect(der) {
            Some(Response::Good { next_update, .. }) => next_update.map(|at| at.to_string()),
            _ => panic!("not read"),
        };
        assert_eq!(read(&response(&next)).unwrap(), "2026-01-08T00:00:00Z");
        assert_eq!(read(&response(b"")), None);
    }

    #[test]
    fn a_refusal_and_other_bytes_are_none_of_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("staple.der");
        let says = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Staple::read(&path).unwrap_err().to_string()
        };
        let refused = tlv(SEQUENCE, &tlv(ENUMERATED, &[6]));
        assert!(says(&refused).contains("refused the request (status 6)"));
        assert!(says(b"-----BEGIN").contains("no OCSP response in DER"));
        let good = response(b"");
        for end in 0..good.len() {
            assert!(inspect(&good[..end]).is_none(), "cut at {end}");
        }
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0xff;
            inspect(&bad);
        }
    }
}
