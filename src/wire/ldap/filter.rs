//! Search filters: from text (RFC 4515) to what a request carries (RFC 4511 §4.5.1.7).
//!
//! ```text
//! (&(objectClass=person)(|(uid=alice)(mail=alice@*))(!(locked=TRUE)))
//! ```
//!
//! As libldap takes them: blanks between filters, and a single comparison
//! without brackets. Depth and length are bounded.

use super::ber::{OCTETS, SEQUENCE, Writer};

/// Filters within filters at most.
const MAX_DEPTH: usize = 16;
/// Longest text: a login of 1,024 bytes in it, each escaped, several times.
const MAX_BYTES: usize = 32 * 1024;

/// A filter, ready for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<u8>);

/// Why a text is no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {}", at + 1)]
pub struct FilterError {
    /// Byte of the text.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`FilterError`]: no filter, or one of more than 32 KiB or 16 levels.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError { at: MAX_BYTES, what: "the filter is too long" });
        }
        let mut parser = Parser { text: text.as_bytes(), at: 0 };
        let mut writer = Writer::with_capacity(text.len() + 64);
        parser.skip_blanks();
        if parser.peek() == Some(b'(') {
            parser.filter(&mut writer, 0)?;
            parser.skip_blanks();
        } else {
            parser.item(&mut writer)?;
        }
        if parser.at < parser.text.len() {
            return Err(parser.error("there is more behind the filter"));
        }
        Ok(Self(writer.into_bytes().to_vec()))
    }

    pub(super) fn encoded(&self) -> &[u8] {
        &self.0
    }
}

