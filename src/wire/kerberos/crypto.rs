//! Keys and what is done with them: RFC 3961 and 3962 (AES with SHA-1), RFC 8009 (AES with SHA-2).
//!
//! ```text
//! 17, 18:  CTS(Ke, confounder | text) | HMAC-SHA1(Ki, confounder | text), 12 bytes
//! 19, 20:  CTS(Ke, confounder | text) | HMAC-SHA2(Ki, zeros | ciphertext), 16 or 24 bytes
//! ```
//!
//! Written here: the one library that has it derives with a fixed number of
//! iterations, knows nothing of 19 and 20, compares checksums in variable time
//! and wipes nothing. AES, HMAC, SHA and PBKDF2 are libraries. DES and RC4 are
//! gone (RFC 8429) and not here. Random bytes come from the caller.

#[cfg(test)]
mod tests;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt};
use aes::{Aes128, Aes256};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

const BLOCK: usize = 16;

/// How a key is used: its number in RFC 4120 §7.5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// PA-ENC-TIMESTAMP, under the client's key.
    Timestamp = 1,
    /// The sealed part of a ticket, under the service's key.
    Ticket = 2,
    /// The sealed part of an AS-REP, under the client's key.
    AsReply = 3,
    /// The checksum in the authenticator of a TGS-REQ.
    TgsChecksum = 6,
    /// The authenticator of a TGS-REQ.
    TgsAuthenticator = 7,
    /// The sealed part of a TGS-REP, under the session key.
    TgsReply = 8,
}

/// The kinds of keys that are known here (encryption types, RFC 3961 §8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enctype {
    /// aes128-cts-hmac-sha1-96
    Aes128Sha1,
    /// aes256-cts-hmac-sha1-96
    Aes256Sha1,
    /// aes128-cts-hmac-sha256-128
    Aes128Sha256,
    /// aes256-cts-hmac-sha384-192
    Aes256Sha384,
}

impl Enctype {
    /// All of them, the best first: what a request offers.
    pub const ALL: [Self; 4] =
        [Self::Aes256Sha384, Self::Aes256Sha1, Self::Aes128Sha256, Self::Aes128Sha1];

    /// The one with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.number() == number)
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            Self::Aes128Sha1 => 17,
            Self::Aes256Sha1 => 18,
            Self::Aes128Sha256 => 19,
            Self::Aes256Sha384 => 20,
        }
    }

    /// The number of its checksum (RFC 3962 §7, RFC 8009 §7).
    #[must_use]
    pub fn checksum_number(self) -> i64 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha256 => 19,
            Self::Aes256Sha384 => 20,
        }
    }

    /// Rounds of PBKDF2 where the KDC names none.
    #[must_use]
    pub fn default_iterations(self) -> u32 {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 4096,
            Self::Aes128Sha256 | Self::Aes256Sha384 => 32_768,
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes128Sha256 => 16,
            Self::Aes256Sha1 | Self::Aes256Sha384 => 32,
        }
    }

    fn mac_bytes(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 12,
            Self::Aes128Sha256 => 16,
            Self::Aes256Sha384 => 24,
        }
    }

    /// The name that RFC 8009 puts in front of a salt.
    fn salt_prefix(self) -> &'static [u8] {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => b"",
            Self::Aes128Sha256 => b"aes128-cts-hmac-sha256-128\0",
            Self::Aes256Sha384 => b"aes256-cts-hmac-sha384-192\0",
        }
    }
}

/// A key; wiped on drop.
pub struct Key {
    enctype: Enctype,
    bytes: Zeroizing<Vec<u8>>,
}

/// Which of the three keys below a key.
#[derive(Clone, Copy)]
enum Part {
    Encryption = 0xaa,
    Integrity = 0x55,
    Checksum = 0x99,
}

impl Key {
    /// Copies the bytes of a key; `None` if it is of no known kind or has not its length.
    #[must_use]
    pub fn new(number: i64, bytes: &[u8]) -> Option<Self> {
        let enctype = Enctype::from_number(number)?;
        let is_fit = bytes.len() == enctype.key_bytes();
        is_fit.then(|| Self { enctype, bytes: Zeroizing::new(bytes.to_vec()) })
    }

