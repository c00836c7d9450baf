//! What stands for a login in tables: keyed digests that tell nothing of it.
//!
//! HMAC-SHA-256 under a key that is drawn at the start and dies with the
//! process. A table of tags that leaks is of no use to anybody: passwords
//! cannot be tried against it without the key. Called by the cache, the
//! throttle and the handover.
//!
//! ```text
//! input: purpose (1 byte), then each field as length (4 bytes, big-endian) and bytes
//! ```
//!
//! Lengths make the encoding unambiguous: no two different logins share one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::verify::{Attempt, RealmSource};
use crate::base::{Identity, Secret};

/// The key of all tags of a process; wiped on drop.
pub struct TagKey(Zeroizing<[u8; KEY_BYTES]>);

/// A block of SHA-256, the longest key that HMAC takes as it is (RFC 2104 §3).
const KEY_BYTES: usize = 64;

/// A digest that stands for a login, a user or a password. Equal inputs have
/// equal tags; nobody without the key can tell anything else from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tag([u8; 32]);

/// What a tag is for: tags of two purposes are never equal.
#[derive(Clone, Copy)]
enum Purpose {
    Login = 1,
    User = 2,
    Proof = 3,
    Token = 4,
}

impl Tag {
    /// The first 64 bits: where it is in a table.
    pub(super) fn half(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Compares in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl TagKey {
    /// Takes bytes that the operating system has drawn for this process.
    #[must_use]
    pub fn new(random: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(random)
    }

    /// Tag of all that an answer to `attempt` depends on, asked of the chain number `chain`. The
    /// client's address is not in it, as with saslauthd 2.1.28.
    pub(super) fn login(&self, attempt: &Attempt, chain: usize) -> Tag {
        let source = match attempt.realm {
            RealmSource::Claim => b"claim",
            RealmSource::Login => b"login",
            RealmSource::Default => b"deflt",
        };
        let fields = [
            &chain.to_be_bytes(),
            attempt.identity.user().as_bytes(),
            attempt.identity.realm().as_bytes(),
            source,
            attempt.service.as_str().as_bytes(),
            attempt.password.expose(),
        ];
        self.tag(Purpose::Login, &fields)
    }

    /// Tag of a user.
    pub(super) fn user(&self, identity: &Identity) -> Tag {
        let fields = [identity.user(), identity.realm()].map(str::as_bytes);
        self.tag(Purpose::User, &fields)
    }

    /// Tag of a user with a password, whatever they are used for.
    pub(super) fn proof(&self, attempt: &Attempt) -> Tag {
        let (user, realm) = (attempt.identity.user(), attempt.identity.realm());
        let fields = [user.as_bytes(), realm.as_bytes(), attempt.password.expose()];
        self.tag(Purpose::Proof, &fields)
    }

    /// Tag of a handover token.
    pub(super) fn token(&self, token: &Secret) -> Tag {
        self.tag(Purpose::Token, &[token.expose()])
    }

    fn tag(&self, purpose: Purpose, fields: &[&[u8]]) -> Tag {
        let key: &[u8; KEY_BYTES] = &self.0;
        let mut mac = Hmac::<Sha256>::new(key.into());
        mac.update(&[purpose as u8]);
        for field in fields {
            // All fields are bounded, far below this.
            let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
            mac.update(&length.to_be_bytes());
            mac.update(field);
        }
        Tag(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
impl TagKey {
    /// A key of tests.
    pub(crate) fn for_tests() -> Self {
        Self::new(Zeroizing::new([7; KEY_BYTES]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Service;
    use crate::base::Origin;

    fn attempt(user: &str, realm: &str, service: &str, password: &str) -> Attempt {
        Attempt {
            identity: Identity::new(user, realm).unwrap(),
            realm: RealmSource::Claim,
            password: Secret::copied_from(password.as_bytes()).unwrap(),
            service: Service::from_wire(service.as_bytes()).unwrap(),
            origin: Origin::default(),
        }
    }

    #[test]
    fn every_input_makes_another_tag() {
        let key = TagKey::for_tests();
        let base = || attempt("alice", "ex.org", "smtp", "s3cret");
        let mut tags = vec![
            key.login(&base(), 0),
            key.login(&base(), 1),
            key.login(&Attempt { realm: RealmSource::Default, ..base() }, 0),
            key.login(&attempt("alicee", "x.org", "smtp", "s3cret"), 0),
            key.login(&attempt("alice", "ex.orgs", "mtp", "s3cret"), 0),
            key.login(&attempt("alice", "ex.org", "smtps", "3cret"), 0),
            key.login(&attempt("alice", "ex.org", "smtp", "s3creT"), 0),
            key.login(&attempt("alice", "ex.org", "", "smtps3cret"), 0),
            key.user(&base().identity),
            key.proof(&base()),
            TagKey::new(Zeroizing::new([8; KEY_BYTES])).login(&base(), 0),
        ];
        assert_eq!(tags[0], key.login(&base(), 0));
        let count = tags.len();
        tags.sort_by_key(|tag| tag.0);
        tags.dedup();
        assert_eq!(tags.len(), count);
    }

    #[test]
    fn no_byte_can_move_from_one_field_to_its_neighbour() {
        let key = TagKey::for_tests();
        let whole = "abcdefgh";
        let mut tags: Vec<Tag> = (1..whole.len())
            .map(|at| key.proof(&attempt(&whole[..at], "r", "", &whole[at..])))
            .collect();
        let count = tags.len();
        tags.sort_by_key(|tag| tag.0);
        tags.dedup();
        assert_eq!(tags.len(), count);
    }

    #[test]
    fn neither_service_nor_address_is_in_a_proof() {
        let key = TagKey::for_tests();
        let smtp = attempt("alice", "ex.org", "smtp", "s3cret");
        let origin = Origin { client: Some("192.0.2.7".parse().unwrap()), ..Origin::default() };
        let imap = Attempt { origin, ..attempt("alice", "ex.org", "imap", "s3cret") };
        assert_eq!(key.proof(&smtp), key.proof(&imap));
        assert_ne!(key.login(&smtp, 0), key.login(&imap, 0));
    }
}
