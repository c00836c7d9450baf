//! Tags, lengths and values: the encoding below Kerberos (DER, X.690).
//!
//! ```text
//! tag (1 byte) | length (1 byte, or 0x80+n and n bytes) | content
//! [n] EXPLICIT:  0xa0+n | length | the element itself
//! ```
//!
//! The reader walks over what a KDC sent, without recursion and without
//! copying; the writer makes small requests.

/// INTEGER.
const INTEGER: u8 = 0x02;
/// OCTET STRING.
const OCTETS: u8 = 0x04;
/// BIT STRING.
const BITS: u8 = 0x03;
/// SEQUENCE, constructed.
pub(super) const SEQUENCE: u8 = 0x30;
/// GeneralString: the KerberosString of RFC 4120 §5.2.1.
const TEXT: u8 = 0x1b;
/// GeneralizedTime: the KerberosTime of RFC 4120 §5.2.3.
const TIME: u8 = 0x18;

/// Bytes that are no Kerberos message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the KDC sent what is no Kerberos message")]
pub struct Malformed;

/// `[APPLICATION n]`, constructed.
pub(super) fn application(number: u8) -> u8 {
    0x60 | number
}

/// Walks over elements that stand one behind the other.
#[derive(Clone)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Takes the next element, whatever it is.
    fn element(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (&tag, rest) = self.0.split_first().ok_or(Malformed)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (&first, rest) = rest.split_first().ok_or(Malformed)?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // 0x80 is the indefinite form; four bytes are far beyond any message.
            let count = usize::from(first & 0x7f);
            if !(1..=4).contains(&count) {
                return Err(Malformed);
            }
            let (digits, rest) = rest.split_at_checked(count).ok_or(Malformed)?;
            let length = digits.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            (usize::try_from(length).map_err(|_| Malformed)?, rest)
        };
        let (content, behind) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = behind;
        Ok((tag, content))
    }

    /// Takes the next element, which must have `tag`.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Self, Malformed> {
        match self.element()? {
            (found, content) if found == tag => Ok(Self(content)),
            _ => Err(Malformed),
        }
    }

    /// Takes `[number]`.
    pub(super) fn field(&mut self, number: u8) -> Result<Self, Malformed> {
        self.expect(0xa0 | number)
    }

    /// Takes `[number]` if it comes next.
    pub(super) fn optional(&mut self, number: u8) -> Result<Option<Self>, Malformed> {
        if self.0.first() == Some(&(0xa0 | number)) {
            self.field(number).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Takes a number of at most 32 bits, with or without a sign.
    pub(super) fn integer(&mut self) -> Result<i64, Malformed> {
        let content = self.expect(INTEGER)?.0;
        let (&first, _) = content.split_first().ok_or(Malformed)?;
        if content.len() > 5 {
            return Err(Malformed);
        }
        let sign = if first >= 0x80 { -1 } else { 0 };
        Ok(content.iter().fold(sign, |sum, byte| sum << 8 | i64::from(*byte)))
    }

    pub(super) fn octets(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.expect(OCTETS)?.0)
    }

    /// Takes a text; some KDCs write UTF-8 where ASCII is meant.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.expect(TEXT)?.0).map_err(|_| Malformed)
    }

    /// Takes a time, in seconds since 1970.
    pub(super) fn time(&mut self) -> Result<i64, Malformed> {
        let text = std::str::from_utf8(self.expect(TIME)?.0).map_err(|_| Malformed)?;
        let is_time = text.len() == 15
            && text.ends_with('Z')
            && text.bytes().take(14).all(|byte| byte.is_ascii_digit());
        if !is_time {
            return Err(Malformed);
        }
        let number = |from: usize, to: usize| text[from..to].parse::<i8>().map_err(|_| Malformed);
        let year = text[..4].parse::<i16>().map_err(|_| Malformed)?;
        // A leap second counts as the one before it.
        let second = number(12, 14)?.min(59);
        let (month, day) = (number(4, 6)?, number(6, 8)?);
        let (hour, minute) = (number(8, 10)?, number(10, 12)?);
        let civil = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0);
        let stamp = civil.map_err(|_| Malformed)?.to_zoned(jiff::tz::TimeZone::UTC);
        Ok(stamp.map_err(|_| Malformed)?.timestamp().as_second())
    }
}

