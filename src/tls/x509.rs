//! What a certificate says of itself: names, period, key. Enough of RFC 5280
//! for choosing one by name, for warning before one ends, and for what
//! sendmail's rules call the client's certificate.
//!
//! ```text
//! Certificate ::= SEQUENCE { tbsCertificate SEQUENCE {
//!     [0] version (optional), serialNumber INTEGER, signature SEQUENCE,
//!     issuer Name, validity SEQUENCE { notBefore Time, notAfter Time },
//!     subject Name, subjectPublicKeyInfo SEQUENCE, [1], [2] (optional),
//!     [3] extensions (optional) }, ... }
//! ```
//!
//! Decides nothing: whether a certificate is to be trusted is said by webpki
//! alone. A client's certificate is a stranger's bytes and may be anything.

use jiff::Timestamp;

use super::der::{BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, field};

/// A certificate, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Certificate<'a> {
    /// The issuer's name: the content of its SEQUENCE.
    pub(super) issuer: &'a [u8],
    /// The subject's name: the content of its SEQUENCE.
    pub(super) subject: &'a [u8],
    /// First moment at which it is valid.
    pub(super) not_before: Timestamp,
    /// Last moment at which it is valid.
    pub(super) not_after: Timestamp,
    /// SubjectPublicKeyInfo as it stands in the certificate.
    pub(super) key: &'a [u8],
    /// DNS names and mail addresses of subjectAltName, in their order.
    pub(super) names: Names,
}

/// Those of subjectAltName that are of use to a mail server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) mail: Vec<String>,
}

/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Names beyond these are left out: nobody has so many, and they are kept for a whole session.
const MAX_NAMES: usize = 128;

impl<'a> Certificate<'a> {
    /// Takes a certificate apart; `None` if it is not as RFC 5280 says.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut body = Reader::new(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        body.optional(field(0));
        body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?.content;
        let mut period = body.enter(SEQUENCE)?;
        let (not_before, not_after) = (period.time()?, period.time()?);
        let subject = body.take(SEQUENCE)?.content;
        let key = body.take(SEQUENCE)?.whole;
        // Unique identifiers of X.509 version 2 may stand before the extensions.
        let mut names = Names::default();
        while !body.is_at_end() {
            let element = body.element()?;
            if element.tag == field(3) {
                names = alternative_names(Reader::new(element.content).enter(SEQUENCE)?)?;
            }
        }
        Some(Self { issuer, subject, not_before, not_after, key, names })
    }

    /// Bits of an RSA key; `None` for other keys.
    pub(super) fn rsa_bits(&self) -> Option<usize> {
        let mut info = Reader::new(self.key).enter(SEQUENCE)?;
        if info.enter(SEQUENCE)?.take(OID)?.content != RSA {
            return None;
        }
        // The first byte counts the bits that are unused: none.
        let bits = info.take(BIT_STRING)?.content.get(1..)?;
        let modulus = Reader::new(bits).enter(SEQUENCE)?.take(INTEGER)?.content;
        let start = modulus.iter().position(|byte| *byte != 0)?;
        let digits = &modulus[start..];
        Some(digits.len() * 8 - digits[0].leading_zeros() as usize)
    }
}

/// A revocation list's head (RFC 5280 §5.1); what it revokes is webpki's affair.
#[derive(Debug, Clone, Copy)]
pub(super) struct RevocationList<'a> {
    /// The issuer's name: the content of its SEQUENCE.
    pub(super) issuer: &'a [u8],
    pub(super) this_update: Timestamp,
    /// When the next one is due; `None` if it does not say.
    pub(super) next_update: Option<Timestamp>,
}

impl<'a> RevocationList<'a> {
    /// Reads the head; `None` if it is not as RFC 5280 says.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut body = Reader::new(der).enter(SEQUENCE)?.enter(SEQUENCE)?;
        body.optional(INTEGER);
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?.content;
        let this_update = body.time()?;
        // Behind it stand the revoked certificates, or nothing: then it is no time.
        Some(Self { issuer, this_update, next_update: body.time() })
    }
}

fn alternative_names(mut extensions: Reader<'_>) -> Option<Names> {
    const MAIL: u8 = 0x81;
    const DNS: u8 = 0x82;
    let mut found = Names::default();
    while !extensions.is_at_end() {
        let mut extension = extensions.enter(SEQUENCE)?;
        let id = extension.take(OID)?.content;
        extension.optional(BOOLEAN);
        let value = extension.take(OCTET_STRING)?.content;
        if id != SUBJECT_ALT_NAME {
            continue;
        }
        let mut names = Reader::new(value).enter(SEQUENCE)?;
        while !names.is_at_end() {
            let name = names.element()?;
            let list = match name.tag {
                DNS => &mut found.dns,
                MAIL => &mut found.mail,
                _ => continue,
            };
            // IA5String: whatever is no printable ASCII is a trick.
            let is_plain = name.content.iter().all(u8::is_ascii_graphic);
            if let Some(text) = std::str::from_utf8(name.content).ok().filter(|_| is_plain)
                && list.len() < MAX_NAMES
            {
                list.push(text.to_owned());
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn good() -> Vec<u8> {
        let names = vec!["mail.example.org".to_owned(), "*.example.org".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        let mail = Ia5String::try_from("alice@example.org").unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(mail));
        params.subject_alt_names.push(SanType::IpAddress("192.0.2.1".parse().unwrap()));
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        params.not_after = rcgen::date_time_ymd(2050, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn takes_a_certificate_apart() {
        let der = good();
        let read = Certificate::read(&der).unwrap();
        assert_eq!(read.not_before.to_string(), "2026-01-02T00:00:00Z");
        assert_eq!(read.not_after.to_string(), "2050-03-04T00:00:00Z");
        assert_eq!(read.names.dns, ["mail.example.org", "*.example.org"]);
        assert_eq!(read.names.mail, ["alice@example.org"]);
        assert_eq!(read.issuer, read.subject);
        assert_eq!(read.rsa_bits(), None);
    }

    #[test]
    fn counts_the_bits_of_an_rsa_key() {
        use super::super::der::tlv;
        let key = |modulus: &[u8]| {
            let numbers = [tlv(INTEGER, modulus), tlv(INTEGER, &[1, 0, 1])].concat();
            let bits = [vec![0], tlv(SEQUENCE, &numbers)].concat();
            tlv(SEQUENCE, &[tlv(SEQUENCE, &tlv(OID, RSA)), tlv(BIT_STRING, &bits)].concat())
        };
        let der = good();
        for (modulus, bits) in [
            ([&[0, 0x80][..], &[1; 255]].concat(), Some(2048)),
            ([&[0, 0x80][..], &[1; 127]].concat(), Some(1024)),
            ([&[0x40][..], &[1; 127]].concat(), Some(1023)),
            (vec![0], None),
        ] {
            let key = key(&modulus);
            let certificate = Certificate { key: &key, ..Certificate::read(&der).unwrap() };
            assert_eq!(certificate.rsa_bits(), bits);
        }
    }

    #[test]
    fn gives_none_for_every_truncation_and_survives_every_mutation() {
        let good = good();
        for end in 0..good.len() {
            assert!(Certificate::read(&good[..end]).is_none(), "cut at {end}");
        }
        for place in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[place] = byte;
                if let Some(read) = Certificate::read(&bad) {
                    read.rsa_bits();
                    let names = read.names.dns.iter().chain(&read.names.mail);
                    assert!(names.flat_map(|name| name.bytes()).all(|b| b.is_ascii_graphic()));
                }
            }
        }
    }
}
