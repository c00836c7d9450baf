//! Distinguished names as sendmail shows them: its access map, log and milters compare this text.
//!
//! ```text
//! OpenSSL's one line:  /C=DE/O=Test CA\+x/CN=Root (test)
//! xtext on top of it:  /C=DE/O=Test+20CA+5C+2Bx/CN=Root+20+28test+29
//! ```
//!
//! As sendmail 8.17 with OpenSSL 3.0 (`X509_NAME_oneline` into 256 bytes, then
//! `xtextify`): a part of the name that does not fit is left out with all
//! behind it, and `/` and `+` in a value have a backslash, which older versions
//! of OpenSSL do not write.

use super::der::{OID, Reader, SEQUENCE, SET};

/// Longest one line: the buffer that sendmail gives OpenSSL, without the NUL.
const MAX_BYTES: usize = 255;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// GeneralString.
const GENERAL_STRING: u8 = 0x1b;

/// The name whose SEQUENCE has this `content`, as sendmail writes it: printable
/// ASCII without blank, parentheses, angle brackets, quote or backslash. Empty
/// for an empty name; a name that is malformed ends where it can be read no more.
pub(super) fn sendmail_form(content: &[u8]) -> String {
    let line = one_line(content);
    let mut text = String::with_capacity(line.len() + 16);
    for byte in line {
        match byte {
            b'+' | b'\\' | b'(' | b')' | b'<' | b'>' | b'"' => escape(byte, &mut text),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => escape(byte, &mut text),
        }
    }
    text
}

fn escape(byte: u8, text: &mut String) {
    text.push('+');
    text.extend([hex(byte >> 4), hex(byte)].map(char::from));
}

/// The digit of the lower four bits.
fn hex(byte: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(byte & 15)]
}

/// The first common name, if it is UTF-8.
pub(super) fn common_name(content: &[u8]) -> Option<String> {
    let mut names = Parts(Reader::new(content), None);
    let found = names.find(|part| part.id == COMMON_NAME)?;
    std::str::from_utf8(found.value).ok().map(str::to_owned)
}

/// OpenSSL's one line, bytes from 0x20 to 0x7e only.
fn one_line(content: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    for part in Parts(Reader::new(content), None) {
        let before = line.len();
        line.push(if part.is_first { b'/' } else { b'+' });
        match short_name(part.id) {
            Some(name) => line.extend_from_slice(name.as_bytes()),
            None => line.extend_from_slice(dotted(part.id).as_bytes()),
        }
        line.push(b'=');
        part.write_value(&mut line);
        if line.len() > MAX_BYTES {
            line.truncate(before);
            break;
        }
    }
    line
}

/// One attribute of a name.
struct Part<'a> {
    id: &'a [u8],
    tag: u8,
    value: &'a [u8],
    /// The first of its set; in nearly all names, the only one.
    is_first: bool,
}

impl Part<'_> {
    fn write_value(&self, line: &mut Vec<u8>) {
        // Characters of four bytes of which three are always zero are shown as one.
        let is_wide = self.tag == GENERAL_STRING
            && self.value.len().is_multiple_of(4)
            && self.value.chunks_exact(4).all(|letter| letter[..3] == [0, 0, 0]);
        let (skipped, step) = if is_wide { (3, 4) } else { (0, 1) };
        for byte in self.value.iter().skip(skipped).step_by(step) {
            match *byte {
                byte @ (b'/' | b'+') => line.extend([b'\\', byte]),
                byte @ 0x20..=0x7e => line.push(byte),
                byte => line.extend([b'\\', b'x', hex(byte >> 4), hex(byte)]),
            }
            // Nothing behind the limit is kept, so nothing behind it needs to be made.
            if line.len() > MAX_BYTES {
                return;
            }
        }
    }
}

/// The attributes of a name, set by set.
struct Parts<'a>(Reader<'a>, Option<Reader<'a>>);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let (mut set, is_first) = match self.1.take().filter(|set| !set.is_at_end()) {
            Some(set) => (set, false),
            None => (self.0.enter(SET)?, true),
        };
        let mut pair = set.enter(SEQUENCE)?;
        let id = pair.take(OID)?.content;
        let value = pair.element()?;
        self.1 = Some(set);
        Some(Part { id, tag: value.tag, value: value.content, is_first })
    }
}

/// OpenSSL's short names of what stands in names; others are shown as numbers.
fn short_name(id: &[u8]) -> Option<&'static str> {
    Some(match id {
        [0x55, 0x04, number] => match number {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "street",
            10 => "O",
            11 => "OU",
            12 => "title",
            13 => "description",
            15 => "businessCategory",
            16 => "postalAddress",
            17 => "postalCode",
            18 => "postOfficeBox",
            20 => "telephoneNumber",
            31 => "member",
            41 => "name",
            42 => "GN",
            43 => "initials",
            44 => "generationQualifier",
            45 => "x500UniqueIdentifier",
            46 => "dnQualifier",
            51 => "houseIdentifier",
            65 => "pseudonym",
            72 => "role",
            97 => "organizationIdentifier",
            _ => return None,
        },
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "emailAddress",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x02] => "unstructuredName",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        [0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x3c, 0x02, 0x01, number] => match number {
            1 => "jurisdictionL",
            2 => "jurisdictionST",
            3 => "jurisdictionC",
            _ => return None,
        },
        _ => return None,
    })
}

