//! `<local@domain>`: the paths of MAIL and RCPT, read strictly, written canonically.
//!
//! ```text
//! <>                      the null path            reverse only
//! <postmaster>            without a domain         forward only (RFC 5321 §4.5.1)
//! <a.b@example.org>       dot-string
//! <"a b"@example.org>     quoted string, its quotes kept
//! <a@[192.0.2.1]>         address literals, <a@[IPv6:2001:db8::1]> too
//! <@r,@s:a@example.org>   source route: read, and forgotten (RFC 5321 appendix C)
//! <jörg@exämple.org>      UTF-8 (RFC 6531), flagged
//! ```
//!
//! The MTA behind the gate takes more (lists, missing brackets, 8-bit bytes cut
//! to 7), so only what was read here is written there. Two liberties: `_` may
//! stand in a domain, since hosts are named so, and a local part may exceed the
//! 64 bytes that RFC 5321 §4.5.3.1.1 makes the *least* a server takes, since
//! reply and bounce addresses made by programs do. Limits: 256 bytes a path
//! with its brackets, 255 a domain, 63 a label.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest path with its brackets (RFC 5321 §4.5.3.1.3).
pub const MAX_PATH_BYTES: usize = 256;
/// Longest domain (RFC 5321 §4.5.3.1.2).
pub const MAX_DOMAIN_BYTES: usize = 255;
/// Longest label of a domain (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// A reverse or forward path. Holds no control character, no blank outside
/// quotes, no source route; `to_string().len() <= 256`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    /// The mailbox without brackets, as it goes on the wire; empty for the null path.
    address: String,
}

/// Which of the two paths is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Of MAIL: may be null.
    Reverse,
    /// Of RCPT: may be `<postmaster>`.
    Forward,
}

/// Why text is not a path. The peer's fault, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with `<`.
    #[error("the address must stand in <>")]
    NoBracket,
    /// It does not end with `>` where the address ends.
    #[error("a > is missing behind the address")]
    Unterminated,
    /// `<>` where a recipient is wanted.
    #[error("the address is empty")]
    Empty,
    /// Neither a dot-string nor a quoted string in front of the `@`.
    #[error("the part before the @ is malformed; odd characters need quotes")]
    BadLocal,
    /// A local part alone.
    #[error("the address has no domain")]
    NoDomain,
    /// No host name behind the `@`, or beyond 255 bytes, or a label beyond 63.
    #[error("the domain is malformed")]
    BadDomain,
    /// `[...]` that is neither IPv4 nor `IPv6:` and an IPv6 address.
    #[error("the address literal is malformed")]
    BadLiteral,
    /// A source route that is none.
    #[error("the source route is malformed")]
    BadRoute,
    /// Beyond [`MAX_PATH_BYTES`].
    #[error("the address is longer than 256 bytes")]
    TooLong,
    /// Bytes that are not UTF-8.
    #[error("the address is not UTF-8")]
    NotUtf8,
}

impl Path {
    /// Reads a path at the start of `text`; gives it and what follows the `>`.
    ///
    /// # Errors
    /// See [`PathError`]. Bytes that are not UTF-8 count only inside the path.
    pub fn parse(text: &[u8], direction: Direction) -> Result<(Self, &[u8]), PathError> {
        let valid = match std::str::from_utf8(text) {
            Ok(valid) => valid,
            Err(error) => text
                .get(..error.valid_up_to())
                .and_then(|part| std::str::from_utf8(part).ok())
                .unwrap_or_default(),
        };
        match Self::read(valid, direction) {
            Ok((path, length)) => Ok((path, &text[length..])),
            // It failed where the good bytes ended: that is why.
            Err(_) if valid.len() < text.len() => Err(PathError::NotUtf8),
            Err(error) => Err(error),
        }
    }

