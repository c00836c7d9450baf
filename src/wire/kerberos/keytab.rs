//! The keytab: the keys of services on this host, in MIT's format 0x0502.
//!
//! ```text
//! file:   05 02 | entry ...
//! entry:  length (4 bytes, signed) | content          a negative length is a hole
//! content: count | realm | component ... | kind (4) | time (4) | version (1)
//!          | enctype (2) | key | version (4, if there is room; counts if not zero)
//! texts, keys and count: 2 bytes; numbers: big endian
//! ```
//!
//! Keys of kinds that are not known here are left out, but their principals are
//! named. The older 0x0501 (in the byte order of its host) is refused.

use super::crypto::Key;
use super::name::{Name, Principal};

/// A key of a service.
pub struct ServiceKey {
    /// Whose.
    pub principal: Principal,
    /// Its version.
    pub version: u32,
    /// The key.
    pub key: Key,
}

/// The entries of a file.
pub struct Keytab {
    keys: Vec<ServiceKey>,
    /// Every principal there is, also those whose keys are of no known kind.
    principals: Vec<Principal>,
}

/// Why a file is no keytab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeytabError {
    /// It begins with something else.
    #[error("it does not begin as a keytab does (05 02)")]
    Magic,
    /// The entry at this offset is damaged.
    #[error("the entry at byte {0} is damaged")]
    Entry(usize),
}

impl Keytab {
    /// Reads a file.
    ///
    /// # Errors
    /// [`KeytabError`]; nothing of a damaged file is taken.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeytabError> {
        let mut left = bytes.strip_prefix(&[5, 2]).ok_or(KeytabError::Magic)?;
        let mut keytab = Self { keys: Vec::new(), principals: Vec::new() };
        while !left.is_empty() {
            let place = bytes.len() - left.len();
            let damaged = KeytabError::Entry(place);
            let (head, behind) = left.split_first_chunk::<4>().ok_or(damaged)?;
            let length = i32::from_be_bytes(*head);
            if length == 0 {
                // What libkrb5 leaves at the end of a file that shrank.
                break;
            }
            let size = usize::try_from(length.unsigned_abs()).map_err(|_| damaged)?;
            let (content, behind) = behind.split_at_checked(size).ok_or(damaged)?;
            left = behind;
            if length > 0 {
                keytab.take(content).ok_or(damaged)?;
            }
        }
        Ok(keytab)
    }

    /// The keys of the services with that name, in any realm.
    pub fn keys_of(&self, name: &Name) -> impl Iterator<Item = &ServiceKey> {
        self.keys.iter().filter(move |it| it.principal.name == *name)
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&ServiceKey) -> bool) {
        self.keys.retain(|key| keep(key));
    }

    /// All its keys.
    #[must_use]
    pub fn into_keys(self) -> Vec<ServiceKey> {
        self.keys
    }

    /// Whose keys there are, each once, whatever their kinds.
    #[must_use]
    pub fn principals(&self) -> &[Principal] {
        &self.principals
    }

    fn take(&mut self, content: &[u8]) -> Option<()> {
        let mut left = Content(content);
        let count = left.short()?;
        let realm = left.text()?;
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(left.text()?);
        }
        left.bytes(8)?;
        let short_version = *left.bytes(1)?.first()?;
        let enctype = left.short()?;
        let length = left.short()?;
        let key = left.bytes(length.into())?;
        let version = left.bytes(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let version = version.filter(|it| *it != 0).unwrap_or(short_version.into());
        let principal = Principal { name: Name::new(&parts), realm: realm.to_owned() };
        if !self.principals.contains(&principal) {
            self.principals.push(principal.clone());
        }
        if let Some(key) = Key::new(enctype.into(), key) {
            self.keys.push(ServiceKey { principal, version, key });
        }
        Some(())
    }
}

/// What is left of an entry.
struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    fn short(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.short()?;
        std::str::from_utf8(self.bytes(length.into())?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(realm: &str, parts: &[&str], (version, enctype): (u8, u16), key: &[u8]) -> Vec<u8> {
        let counted = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
        let mut content = (parts.len() as u16).to_be_bytes().to_vec();
        content.extend(counted(realm.as_bytes()));
        parts.iter().for_each(|part| content.extend(counted(part.as_bytes())));
        content.extend([0, 0, 0, 3, 0x6a, 0, 0, 0, version]);
        content.extend(enctype.to_be_bytes());
        content.extend(counted(key));
        [&(content.len() as u32).to_be_bytes()[..], &content].concat()
    }

    /// A key, a hole, a key that is too new for one byte, a key of another kind.
    fn sample() -> Vec<u8> {
        let mut file = vec![5, 2];
        file.extend(entry("A.TEST", &["host", "mx.a.test"], (3, 18), &[7; 32]));
        file.extend([0xff, 0xff, 0xff, 0xfb, 1, 2, 3, 4, 5]);
        let mut long = entry("A.TEST", &["host", "mx.a.test"], (1, 17), &[8; 16]);
        let length = (long.len() - 4 + 4) as u32;
        long[..4].copy_from_slice(&length.to_be_bytes());
        long.extend(257_u32.to_be_bytes());
        file.extend(long);
        file.extend(entry("A.TEST", &["imap", "mx.a.test"], (1, 23), &[9; 16]));
        file
    }

    #[test]
    fn reads_keys_and_passes_over_holes() {
        let keytab = Keytab::parse(&sample()).unwrap();
        let host = Name::new(&["host", "mx.a.test"]);
        let found: Vec<(u32, i64)> =
            keytab.keys_of(&host).map(|it| (it.version, it.key.enctype().number())).collect();
        assert_eq!(found, [(3, 18), (257, 17)]);
        let names: Vec<String> = keytab.principals().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["host/mx.a.test@A.TEST", "imap/mx.a.test@A.TEST"]);
        assert_eq!(keytab.keys_of(&Name::new(&["imap", "mx.a.test"])).count(), 0, "RC4");
    }

    #[test]
    fn an_empty_one_and_one_that_shrank_are_whole() {
        assert_eq!(Keytab::parse(&[5, 2]).unwrap().principals().len(), 0);
        assert_eq!(Keytab::parse(&[5, 2, 0, 0, 0, 0, 9, 9]).unwrap().principals().len(), 0);
        for bad in [&b""[..], b"\x05", b"\x05\x01", b"-----BEGIN"] {
            assert_eq!(Keytab::parse(bad).err(), Some(KeytabError::Magic));
        }
        let endless = [5, 2, 0x80, 0, 0, 0];
        assert_eq!(Keytab::parse(&endless).err(), Some(KeytabError::Entry(2)));
    }

    #[test]
    fn survives_every_truncation_and_every_changed_byte() {
        let whole = sample();
        for end in 0..whole.len() {
            let _ = Keytab::parse(&whole[..end]);
            for value in 0..=255 {
                let mut changed = whole.clone();
                changed[end] = value;
                let _ = Keytab::parse(&changed);
            }
        }
    }
}