/// An object identifier in numbers (X.690 §8.19); numbers beyond 64 bits, which
/// nobody has, come out wrong and bounded.
fn dotted(id: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in id.iter().take(MAX_BYTES) {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.push(first.to_string());
                number -= first * 40;
            }
            numbers.push(number.to_string());
            number = 0;
        }
    }
    numbers.join(".")
}

#[cfg(test)]
mod tests {
    use super::super::der::tlv;
    use super::*;

    const UTF8: u8 = 0x0c;
    const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
    const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];

    fn part(id: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        tlv(SEQUENCE, &[tlv(OID, id), tlv(tag, value)].concat())
    }

    fn set(parts: &[Vec<u8>]) -> Vec<u8> {
        tlv(SET, &parts.concat())
    }

    fn name(parts: &[(&[u8], &[u8])]) -> Vec<u8> {
        parts.iter().flat_map(|(id, value)| set(&[part(id, UTF8, value)])).collect()
    }

    /// The first two as sendmail 8.17 on OpenSSL 3.0 put them into its log; the
    /// rest as `X509_NAME_oneline` of 3.0.22 writes them, and then escaped.
    #[test]
    fn writes_names_as_sendmail_does() {
        let dn =
            name(&[(COUNTRY, b"DE"), (ORGANIZATION, b"Test CA+x"), (COMMON_NAME, b"Root (test)")]);
        assert_eq!(sendmail_form(&dn), "/C=DE/O=Test+20CA+5C+2Bx/CN=Root+20+28test+29");
        assert_eq!(sendmail_form(&name(&[(COMMON_NAME, b"a/b")])), "/CN=a+5C/b");
        let umlaut = name(&[(COMMON_NAME, "ü <\">\\".as_bytes())]);
        assert_eq!(one_line(&umlaut), b"/CN=\\xC3\\xBC <\">\\");
        assert_eq!(sendmail_form(&umlaut), "/CN=+5CxC3+5CxBC+20+3C+22+3E+5C");
        assert_eq!(sendmail_form(&name(&[(COMMON_NAME, b"a=b,c;d#e@f:g*")])), "/CN=a=b,c;d#e@f:g*");
        let private = name(&[(&[0x53, 0x04, 0x05], b"x"), (&[0x2a, 0x86, 0x48, 0x01], b"y")]);
        assert_eq!(sendmail_form(&private), "/2.3.4.5=x/1.2.840.1=y");
        assert_eq!(sendmail_form(b""), "");
    }

    #[test]
    fn joins_the_attributes_of_one_set_by_a_plus() {
        let unit: &[u8] = &[0x55, 0x04, 0x0b];
        let parts = [part(COMMON_NAME, UTF8, b"c"), part(unit, UTF8, b"a"), part(unit, UTF8, b"b")];
        let dn = [set(&[part(COUNTRY, UTF8, b"DE")]), set(&parts)].concat();
        assert_eq!(one_line(&dn), b"/C=DE/CN=c+OU=a+OU=b");
        assert_eq!(sendmail_form(&dn), "/C=DE/CN=c+2BOU=a+2BOU=b");
    }

    #[test]
    fn leaves_out_the_part_that_does_not_fit_and_all_behind_it() {
        let unit: &[u8] = &[0x55, 0x04, 0x0b];
        let dn = name(&[
            (COUNTRY, b"DE"),
            (ORGANIZATION, &[b'o'; 60]),
            (unit, &[b'u'; 60]),
            (unit, &[b'v'; 60]),
            (unit, &[b'w'; 60]),
            (unit, b"z"),
        ]);
        let line = one_line(&dn);
        assert_eq!(line.len(), 196);
        assert!(line.ends_with(b"vvv"));
        let exact = name(&[(COMMON_NAME, &[b'x'; 251])]);
        assert_eq!(one_line(&exact).len(), 255);
        assert_eq!(one_line(&name(&[(COMMON_NAME, &[b'x'; 252])])), b"");
    }

    #[test]
    fn shows_wide_characters_as_openssl_does() {
        let wide = |value: &[u8]| set(&[part(COMMON_NAME, GENERAL_STRING, value)]);
        assert_eq!(one_line(&wide(b"\0\0\0A\0\0\0B")), b"/CN=AB");
        assert_eq!(one_line(&wide(b"\0\0\0A\0\0\x01B")), b"/CN=\\x00\\x00\\x00A\\x00\\x00\\x01B");
        assert_eq!(one_line(&wide(b"ABC")), b"/CN=ABC");
    }

    #[test]
    fn finds_the_first_common_name() {
        let dn = name(&[(COUNTRY, b"DE"), (COMMON_NAME, "ü".as_bytes()), (COMMON_NAME, b"two")]);
        assert_eq!(common_name(&dn).as_deref(), Some("ü"));
        assert_eq!(common_name(&name(&[(COMMON_NAME, b"\xff")])), None);
        assert_eq!(common_name(&name(&[(COUNTRY, b"DE")])), None);
    }

    #[test]
    fn survives_every_truncation_and_every_mutation() {
        let dn = name(&[(COUNTRY, b"DE"), (&[0x2a, 0x86], b"a/b"), (COMMON_NAME, b"x")]);
        let is_plain = |text: String| text.bytes().all(|byte| byte.is_ascii_graphic());
        for end in 0..dn.len() {
            assert!(is_plain(sendmail_form(&dn[..end])));
            common_name(&dn[..end]);
        }
        for place in 0..dn.len() {
            for byte in 0..=255 {
                let mut bad = dn.clone();
                bad[place] = byte;
                assert!(is_plain(sendmail_form(&bad)));
                assert!(one_line(&bad).len() <= MAX_BYTES);
            }
        }
    }
}