    /// The path, and how many bytes of `text` it took.
    fn read(text: &str, direction: Direction) -> Result<(Self, usize), PathError> {
        let inner = text.strip_prefix('<').ok_or(PathError::NoBracket)?;
        let mailbox = skip_route(inner)?;
        let local_bytes = local_length(mailbox).ok_or(PathError::BadLocal)?;
        let (local, behind) = mailbox.split_at(local_bytes);
        let address_bytes = match behind.strip_prefix('@') {
            Some(domain) if local_bytes > 0 => local_bytes + 1 + domain_length(domain)?,
            Some(_) => return Err(PathError::BadLocal),
            None => local_bytes,
        };
        let (address, behind) = mailbox.split_at(address_bytes);
        if !behind.starts_with('>') {
            return Err(if address_bytes == 0 {
                PathError::BadLocal
            } else {
                PathError::Unterminated
            });
        }
        if address_bytes == local_bytes {
            let is_routed = mailbox.len() < inner.len();
            may_stand_alone(local, direction, is_routed)?;
        }
        if address_bytes + "<>".len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let path = Self { address: address.to_owned() };
        Ok((path, text.len() - behind.len() + ">".len()))
    }

    /// The mailbox without brackets, quotes kept; empty for the null path.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// True if it holds anything but ASCII, so only SMTPUTF8 may carry it (RFC 6531 §3.3).
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.address.is_ascii()
    }

    /// Appends the path with its brackets, as a command carries it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.address.as_bytes());
        out.push(b'>');
    }
}

impl fmt::Display for Path {
    /// With brackets, as in commands and log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.address)
    }
}

/// Whether a local part (maybe empty) may go without a domain.
fn may_stand_alone(local: &str, direction: Direction, is_routed: bool) -> Result<(), PathError> {
    match direction {
        _ if is_routed => Err(PathError::BadRoute),
        Direction::Reverse if local.is_empty() => Ok(()),
        Direction::Forward if local.is_empty() => Err(PathError::Empty),
        Direction::Forward if local.eq_ignore_ascii_case("postmaster") => Ok(()),
        _ => Err(PathError::NoDomain),
    }
}

/// What follows a source route `@a,@b:`, or everything where there is none.
fn skip_route(text: &str) -> Result<&str, PathError> {
    let mut rest = text;
    while let Some(hop) = rest.strip_prefix('@') {
        let length = domain_length(hop).map_err(|_| PathError::BadRoute)?;
        let behind = &hop[length..];
        if let Some(mailbox) = behind.strip_prefix(':') {
            return Ok(mailbox);
        }
        rest = behind.strip_prefix(',').ok_or(PathError::BadRoute)?;
        if !rest.starts_with('@') {
            return Err(PathError::BadRoute);
        }
    }
    Ok(rest)
}

/// Length of the local part at the start of `text`: 0 if there is none, `None` if it is broken.
fn local_length(text: &str) -> Option<usize> {
    if text.starts_with('"') {
        return quoted_length(text);
    }
    let length = text.find(|c: char| !is_atext(c) && c != '.').unwrap_or(text.len());
    let has_good_dots = length == 0 || text[..length].split('.').all(|atom| !atom.is_empty());
    has_good_dots.then_some(length)
}

/// Length of a Quoted-string with both quotes (RFC 5321 §4.1.2, RFC 6531 §3.3).
fn quoted_length(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at + 1),
            '\\' => {
                chars.next().filter(|(_, escaped)| matches!(escaped, ' '..='~'))?;
            }
            ' '..='~' => {}
            _ if is_plain_utf8(c) => {}
            _ => return None,
        }
    }
    None
}

/// RFC 5322 §3.2.3, with RFC 6531 §3.3.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_plain_utf8(c)
}