    /// Makes the key of a password (RFC 3962 §4, RFC 8009 §4). Milliseconds of work.
    #[must_use]
    pub fn from_password(enctype: Enctype, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salt = [enctype.salt_prefix(), salt].concat();
        let mut bytes = Zeroizing::new(vec![0; enctype.key_bytes()]);
        match enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                pbkdf2::pbkdf2_hmac::<Sha1>(password, &salt, iterations, &mut bytes);
            }
            Enctype::Aes128Sha256 => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, &mut bytes);
            }
            Enctype::Aes256Sha384 => {
                pbkdf2::pbkdf2_hmac::<Sha384>(password, &salt, iterations, &mut bytes);
            }
        }
        let raw = Self { enctype, bytes };
        let bytes = raw.derive(b"kerberos", enctype.key_bytes());
        Self { enctype, bytes }
    }

    /// Its kind.
    #[must_use]
    pub fn enctype(&self) -> Enctype {
        self.enctype
    }

    /// True if both are the same key; in constant time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.enctype == other.enctype && bool::from(self.bytes.ct_eq(&other.bytes))
    }

    /// Seals `text`; `confounder` is random, and another one each time.
    #[must_use]
    pub fn seal(&self, usage: Usage, confounder: [u8; 16], text: &[u8]) -> Vec<u8> {
        let plain = Zeroizing::new([&confounder, text].concat());
        let mut sealed = plain.to_vec();
        self.cipher(usage).encrypt(&mut sealed);
        let mac = self.mac(usage, &plain, &sealed);
        sealed.extend_from_slice(&mac);
        sealed
    }

    /// Opens what was sealed with this key for this usage; `None` if it was not.
    #[must_use]
    pub fn open(&self, usage: Usage, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let length = sealed.len().checked_sub(self.enctype.mac_bytes())?;
        if length < BLOCK {
            return None;
        }
        let (sealed, mac) = sealed.split_at(length);
        let mut plain = Zeroizing::new(sealed.to_vec());
        self.cipher(usage).decrypt(&mut plain);
        let is_intact = bool::from(self.mac(usage, &plain, sealed).ct_eq(mac));
        is_intact.then(|| Zeroizing::new(plain[BLOCK..].to_vec()))
    }

    /// The checksum of `bytes`.
    #[must_use]
    pub fn checksum(&self, usage: Usage, bytes: &[u8]) -> Vec<u8> {
        self.hmac(&self.part(usage, Part::Checksum), &[bytes])
    }

    /// The checksum beside a ciphertext: over the text, or over the ciphertext.
    fn mac(&self, usage: Usage, plain: &[u8], sealed: &[u8]) -> Vec<u8> {
        let key = self.part(usage, Part::Integrity);
        match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => self.hmac(&key, &[plain]),
            Enctype::Aes128Sha256 | Enctype::Aes256Sha384 => {
                self.hmac(&key, &[&[0; BLOCK], sealed])
            }
        }
    }

    fn cipher(&self, usage: Usage) -> Cipher {
        Cipher::new(&self.part(usage, Part::Encryption))
    }

    /// One of the keys below this one (RFC 3961 §5.3, RFC 8009 §5).
    fn part(&self, usage: Usage, part: Part) -> Zeroizing<Vec<u8>> {
        let usage = (usage as u32).to_be_bytes();
        let label = [usage[0], usage[1], usage[2], usage[3], part as u8];
        let length = match (self.enctype, part) {
            (Enctype::Aes256Sha384, Part::Integrity | Part::Checksum) => 24,
            _ => self.enctype.key_bytes(),
        };
        self.derive(&label, length)
    }

    /// `length` bytes that follow from this key and a label.
    fn derive(&self, label: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
        match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                // DR of RFC 3961 §5.1: the label folded, enciphered again and again.
                let cipher = Cipher::new(&self.bytes);
                let mut block = fold(label);
                let mut derived = Zeroizing::new(Vec::with_capacity(length));
                while derived.len() < length {
                    cipher.encrypt_block(&mut block);
                    derived.extend_from_slice(&block);
                }
                block.zeroize();
                derived
            }
            Enctype::Aes128Sha256 | Enctype::Aes256Sha384 => {
                // KDF-HMAC-SHA2 of RFC 8009 §3; one round is enough for every length.
                let bits = u32::try_from(length * 8).unwrap_or(0).to_be_bytes();
                let message: [&[u8]; 4] = [&[0, 0, 0, 1], label, &[0], &bits];
                let mut derived = Zeroizing::new(match self.enctype {
                    Enctype::Aes128Sha256 => keyed::<Hmac<Sha256>>(&self.bytes, &message),
                    _ => keyed::<Hmac<Sha384>>(&self.bytes, &message),
                });
                derived.truncate(length);
                derived
            }
        }
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => keyed::<Hmac<Sha1>>(key, parts),
            Enctype::Aes128Sha256 => keyed::<Hmac<Sha256>>(key, parts),
            Enctype::Aes256Sha384 => keyed::<Hmac<Sha384>>(key, parts),
        };
        mac.truncate(self.enctype.mac_bytes());
        mac
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of every length; an empty checksum would fit nothing.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// n-fold to 128 bits (RFC 3961 §5.1): the label again and again, each time
/// turned 13 bits further, added up in ones' complement.
fn fold(label: &[u8]) -> [u8; BLOCK] {
    let bits = label.len() * 8;
    let turned = |at: usize| {
        // Bit `at` of all the copies in a row; the first bit is the highest.
        let (copy, bit) = (at / bits, at % bits);
        let from = (bit + bits * copy * 13 - 13 * copy) % bits;
        label[from / 8] >> (7 - from % 8) & 1
    };
    let total = label.len() * BLOCK / common_divisor(label.len(), BLOCK);
    let mut sum = 0_u128;
    for chunk in 0..total / BLOCK {
        let value = (0..BLOCK * 8)
            .fold(0_u128, |value, bit| value << 1 | u128::from(turned(chunk * BLOCK * 8 + bit)));
        let (added, has_overflown) = sum.overflowing_add(value);
        sum = added + u128::from(has_overflown);
    }
    sum.to_be_bytes()
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// AES with a key of 16 or 32 bytes.
enum Cipher {
    Short(Box<Aes128>),
    Long(Box<Aes256>),
}

impl Cipher {
    fn new(key: &[u8]) -> Self {
        if let Ok(key) = <[u8; 32]>::try_from(key) {
            return Self::Long(Box::new(Aes256::new(&key.into())));
        }
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(key) {
            *to = *from;
        }
        Self::Short(Box::new(Aes128::new(&short.into())))
    }

    fn encrypt_block(&self, block: &mut [u8; BLOCK]) {
        let mut state = aes::Block::from(*block);
        match self {
            Self::Short(aes) => aes.encrypt_block(&mut state),
            Self::Long(aes) => aes.encrypt_block(&mut state),
        }
        *block = state.into();
    }

    fn decrypt_block(&self, block: &mut [u8; BLOCK]) {
        let mut state = aes::Block::from(*block);
        match self {
            Self::Short(aes) => aes.decrypt_block(&mut state),
            Self::Long(aes) => aes.decrypt_block(&mut state),
        }
        *block = state.into();
    }

    /// CBC with ciphertext stealing, its last two blocks swapped always (RFC 3962 §5).
    /// Takes at least one block.
    fn encrypt(&self, text: &mut [u8]) {
        let mut previous = [0; BLOCK];
        let count = text.len().div_ceil(BLOCK);
        for at in 0..count {
            let range = at * BLOCK..text.len().min((at + 1) * BLOCK);
            let mut block = [0; BLOCK];
            block[..range.len()].copy_from_slice(&text[range.clone()]);
            xor(&mut block, &previous);
            self.encrypt_block(&mut block);
            if at + 1 == count && count > 1 {
                // The last goes before the last but one, of which only the head is kept.
                text[range.clone()].copy_from_slice(&previous[..range.len()]);
                text[range.start - BLOCK..range.start].copy_from_slice(&block);
            } else {
                text[range].copy_from_slice(&block);
            }
            previous = block;
        }
    }

    /// The inverse of [`encrypt`](Self::encrypt).
    fn decrypt(&self, text: &mut [u8]) {
        let count = text.len().div_ceil(BLOCK);
        let mut previous = [0; BLOCK];
        let straight = if count > 1 { count - 2 } else { count };
        for at in 0..straight {
            let place = &mut text[at * BLOCK..(at + 1) * BLOCK];
            previous = self.decrypt_onto(place, &previous);
        }
        if count < 2 {
            return;
        }
        let (last_but_one, last) = text[straight * BLOCK..].split_at_mut(BLOCK);
        let mut block = [0; BLOCK];
        block.copy_from_slice(last_but_one);
        self.decrypt_block(&mut block);
        // What was stolen from the last but one is the tail of this.
        let mut stolen = block;
        stolen[..last.len()].copy_from_slice(last);
        for (to, from) in last.iter_mut().zip(&block) {
            *to ^= from;
        }
        self.decrypt_block(&mut stolen);
        xor(&mut stolen, &previous);
        last_but_one.copy_from_slice(&stolen);
    }

    /// Decrypts one block in place; gives its ciphertext.
    fn decrypt_onto(&self, place: &mut [u8], previous: &[u8; BLOCK]) -> [u8; BLOCK] {
        let mut sealed = [0; BLOCK];
        sealed.copy_from_slice(place);
        let mut block = sealed;
        self.decrypt_block(&mut block);
        xor(&mut block, previous);
        place.copy_from_slice(&block);
        sealed
    }
}

fn xor(block: &mut [u8; BLOCK], other: &[u8; BLOCK]) {
    for (to, from) in block.iter_mut().zip(other) {
        *to ^= from;
    }
}