// Tags of the CHOICE `Filter`.
const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUALITY: u8 = 0xa3;
const SUBSTRINGS: u8 = 0xa4;
const AT_LEAST: u8 = 0xa5;
const AT_MOST: u8 = 0xa6;
const PRESENT: u8 = 0x87;
const APPROXIMATE: u8 = 0xa8;
const EXTENSIBLE: u8 = 0xa9;

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn error(&self, what: &'static str) -> FilterError {
        FilterError { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// `(` filter `)`
    fn filter(&mut self, out: &mut Writer, depth: usize) -> Result<(), FilterError> {
        if depth == MAX_DEPTH {
            return Err(self.error("the filter is nested too deeply"));
        }
        self.skip_blanks();
        if !self.take(b'(') {
            return Err(self.error("expected \"(\""));
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'&') => self.list(AND, out, depth)?,
            Some(b'|') => self.list(OR, out, depth)?,
            Some(b'!') => {
                self.at += 1;
                self.within(NOT, out, |it, out| it.filter(out, depth + 1))?;
            }
            _ => self.item(out)?,
        }
        self.skip_blanks();
        if !self.take(b')') {
            return Err(self.error("expected \")\""));
        }
        Ok(())
    }

    /// Filters behind `&` or `|`; none is *true* or *false* (RFC 4526).
    fn list(&mut self, tag: u8, out: &mut Writer, depth: usize) -> Result<(), FilterError> {
        self.at += 1;
        self.within(tag, out, |it, out| {
            it.skip_blanks();
            while it.peek() == Some(b'(') {
                it.filter(out, depth + 1)?;
                it.skip_blanks();
            }
            Ok(())
        })
    }

    fn within(
        &mut self,
        tag: u8,
        out: &mut Writer,
        inner: impl FnOnce(&mut Self, &mut Writer) -> Result<(), FilterError>,
    ) -> Result<(), FilterError> {
        let mut result = Ok(());
        out.group(tag, |out| result = inner(self, out));
        result
    }

    /// A comparison: `attribute OPERATOR value`.
    fn item(&mut self, out: &mut Writer) -> Result<(), FilterError> {
        let attribute = self.attribute();
        let operator = match (self.peek(), self.text.get(self.at + 1)) {
            (Some(b':'), _) => return self.extensible(&attribute, out),
            (Some(b'='), _) => EQUALITY,
            (Some(b'~'), Some(b'=')) => APPROXIMATE,
            (Some(b'>'), Some(b'=')) => AT_LEAST,
            (Some(b'<'), Some(b'=')) => AT_MOST,
            _ => return Err(self.error("expected an attribute and =, >=, <= or ~=")),
        };
        if attribute.is_empty() {
            return Err(self.error("expected the name of an attribute"));
        }
        self.at += if operator == EQUALITY { 1 } else { 2 };
        let parts = self.value()?;
        match (operator, parts.as_slice()) {
            (EQUALITY, [first, last]) if first.is_empty() && last.is_empty() => {
                out.bytes(PRESENT, attribute.as_bytes());
            }
            (_, [value]) => out.group(operator, |out| {
                out.bytes(OCTETS, attribute.as_bytes());
                out.bytes(OCTETS, value);
            }),
            (EQUALITY, parts) => substrings(&attribute, parts, out),
            _ => return Err(self.error("an asterisk stands in a comparison with = only")),
        }
        Ok(())
    }

    /// `[attribute][:dn][:rule]:=value`
    fn extensible(&mut self, attribute: &str, out: &mut Writer) -> Result<(), FilterError> {
        let (mut is_of_name, mut rule) = (false, String::new());
        loop {
            if !self.take(b':') {
                return Err(self.error("expected :="));
            }
            if self.take(b'=') {
                break;
            }
            let word = self.attribute();
            if word.eq_ignore_ascii_case("dn") && !is_of_name && rule.is_empty() {
                is_of_name = true;
            } else if word.is_empty() || !rule.is_empty() {
                return Err(self.error("expected a matching rule"));
            } else {
                rule = word;
            }
        }
        if attribute.is_empty() && rule.is_empty() {
            return Err(self.error("expected an attribute or a matching rule and :="));
        }
        let parts = self.value()?;
        let [value] = parts.as_slice() else {
            return Err(self.error("an asterisk stands in a comparison with = only"));
        };
        out.group(EXTENSIBLE, |out| {
            if !rule.is_empty() {
                out.bytes(0x81, rule.as_bytes());
            }
            if !attribute.is_empty() {
                out.bytes(0x82, attribute.as_bytes());
            }
            out.bytes(0x83, value);
            if is_of_name {
                out.boolean(0x84, true);
            }
        });
        Ok(())
    }

    /// An attribute description or the name of a rule: letters, digits, `-`, `;`, `.`.
    fn attribute(&mut self) -> String {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-;._".contains(byte);
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        self.at += length;
        rest[..length].iter().copied().map(char::from).collect()
    }

    /// Reads a value up to the bracket behind it: its parts between asterisks, one without any.
    fn value(&mut self) -> Result<Vec<Vec<u8>>, FilterError> {
        let mut parts = vec![Vec::new()];
        while let Some(byte) = self.peek().filter(|byte| *byte != b')') {
            let byte = match byte {
                b'*' => {
                    parts.push(Vec::new());
                    self.at += 1;
                    continue;
                }
                b'\\' => self.escape()?,
                b'(' | 0 => return Err(self.error("this character stands as \\xx in a value")),
                plain => plain,
            };
            self.at += 1;
            if let Some(part) = parts.last_mut() {
                part.push(byte);
            }
        }
        Ok(parts)
    }

    /// The byte that `\xx` stands for; leaves the second digit to be stepped over.
    fn escape(&mut self) -> Result<u8, FilterError> {
        let digits = self.text.get(self.at + 1..self.at + 3);
        let byte = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let byte = byte.ok_or_else(|| self.error("two hexadecimal digits follow a backslash"))?;
        self.at += 2;
        Ok(byte)
    }
}

