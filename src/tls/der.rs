//! Walks over DER (X.690): what certificates, revocation lists and OCSP responses are made of.
//!
//! ```text
//! tag (1 byte) | length (1 byte, or 0x80+n and n bytes) | content
//! ```
//!
//! Without recursion and without copying. Certificates come from strangers:
//! every step gives `None` for what is not as expected, and nothing here can
//! fail in another way. Lengths of up to four bytes; tags of one byte.

use jiff::Timestamp;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `[number]`, constructed: what EXPLICIT fields and some choices stand in.
pub(super) const fn field(number: u8) -> u8 {
    0xa0 | number
}

/// One element: its tag, its content, and all of its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

/// Elements that stand one behind the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next element, whatever it is.
    pub(super) fn element(&mut self) -> Option<Element<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // 0x80 is the indefinite form, which DER has not.
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return None;
            }
            let (digits, rest) = rest.split_at_checked(count)?;
            let length = digits.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            (usize::try_from(length).ok()?, rest)
        };
        let (content, behind) = rest.split_at_checked(length)?;
        self.0 = behind;
        Some(Element { tag, content, whole: &all[..all.len() - behind.len()] })
    }

    /// Takes the next element, which must have `tag`.
    pub(super) fn take(&mut self, tag: u8) -> Option<Element<'a>> {
        self.element().filter(|element| element.tag == tag)
    }

    /// Takes the next element, which must have `tag`, to walk over its content.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(|element| Self(element.content))
    }

    /// True if the next element has `tag`.
    pub(super) fn is_at(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// Takes the next element if it has `tag`.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'a>> {
        if self.is_at(tag) { self.element() } else { None }
    }

    /// Takes a time, of either form; seconds are always there and the zone is
    /// UTC (RFC 5280 §4.1.2.5).
    pub(super) fn time(&mut self) -> Option<Timestamp> {
        let element = self.element()?;
        let text = std::str::from_utf8(element.content).ok()?;
        let text = match element.tag {
            // RFC 5280 §4.1.2.5.1: 50 to 99 are the years 1950 to 1999.
            UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
            UTC_TIME => format!("20{text}"),
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let digits = text.strip_suffix('Z')?;
        let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    }
}

#[cfg(test)]
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0x82];
    out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_over_elements_of_every_form_of_length() {
        let bytes = [
            &[INTEGER, 1, 7][..],
            &[SEQUENCE, 0x81, 3, INTEGER, 1, 8],
            &[OCTET_STRING, 0x84, 0, 0, 0, 1, 9],
        ]
        .concat();
        let mut reader = Reader::new(&bytes);
        let number = reader.take(INTEGER).unwrap();
        assert_eq!((number.content, number.whole), (&[7][..], &bytes[..3]));
        assert!(reader.is_at(SEQUENCE) && reader.optional(INTEGER).is_none());
        assert_eq!(reader.enter(SEQUENCE).unwrap().take(INTEGER).unwrap().content, [8]);
        assert_eq!(reader.optional(OCTET_STRING).unwrap().content, [9]);
        assert!(reader.is_at_end() && reader.element().is_none());
    }

    #[test]
    fn refuses_what_is_not_der() {
        let bad: [&[u8]; 7] = [
            &[],
            &[INTEGER],
            &[INTEGER, 2, 7],
            &[SEQUENCE, 0x80, 0, 0],
            &[SEQUENCE, 0x85, 0, 0, 0, 0, 0],
            &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x1f, 1, 0],
        ];
        for bytes in bad {
            assert!(Reader::new(bytes).element().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn reads_both_forms_of_time() {
        let time = |tag, text: &[u8]| Reader::new(&tlv(tag, text)).time().map(|at| at.to_string());
        assert_eq!(time(UTC_TIME, b"990101000000Z").unwrap(), "1999-01-01T00:00:00Z");
        assert_eq!(time(UTC_TIME, b"261231235959Z").unwrap(), "2026-12-31T23:59:59Z");
        assert_eq!(time(GENERALIZED_TIME, b"20500102030405Z").unwrap(), "2050-01-02T03:04:05Z");
        for text in [&b"20500102030405"[..], b"2050010203Z", b"", b"\xff\xff", b"20501302030405Z"] {
            assert_eq!(time(GENERALIZED_TIME, text), None);
        }
        assert_eq!(time(INTEGER, b"20500102030405Z"), None);
    }
}
