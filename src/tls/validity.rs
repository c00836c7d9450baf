//! From when to when a certificate is valid: enough of X.509 to warn of an expired one.
//!
//! ```text
//! Certificate ::= SEQUENCE { tbsCertificate SEQUENCE {
//!     [0] version (optional), serialNumber INTEGER, signature SEQUENCE,
//!     issuer SEQUENCE, validity SEQUENCE { notBefore Time, notAfter Time }, ...
//! Time ::= UTCTime "YYMMDDHHMMSSZ" | GeneralizedTime "YYYYMMDDHHMMSSZ"
//! ```
//!
//! RFC 5280 §4.1. The certificate is the administrator's own file, already
//! parsed by rustls; this reader gives `None` for whatever it does not know,
//! and then there is no warning.

use std::time::SystemTime;

use jiff::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The period in which a certificate is valid; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: Timestamp,
    /// Last moment.
    pub not_after: Timestamp,
}

impl Validity {
    /// Reads the period of a certificate in DER; `None` if it is not as RFC 5280 says.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = element(rest, VERSION)?.1;
        }
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            rest = element(rest, tag)?.1;
        }
        let (period, _) = element(rest, SEQUENCE)?;
        let (not_before, rest) = time(period)?;
        let (not_after, _) = time(rest)?;
        Some(Self { not_before, not_after })
    }

    /// A sentence if `now` is outside of the period.
    #[must_use]
    pub fn problem(&self, now: SystemTime) -> Option<String> {
        let now = Timestamp::try_from(now).ok()?;
        if now > self.not_after {
            return Some(format!(
                "the certificate expired on {}: clients will refuse it; renew it and reload",
                self.not_after
            ));
        }
        (now < self.not_before).then(|| {
            format!("the certificate is not valid before {}: is the clock right?", self.not_before)
        })
    }
}

/// Splits `der` into the content of its first element, which must have `tag`, and the rest.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if found != tag {
        return None;
    }
    if first < 0x80 {
        return rest.split_at_checked(usize::from(first));
    }
    // Long form: 1 to 3 bytes of length are all that fit in a 1 MiB file.
    let count = usize::from(first & 0x7f);
    if !(1..=3).contains(&count) {
        return None;
    }
    let (length, rest) = rest.split_at_checked(count)?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let tag = *der.first()?;
    let (text, rest) = element(der, tag)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // RFC 5280 §4.1.2.5.1: 50 to 99 are the years 1950 to 1999.
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = text.strip_suffix('Z')?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some((zoned.timestamp(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![tag, 0x82];
        out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        out.extend(content);
        out
    }

    fn certificate(times: &[u8]) -> Vec<u8> {
        let parts = [
            tlv(VERSION, &tlv(INTEGER, &[2])),
            tlv(INTEGER, &[7]),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, &[]),
            tlv(SEQUENCE, times),
        ];
        tlv(SEQUENCE, &tlv(SEQUENCE, &parts.concat()))
    }

    fn good() -> Vec<u8> {
        certificate(
            &[tlv(UTC_TIME, b"990101000000Z"), tlv(GENERALIZED_TIME, b"20500102030405Z")].concat(),
        )
    }

    #[test]
    fn reads_both_forms_of_time() {
        let validity = Validity::of_certificate(&good()).unwrap();
        assert_eq!(validity.not_before.to_string(), "1999-01-01T00:00:00Z");
        assert_eq!(validity.not_after.to_string(), "2050-01-02T03:04:05Z");
    }

    #[test]
    fn gives_none_for_every_truncation_and_survives_every_mutation() {
        let good = good();
        for end in 0..good.len() {
            assert_eq!(Validity::of_certificate(&good[..end]), None, "cut at {end}");
        }
        for place in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[place] = byte;
                let _ = Validity::of_certificate(&bad);
            }
        }
    }

    #[test]
    fn warns_outside_of_the_period_only() {
        let validity = Validity::of_certificate(&good()).unwrap();
        let at = |text: &str| SystemTime::from(text.parse::<Timestamp>().unwrap());
        assert_eq!(validity.problem(at("2026-01-01T00:00:00Z")), None);
        assert!(validity.problem(at("2050-01-02T03:04:06Z")).unwrap().contains("expired on 2050"));
        assert!(validity.problem(at("1998-12-31T23:59:59Z")).unwrap().contains("not valid before"));
    }
}