/// An element of bytes, its length in the fewest bytes.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => {
            let digits = content.len().to_be_bytes();
            let start = digits.iter().position(|digit| *digit != 0).unwrap_or(0);
            bytes.push(0x80 | u8::try_from(digits.len() - start).unwrap_or(0));
            bytes.extend_from_slice(&digits[start..]);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// `SEQUENCE` of elements that are already encoded.
pub(super) fn sequence(items: &[Vec<u8>]) -> Vec<u8> {
    element(SEQUENCE, &items.concat())
}

/// `[number]` around an element.
pub(super) fn field(number: u8, inner: &[u8]) -> Vec<u8> {
    element(0xa0 | number, inner)
}

/// A number, in the fewest bytes.
pub(super) fn integer(value: i64) -> Vec<u8> {
    let digits = value.to_be_bytes();
    let is_spare = |at: usize| {
        (digits[at] == 0 && digits[at + 1] < 0x80) || (digits[at] == 0xff && digits[at + 1] >= 0x80)
    };
    let start = (0..7).find(|at| !is_spare(*at)).unwrap_or(7);
    element(INTEGER, &digits[start..])
}

pub(super) fn octets(bytes: &[u8]) -> Vec<u8> {
    element(OCTETS, bytes)
}

pub(super) fn text(text: &str) -> Vec<u8> {
    element(TEXT, text.as_bytes())
}

/// 32 flags (RFC 4120 §5.2.8).
pub(super) fn flags(flags: u32) -> Vec<u8> {
    element(BITS, &[&[0], &flags.to_be_bytes()[..]].concat())
}

/// A time, given in seconds since 1970; beyond the year 9999 it is cut there.
pub(super) fn time(seconds: i64) -> Vec<u8> {
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    let civil = stamp.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let written = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    );
    element(TIME, written.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_the_fewest_bytes_and_read_back() {
        let cases: &[(i64, &[u8])] = &[
            (0, b"\x02\x01\0"),
            (127, b"\x02\x01\x7f"),
            (128, b"\x02\x02\0\x80"),
            (-1, b"\x02\x01\xff"),
            (-129, b"\x02\x02\xff\x7f"),
            (0xffff_ffff, b"\x02\x05\0\xff\xff\xff\xff"),
        ];
        for (value, bytes) in cases {
            assert_eq!(integer(*value), *bytes);
            assert_eq!(Reader::new(bytes).integer(), Ok(*value));
        }
        for bad in [&b"\x02\0"[..], b"\x02\x06\0\0\0\0\0\x01", b"\x0a\x01\0", b"\x02\x02\0"] {
            assert!(Reader::new(bad).integer().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_are_written_and_read_back() {
        let cases = [(0, "19700101000000Z"), (1_795_168_800, "20261120100000Z")];
        for (seconds, written) in cases {
            assert_eq!(time(seconds)[2..], *written.as_bytes());
            assert_eq!(Reader::new(&time(seconds)).time(), Ok(seconds));
        }
        for bad in ["20261320100000Z", "20261120100000+", "2026112010000Z", "2026112010000\u{fc}"] {
            assert!(Reader::new(&element(TIME, bad.as_bytes())).time().is_err(), "{bad}");
        }
    }

    #[test]
    fn long_contents_have_long_lengths() {
        for length in [0, 127, 128, 255, 256, 70_000] {
            let bytes = octets(&vec![7; length]);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.octets().map(<[u8]>::len), Ok(length));
            assert!(reader.is_at_end());
        }
        assert!(Reader::new(b"\x04\x85\0\0\0\0\x01x").octets().is_err());
        assert!(Reader::new(b"\x04\x80").octets().is_err());
        assert!(Reader::new(b"\x04\x84\xff\xff\xff\xff").octets().is_err());
    }
}