/// A character outside ASCII that neither controls nor breaks a line. RFC 6531
/// allows C1 controls and line separators; terminals and logs do not.
fn is_plain_utf8(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// Length of the domain or address literal at the start of `text`.
fn domain_length(text: &str) -> Result<usize, PathError> {
    if let Some(literal) = text.strip_prefix('[') {
        let length = literal.find(']').ok_or(PathError::BadLiteral)?;
        let is_address = is_literal(&literal[..length]);
        return if is_address { Ok(length + "[]".len()) } else { Err(PathError::BadLiteral) };
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || is_plain_utf8(c);
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let is_good = length <= MAX_DOMAIN_BYTES && text[..length].split('.').all(is_label);
    if is_good { Ok(length) } else { Err(PathError::BadDomain) }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

/// What stands in `[]`: IPv4, or `IPv6:` and IPv6 (RFC 5321 §4.1.3).
fn is_literal(text: &str) -> bool {
    match text.split_at_checked("IPv6:".len()) {
        Some((tag, v6)) if tag.eq_ignore_ascii_case("IPv6:") => v6.parse::<Ipv6Addr>().is_ok(),
        _ => text.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, direction: Direction) -> Result<String, PathError> {
        Path::parse(text.as_bytes(), direction).map(|(path, rest)| {
            assert_eq!(rest, b"", "{text}");
            path.to_string()
        })
    }

    fn reverse(text: &str) -> Result<String, PathError> {
        parse(text, Direction::Reverse)
    }

    fn forward(text: &str) -> Result<String, PathError> {
        parse(text, Direction::Forward)
    }

    #[test]
    fn legal_paths_come_out_as_they_went_in() {
        for text in [
            "<a@b>",
            "<first.last+tag@example.org>",
            "<!#$%&'*+-/=?^_`{|}~@example.org>",
            "<\"a b\"@example.org>",
            "<\"a\\\"b\\\\c@d>,<e\"@example.org>",
            "<\"\"@example.org>",
            "<a@[192.0.2.1]>",
            "<a@[IPv6:2001:db8::1]>",
            "<a@[ipv6:::1]>",
            "<root@web_01.internal>",
            "<a@xn--exmple-cua.org>",
            "<j\u{f6}rg@ex\u{e4}mple.org>",
            "<\"j\u{f6} rg\"@example.org>",
            "<a@1.2.3.4>",
        ] {
            assert_eq!(reverse(text).as_deref(), Ok(text));
            assert_eq!(forward(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn null_is_a_sender_and_postmaster_a_recipient() {
        assert_eq!(reverse("<>").as_deref(), Ok("<>"));
        assert_eq!(forward("<>"), Err(PathError::Empty));
        assert_eq!(forward("<Postmaster>").as_deref(), Ok("<Postmaster>"));
        assert_eq!(reverse("<postmaster>"), Err(PathError::NoDomain));
        assert_eq!(forward("<bob>"), Err(PathError::NoDomain));
    }

    #[test]
    fn a_source_route_is_forgotten() {
        assert_eq!(forward("<@a,@b.c:bob@gate.test>").as_deref(), Ok("<bob@gate.test>"));
        assert_eq!(forward("<@[192.0.2.1]:bob@gate.test>").as_deref(), Ok("<bob@gate.test>"));
        for bad in ["<@a,b:x@y>", "<@:x@y>", "<@a x@y>", "<@a,@:x@y>", "<@a:>", "<@a:postmaster>"] {
            assert_eq!(forward(bad), Err(PathError::BadRoute), "{bad}");
        }
        assert_eq!(reverse("<@a:>"), Err(PathError::BadRoute));
        assert_eq!(reverse("<@a>"), Err(PathError::BadRoute));
    }

    #[test]
    fn gives_the_mailbox_and_what_follows_it() {
        let (path, rest) = Path::parse(b"<\"a@b\"@C.d> SIZE=1", Direction::Reverse).unwrap();
        assert_eq!(path.address(), "\"a@b\"@C.d");
        assert_eq!(rest, b" SIZE=1");
        assert!(!path.needs_smtputf8());
        let (path, _) = Path::parse("<a@\u{e4}.de>".as_bytes(), Direction::Forward).unwrap();
        assert!(path.needs_smtputf8());
    }

    #[test]
    fn refuses_what_a_lenient_mta_would_take() {
        use PathError::{BadDomain, BadLiteral, BadLocal, NoBracket, Unterminated};
        for (text, error) in [
            ("a@b", NoBracket),
            ("", NoBracket),
            ("Bob <a@b>", NoBracket),
            ("<a@b", Unterminated),
            ("<a@b,c@d>", Unterminated),
            ("<a@b@c>", Unterminated),
            ("<a@b >", Unterminated),
            ("<a b@c>", Unterminated),
            ("< a@b>", BadLocal),
            ("<a@b;x>", Unterminated),
            ("<a@b(comment)>", Unterminated),
            ("<\"a\"b@c>", Unterminated),
            ("<\"a>", BadLocal),
            ("<\"a\tb\"@c>", BadLocal),
            ("<.a@b>", BadLocal),
            ("<a.@b>", BadLocal),
            ("<a..b@c>", BadLocal),
            ("<a@>", BadDomain),
            ("<a@b.>", BadDomain),
            ("<a@.b>", BadDomain),
            ("<a@b..c>", BadDomain),
            ("<a@-b>", BadDomain),
            ("<a@b->", BadDomain),
            ("<a@[1.2.3]>", BadLiteral),
            ("<a@[1.2.3.4>", BadLiteral),
            ("<a@[2001:db8::1]>", BadLiteral),
            ("<a@[IPv6:1.2.3.4]>", BadLiteral),
            ("<a@[IPv6:fe80::1%eth0]>", BadLiteral),
            ("<a@[tag:x]>", BadLiteral),
            ("<a\u{85}b@c>", Unterminated),
            ("<a\u{2028}b@c>", Unterminated),
        ] {
            assert_eq!(reverse(text), Err(error), "{text}");
        }
        assert_eq!(forward("<@b>"), Err(PathError::BadRoute));
    }

    #[test]
    fn bytes_that_are_not_utf8_count_only_inside() {
        let parse = |text: &[u8]| Path::parse(text, Direction::Reverse).map(|(path, _)| path);
        assert_eq!(parse(b"<j\xf6rg@b>"), Err(PathError::NotUtf8));
        assert_eq!(parse(b"<a@b\xff>"), Err(PathError::NotUtf8));
        assert_eq!(parse(b"\xff<a@b>"), Err(PathError::NotUtf8));
        assert_eq!(parse(b"<a@b> X=\xff").unwrap().to_string(), "<a@b>");
    }

    #[test]
    fn bounds_domain_label_and_path() {
        let label = "d".repeat(63);
        assert!(forward(&format!("<a@{label}.org>")).is_ok());
        assert_eq!(forward(&format!("<a@{label}d.org>")), Err(PathError::BadDomain));
        let domain = [label.as_str(); 4].join(".");
        assert_eq!(domain.len(), MAX_DOMAIN_BYTES);
        assert_eq!(forward(&format!("<a@{domain}>")), Err(PathError::TooLong));
        assert_eq!(forward(&format!("<a@{domain}.e>")), Err(PathError::BadDomain));
        let local = "l".repeat(MAX_PATH_BYTES - "<@b.c>".len());
        assert!(forward(&format!("<{local}@b.c>")).is_ok());
        assert_eq!(forward(&format!("<l{local}@b.c>")), Err(PathError::TooLong));
    }

    #[test]
    fn truncations_and_mutations_never_give_what_does_not_read_back() {
        let good = "<@r:\"a \\\"b\"@[IPv6:2001:db8::1]>".as_bytes();
        for end in 0..good.len() {
            assert!(Path::parse(&good[..end], Direction::Reverse).is_err(), "cut at {end}");
        }
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut text = good.to_vec();
                text[at] = byte;
                if let Ok((path, _)) = Path::parse(&text, Direction::Reverse) {
                    let again = reverse(&path.to_string());
                    assert_eq!(again, Ok(path.to_string()), "byte {byte} at {at}");
                }
            }
        }
    }
}
