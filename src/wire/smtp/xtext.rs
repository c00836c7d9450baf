//! xtext: how a value with blanks, `=` or `+` travels in a parameter (RFC 3461 §4).
//!
//! ```text
//! xtext   = *( xchar / hexchar )
//! xchar   = any of 0x21..0x7e but "+" and "="
//! hexchar = "+" and two hexadecimal digits
//! ```
//!
//! Used for ENVID=, ORCPT= and AUTH=. Hexadecimal digits are written in upper
//! case and read in either, as sendmail does.

/// The bytes an xtext stands for; `None` if it is none.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => plain.push(hex(rest.next()?)? << 4 | hex(rest.next()?)?),
            b'=' => return None,
            0x21..=0x7e => plain.push(byte),
            _ => return None,
        }
    }
    Some(plain)
}

/// `plain` as xtext.
#[must_use]
pub fn encode(plain: &[u8]) -> String {
    let mut text = String::with_capacity(plain.len());
    for &byte in plain {
        if matches!(byte, 0x21..=0x7e) && !matches!(byte, b'+' | b'=') {
            text.push(char::from(byte));
        } else {
            text.push('+');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    text
}

/// True if `text` is xtext that stands for printable ASCII, as RFC 3461 §4.2
/// and §4.4 demand of what is shown to people in a report.
#[must_use]
pub fn is_printable(text: &[u8]) -> bool {
    decode(text).is_some_and(|plain| plain.iter().all(|byte| matches!(byte, 0x20..=0x7e)))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        assert!(text.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'='));
        assert_eq!(decode(text.as_bytes()), Some(all));
        assert_eq!(encode(b"a+b=c d"), "a+2Bb+3Dc+20d");
        assert_eq!(encode("gr\u{fc}n".as_bytes()), "gr+C3+BCn");
    }

    #[test]
    fn refuses_what_is_no_xtext() {
        for bad in ["+", "+2", "+zz", "+2g", "a=b", "a b", "a\tb", "gr\u{fc}n", "\x7f"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(decode(b"+2b+2B"), Some(b"++".to_vec()));
    }

    #[test]
    fn knows_what_may_be_shown() {
        assert!(is_printable(b"QQ314159"));
        assert!(is_printable(b"a+20b"));
        assert!(!is_printable(b"a+0D+0Ab"));
        assert!(!is_printable(b"a+00"));
        assert!(!is_printable(b"+C3+BC"));
    }
}
