//! The users of a sasldb2 in memory, and how a password is compared with theirs.
//!
//! Passwords do not stay: what is kept of each is its HMAC-SHA-256 under a key
//! that dies with the process. A comparison is then one HMAC of what was sent
//! and one of 32 bytes in constant time, whoever the user is, known or not,
//! and however long the real password.

use std::collections::HashMap;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::contents::records;
use super::entry::Key;
use super::error::SasldbError;
use super::format::Format;
use super::snapshot::Snapshot;
use crate::base::{MAX_SECRET_BYTES, Secret};

/// What is kept of a password.
pub(super) type Seal = [u8; 32];

/// Makes seals.
pub(super) struct Sealer {
    keyed: Hmac<Sha256>,
    /// The seal of no password.
    dummy: Seal,
}

impl Sealer {
    /// Draws a key.
    ///
    /// # Errors
    /// The kernel has no random bytes.
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        let (mut key, mut dummy) = (Zeroizing::new([0; 64]), [0; 32]);
        getrandom::fill(&mut *key)?;
        getrandom::fill(&mut dummy)?;
        Ok(Self { keyed: Hmac::new((&*key).into()), dummy })
    }

    fn seal(&self, password: &[u8]) -> Seal {
        let mut mac = self.keyed.clone();
        mac.update(password);
        mac.finalize().into_bytes().into()
    }

    /// The seal of a stored password. One that nobody can send gets the dummy:
    /// none at all, and what C code would cut at a NUL.
    fn seal_stored(&self, value: &[u8]) -> Seal {
        let is_possible = (1..=MAX_SECRET_BYTES).contains(&value.len()) && !value.contains(&0);
        if is_possible { self.seal(value) } else { self.dummy }
    }

    /// True if `password` is one of `seals`; for nobody's it costs the same.
    pub(super) fn is_among(&self, password: &Secret, seals: Option<&[Seal]>) -> bool {
        let seal = self.seal(password.expose());
        let seals = seals.unwrap_or(std::slice::from_ref(&self.dummy));
        let fits = seals.iter().fold(Choice::from(0), |fits, stored| fits | stored.ct_eq(&seal));
        fits.into()
    }
}

/// Everybody who has a password.
pub(super) struct Table {
    /// By user, NUL, realm, where the realm has no capitals.
    plain: HashMap<Box<[u8]>, Seal>,
    /// The rest, by user, NUL, realm in lower case: more than one may come to the same.
    folded: HashMap<Box<[u8]>, Vec<Seal>>,
    pub(super) format: Format,
    /// Records left out, since their key is malformed.
    pub(super) malformed: usize,
}

impl Table {
    /// Reads the users in `snapshot` of the file at `path`.
    ///
    /// # Errors
    /// `Unknown`, `Foreign`, `Damaged`.
    pub(super) fn read(
        path: &Path,
        snapshot: &Snapshot,
        sealer: &Sealer,
    ) -> Result<Self, SasldbError> {
        let (mut plain, mut folded) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        let mut malformed = 0;
        let format = records(path, snapshot, &mut |key, value| {
            let Some(key) = Key::parse(key) else {
                malformed += 1;
                return;
            };
            if !key.is_password() {
                return;
            }
            let seal = sealer.seal_stored(value);
            let place = place(key.user, key.realm);
            if key.realm.iter().any(u8::is_ascii_uppercase) {
                folded.entry(place).or_default().push(seal);
            } else {
                plain.insert(place, seal);
            }
        })?;
        Ok(Self { plain, folded, format, malformed })
    }

    /// What is kept of the passwords of `user` in `realm`: the realm as it is,
    /// else in any case of letters. `None` if there is no such user.
    pub(super) fn find(&self, user: &str, realm: &str) -> Option<&[Seal]> {
        let place = place(user.as_bytes(), realm.as_bytes());
        match self.plain.get(&place) {
            Some(seal) => Some(std::slice::from_ref(seal)),
            None => self.folded.get(&place).map(Vec::as_slice),
        }
    }

    /// How many users there are, in any realm.
    pub(super) fn users(&self) -> usize {
        self.plain.len() + self.folded.values().map(Vec::len).sum::<usize>()
    }
}

fn place(user: &[u8], realm: &[u8]) -> Box<[u8]> {
    let mut place = Vec::with_capacity(user.len() + 1 + realm.len());
    place.extend_from_slice(user);
    place.push(0);
    place.extend(realm.iter().map(u8::to_ascii_lowercase));
    place.into_boxed_slice()
}
