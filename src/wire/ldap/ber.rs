//! Tags, lengths and numbers: the encoding below LDAP.
//!
//! ```text
//! identifier (1 byte) | length (1 byte, or 0x80+n and n bytes) | content
//! ```
//!
//! RFC 4511 §5.1: definite lengths only. Tags of more than one byte do not
//! occur in LDAP and are refused. Constructed elements are written with a
//! length of five bytes, which is what makes one pass enough.

use zeroize::Zeroizing;

/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// ENUMERATED.
pub(super) const ENUMERATED: u8 = 0x0a;
/// BOOLEAN.
pub(super) const BOOLEAN: u8 = 0x01;
/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// SET.
pub(super) const SET: u8 = 0x31;

/// Bytes that are no LDAP message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length that does not fit, a tag that must not be there, an end too early.
    #[error("the server sent what is no LDAP message")]
    Encoding,
    /// The message is larger than the caller takes.
    #[error("the server sent a message of more than {0} bytes")]
    TooLarge(usize),
}

/// Tells how many bytes the first message in `bytes` has; `None` if that is not
/// to be seen yet.
///
/// # Errors
/// [`Malformed`]: whatever follows, this is no message of at most `limit` bytes.
pub fn frame_bytes(bytes: &[u8], limit: usize) -> Result<Option<usize>, Malformed> {
    match bytes {
        [] => return Ok(None),
        [SEQUENCE, ..] => {}
        _ => return Err(Malformed::Encoding),
    }
    let Some((head, content)) = length(&bytes[1..])? else { return Ok(None) };
    let total = 1 + head + content;
    if total > limit {
        return Err(Malformed::TooLarge(limit));
    }
    Ok(Some(total))
}

/// The length that `bytes` begin with: how many bytes it takes itself, and what it says.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    if first < 0x80 {
        return Ok(Some((1, first.into())));
    }
    // 0x80 is the indefinite form; four bytes are 4 GiB, far beyond any limit.
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return Err(Malformed::Encoding);
    }
    let Some(digits) = rest.get(..count) else { return Ok(None) };
    let value = digits.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let value = usize::try_from(value).map_err(|_| Malformed::Encoding)?;
    Ok(Some((1 + count, value)))
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

    /// Takes the next element, whatever it is.
    pub(super) fn element(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (&tag, rest) = self.0.split_first().ok_or(Malformed::Encoding)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed::Encoding);
        }
        let (head, content) = length(rest)?.ok_or(Malformed::Encoding)?;
        let rest = &rest[head..];
        let (content, behind) = rest.split_at_checked(content).ok_or(Malformed::Encoding)?;
        self.0 = behind;
        Ok((tag, content))
    }

    /// Takes the next element, which must have `tag`.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.element()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed::Encoding),
        }
    }

    /// Takes a number from 0 to 2^31-1 (RFC 4511 §4.1.1) under `tag`.
    pub(super) fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        let content = self.expect(tag)?;
        let is_fit = (1..=4).contains(&content.len()) && content[0] < 0x80;
        let value = content.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        if is_fit { Ok(value) } else { Err(Malformed::Encoding) }
    }
}

/// Writes elements; wiped on drop, since one may be a password.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// With room for `capacity` bytes: a buffer that grows leaves copies behind.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    pub(super) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// An element that is already encoded.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// An element of bytes.
    pub(super) fn bytes(&mut self, tag: u8, content: &[u8]) {
        self.0.push(tag);
        match u8::try_from(content.len()) {
            Ok(length) if length < 0x80 => self.0.push(length),
            _ => self.long_length(content.len()),
        }
        self.0.extend_from_slice(content);
    }

    pub(super) fn number(&mut self, tag: u8, value: u32) {
        let digits = value.to_be_bytes();
        // The fewest bytes that do not look negative (X.690 §8.3.2).
        let start = (0..3).find(|at| digits[*at] != 0 || digits[at + 1] >= 0x80).unwrap_or(3);
        if digits[0] >= 0x80 {
            self.bytes(tag, &[0, digits[0], digits[1], digits[2], digits[3]]);
        } else {
            self.bytes(tag, &digits[start..]);
        }
    }

    pub(super) fn boolean(&mut self, tag: u8, truth: bool) {
        self.bytes(tag, &[if truth { 0xff } else { 0 }]);
    }

    /// An element of what `content` writes.
    pub(super) fn group(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        self.0.push(tag);
        let at = self.0.len();
        self.long_length(0);
        content(self);
        let length = self.0.len() - at - 5;
        let digits = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.0[at + 1..at + 5].copy_from_slice(&digits);
    }

    fn long_length(&mut self, length: usize) {
        self.0.push(0x84);
        self.0.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_told_from_its_first_bytes() {
        assert_eq!(frame_bytes(b"", 100), Ok(None));
        assert_eq!(frame_bytes(b"\x30", 100), Ok(None));
        assert_eq!(frame_bytes(b"\x30\x05", 100), Ok(Some(7)));
        assert_eq!(frame_bytes(b"\x30\x84\0\0\0", 100), Ok(None));
        assert_eq!(frame_bytes(b"\x30\x84\0\0\0\x09", 100), Ok(Some(15)));
        assert_eq!(frame_bytes(b"\x30\x62", 100), Ok(Some(100)));
        assert_eq!(frame_bytes(b"\x30\x63", 100), Err(Malformed::TooLarge(100)));
        assert_eq!(frame_bytes(b"\x30\x84\xff\xff\xff\xff", 100), Err(Malformed::TooLarge(100)));
        for bad in [&b"\x31\0"[..], b"HTTP", b"\x30\x80", b"\x30\x85\0\0\0\0\x01", b"\x15\x03"] {
            assert_eq!(frame_bytes(bad, 100), Err(Malformed::Encoding), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_written_in_the_fewest_bytes_and_read_back() {
        let cases: &[(u32, &[u8])] = &[
            (0, b"\x02\x01\0"),
            (127, b"\x02\x01\x7f"),
            (128, b"\x02\x02\0\x80"),
            (256, b"\x02\x02\x01\0"),
            (0x7fff_ffff, b"\x02\x04\x7f\xff\xff\xff"),
        ];
        for (value, bytes) in cases {
            let mut writer = Writer::with_capacity(8);
            writer.number(INTEGER, *value);
            assert_eq!(&*writer.into_bytes(), bytes);
            assert_eq!(Reader::new(bytes).number(INTEGER), Ok(*value));
        }
        for bad in [&b"\x02\0"[..], b"\x02\x01\xff", b"\x02\x05\0\0\0\0\x01", b"\x0a\x01\0"] {
            assert!(Reader::new(bad).number(INTEGER).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn groups_hold_what_was_written_in_them() {
        let mut writer = Writer::with_capacity(64);
        writer.group(SEQUENCE, |it| {
            it.bytes(OCTETS, &[b'x'; 200]);
            it.group(SET, |it| it.boolean(BOOLEAN, true));
        });
        let bytes = writer.into_bytes();
        assert_eq!(frame_bytes(&bytes, 1000), Ok(Some(bytes.len())));
        let mut outer = Reader::new(&bytes);
        let mut inner = Reader::new(outer.expect(SEQUENCE).unwrap());
        assert_eq!(inner.expect(OCTETS), Ok(&[b'x'; 200][..]));
        assert_eq!(inner.expect(SET), Ok(&b"\x01\x01\xff"[..]));
        assert!(inner.is_at_end() && outer.is_at_end());
    }
}