/// `parts` are those between the asterisks, so the first and last may be empty.
fn substrings(attribute: &str, parts: &[Vec<u8>], out: &mut Writer) {
    let last = parts.len() - 1;
    out.group(SUBSTRINGS, |out| {
        out.bytes(OCTETS, attribute.as_bytes());
        out.group(SEQUENCE, |out| {
            for (at, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
                let tag = match at {
                    0 => 0x80,
                    at if at == last => 0x82,
                    _ => 0x81,
                };
                out.bytes(tag, part);
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The encoding with lengths of groups left out, to be read.
    fn shape(text: &str) -> String {
        use super::super::ber::Reader;
        fn show(bytes: &[u8], out: &mut String) {
            let mut reader = Reader::new(bytes);
            while !reader.is_at_end() {
                let (tag, content) = reader.element().unwrap();
                out.push_str(&format!("{tag:02x}"));
                if tag & 0x20 == 0 {
                    out.push_str(&format!("'{}'", content.escape_ascii()));
                } else {
                    out.push('[');
                    show(content, out);
                    out.push(']');
                }
            }
        }
        let mut out = String::new();
        show(Filter::parse(text).unwrap().encoded(), &mut out);
        out
    }

    #[test]
    fn comparisons_become_what_rfc_4511_says() {
        assert_eq!(shape("(uid=alice)"), "a3[04'uid'04'alice']");
        assert_eq!(shape("uid=alice"), "a3[04'uid'04'alice']");
        assert_eq!(shape("(uid=*)"), "87'uid'");
        assert_eq!(shape("(uid=)"), "a3[04'uid'04'']");
        assert_eq!(shape("(cn;lang-de~=x)"), "a8[04'cn;lang-de'04'x']");
        assert_eq!(shape("(n>=1)"), "a5[04'n'04'1']");
        assert_eq!(shape("(n<=1)"), "a6[04'n'04'1']");
        assert_eq!(shape("(cn=a*b*c)"), "a4[04'cn'30[80'a'81'b'82'c']]");
        assert_eq!(shape("(cn=*b*)"), "a4[04'cn'30[81'b']]");
        assert_eq!(shape("(cn=a*)"), "a4[04'cn'30[80'a']]");
        assert_eq!(shape(r"(cn=\2a\28\c3\bc)"), r"a3[04'cn'04'*(\xc3\xbc']");
    }

    #[test]
    fn filters_hold_filters() {
        assert_eq!(
            shape("(&(a=1) (|(b=2)(!(c=3))) )"),
            "a0[a3[04'a'04'1']a1[a3[04'b'04'2']a2[a3[04'c'04'3']]]]"
        );
        assert_eq!(shape("(&)"), "a0[]");
        // The chain of groups of Active Directory.
        assert_eq!(
            shape("(memberOf:1.2.840.113556.1.4.1941:=cn=x,dc=y)"),
            "a9[81'1.2.840.113556.1.4.1941'82'memberOf'83'cn=x,dc=y']"
        );
        assert_eq!(shape("(ou:dn:=x)"), r"a9[82'ou'83'x'84'\xff']");
        assert_eq!(shape("(:dn:caseExactMatch:=x)"), r"a9[81'caseExactMatch'83'x'84'\xff']");
    }

    #[test]
    fn refuses_what_is_no_filter() {
        let bad = [
            "",
            "(",
            "()",
            "(uid)",
            "(uid=a",
            "(=a)",
            "((uid=a))",
            "(uid=a))",
            "(uid=a)(b=c)",
            "(&a=b)",
            "(uid=\\)",
            "(uid=\\2)",
            "(uid=\\zz)",
            "(uid=(a)",
            "(a>b)",
            "(a>=*)",
            "(:=x)",
            "(a:b:c:=x)",
            "(a:b=x)",
            "(a b=c)",
        ];
        for text in bad {
            assert!(Filter::parse(text).is_err(), "{text:?}");
        }
        let deep = |levels: usize| format!("{}(a=b){}", "(!".repeat(levels), ")".repeat(levels));
        assert!(Filter::parse(&deep(MAX_DEPTH - 1)).is_ok());
        assert!(Filter::parse(&deep(MAX_DEPTH)).is_err());
        assert!(Filter::parse(&deep(5000)).is_err());
        assert!(Filter::parse(&format!("(a={})", "x".repeat(MAX_BYTES))).is_err());
    }

    #[test]
    fn survives_every_truncation_and_every_mutation() {
        let text = r"(&(uid=a\2ab*c)(|(x>=1)(y:dn:2.4:=z))(!(w~=v)))";
        for end in 0..text.len() {
            let _ = Filter::parse(&text[..end]);
            for byte in 0..=127_u8 {
                let changed = format!("{}{}{}", &text[..end], char::from(byte), &text[end + 1..]);
                let _ = Filter::parse(&changed);
            }
        }
    }

    #[test]
    fn an_escaped_value_is_read_back_as_it_was() {
        for value in ["alice", "*)(uid=*", "\\", "a\u{fc}\u{20ac}b", "a,b=c d", "\u{1}"] {
            let encoded = Filter::parse(&format!("(uid={})", super::super::filter_value(value)));
            let mut expected = Writer::with_capacity(64);
            expected.group(EQUALITY, |out| {
                out.bytes(OCTETS, b"uid");
                out.bytes(OCTETS, value.as_bytes());
            });
            assert_eq!(encoded.unwrap().encoded(), &**expected.into_bytes());
        }
    }
}
