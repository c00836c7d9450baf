//! The LOGIN command, with a name and a password that can hold anything.
//!
//! Printable ASCII goes as a quoted string; anything else as a literal, for
//! which the server must say `+` first (RFC 9051 §4.3). No byte of a name or a
//! password can end the line that it stands in: the original saslauthd lets a
//! password with CR LF begin a command of its own.

use zeroize::Zeroizing;

use crate::base::Secret;

/// A name or a password with a CR or LF: no mail program means one, and many
/// servers and proxies handle it badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name or password contains a line break")]
pub struct Unsendable;

/// The command in its parts. All but the last end with the announcement of a
/// literal: what follows is sent when the server has said `+`. Wiped on drop.
///
/// # Errors
/// [`Unsendable`].
pub fn login(
    tag: &str,
    user: &str,
    password: &Secret,
) -> Result<Vec<Zeroizing<Vec<u8>>>, Unsendable> {
    let mut command = Command::new(2 * (user.len() + password.expose().len()) + 64);
    command.push(tag.as_bytes());
    command.push(b" LOGIN ");
    command.string(user.as_bytes())?;
    command.push(b" ");
    command.string(password.expose())?;
    command.push(b"\r\n");
    command.parts.push(command.last);
    Ok(command.parts)
}

struct Command {
    parts: Vec<Zeroizing<Vec<u8>>>,
    last: Zeroizing<Vec<u8>>,
    /// Room for all of it, so that no part ever moves and leaves itself behind.
    room: usize,
}

impl Command {
    fn new(room: usize) -> Self {
        Self { parts: Vec::new(), last: Zeroizing::new(Vec::with_capacity(room)), room }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Unsendable> {
        if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Unsendable);
        }
        let is_plain = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if is_plain && bytes.len() <= QUOTED_BYTES {
            self.quoted(bytes);
        } else {
            self.push(format!("{{{}}}\r\n", bytes.len()).as_bytes());
            let next = Zeroizing::new(Vec::with_capacity(self.room));
            self.parts.push(std::mem::replace(&mut self.last, next));
            self.push(bytes);
        }
        Ok(())
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.push(b"\"");
        for byte in bytes {
            if matches!(byte, b'"' | b'\\') {
                self.push(b"\\");
            }
            self.push(&[*byte]);
        }
        self.push(b"\"");
    }
}

/// Servers bound a line (RFC 9051 §4: 8,192 bytes are to be expected).
const QUOTED_BYTES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(user: &str, password: &[u8]) -> Vec<Vec<u8>> {
        let password = Secret::copied_from(password).unwrap();
        login("1", user, &password).unwrap().iter().map(|part| part.to_vec()).collect()
    }

    #[test]
    fn quotes_what_is_printable() {
        assert_eq!(parts("alice", b"s3cret"), [b"1 LOGIN \"alice\" \"s3cret\"\r\n"]);
        assert_eq!(parts("a\"b", b"c\\d e{5}"), [&b"1 LOGIN \"a\\\"b\" \"c\\\\d e{5}\"\r\n"[..]]);
    }

    #[test]
    fn sends_anything_else_as_a_literal() {
        assert_eq!(
            parts("alice", b"p\xc3\xa4ss"),
            [&b"1 LOGIN \"alice\" {5}\r\n"[..], b"p\xc3\xa4ss\r\n"]
        );
        assert_eq!(
            parts("\u{e4}", b"\t\x7f"),
            [&b"1 LOGIN {2}\r\n"[..], b"\xc3\xa4 {2}\r\n", b"\t\x7f\r\n"]
        );
        let long = [b'x'; 1001];
        assert_eq!(parts("alice", &long)[0], b"1 LOGIN \"alice\" {1001}\r\n");
    }

    #[test]
    fn no_byte_can_begin_a_line_of_its_own() {
        for bytes in [&b"p\"w\r\nsaslauthd NOOP"[..], b"\n", b"a\rb"] {
            let password = Secret::copied_from(bytes).unwrap();
            assert!(matches!(login("1", "alice", &password), Err(Unsendable)));
        }
        let password = Secret::copied_from(b"x").unwrap();
        assert!(matches!(login("1", "a\r\nb", &password), Err(Unsendable)));
        for byte in (1..=255u8).filter(|byte| !matches!(byte, b'\r' | b'\n')) {
            let whole = parts("alice", &[byte, b'x', byte]).concat();
            let breaks = whole.windows(2).filter(|pair| *pair == b"\r\n").count();
            assert_eq!(breaks, parts("alice", &[byte, b'x', byte]).len());
        }
    }
}
