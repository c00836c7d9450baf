//! What a server keeps to speak SCRAM-SHA-256 (RFC 5802, RFC 7677): made, not used here.
//!
//! ```text
//! SCRAM-SHA-256$10000:SALT$STOREDKEY:SERVERKEY     base64; as in RFC 5803 and PostgreSQL
//!
//! SaltedPassword = PBKDF2(SHA-256, password, salt, iterations)
//! StoredKey      = SHA-256(HMAC(SaltedPassword, "Client Key"))
//! ServerKey      = HMAC(SaltedPassword, "Server Key")
//! ```
//!
//! RFC 5802 has passwords prepared by SASLprep first. Printable ASCII is its own
//! preparation; other passwords get no verifier, since one that the client
//! prepares differently would fit no login.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::argon2id::HashError;
use crate::base::Secret;

/// The verifier of `password`, with a new salt; `None` if it would have to be prepared.
///
/// # Errors
/// `Random`.
pub(in crate::backend) fn verifier(password: &Secret) -> Result<Option<String>, HashError> {
    let is_printable = password.expose().iter().all(|byte| (b' '..=b'~').contains(byte));
    if !is_printable {
        return Ok(None);
    }
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| HashError::Random(error.to_string()))?;
    derive(password.expose(), &salt, ITERATIONS).map(Some)
}

fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Result<String, HashError> {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut *salted);
    let client_key = Zeroizing::new(keyed(&*salted, b"Client Key")?);
    let stored_key = Sha256::digest(*client_key);
    let server_key = Zeroizing::new(keyed(&*salted, b"Server Key")?);
    let [salt, stored_key, server_key] =
        [salt, &stored_key[..], &server_key[..]].map(|bytes| STANDARD.encode(bytes));
    Ok(format!("{PREFIX}{iterations}:{salt}${stored_key}:{server_key}"))
}

fn keyed(key: &[u8], text: &[u8]) -> Result<[u8; 32], HashError> {
    // HMAC takes keys of any length.
    let mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| HashError::Syntax)?;
    Ok(mac.chain_update(text).finalize().into_bytes().into())
}

/// True if `text` has the form of a verifier that could serve a login.
pub(in crate::backend) fn is_verifier(text: &str) -> bool {
    let parts = || {
        let (costs, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
        let (iterations, salt) = costs.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let is_key = |key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 32);
        let is_salt = STANDARD.decode(salt).is_ok_and(|bytes| !bytes.is_empty());
        let iterations: u32 = iterations.parse().ok()?;
        let is_bounded = (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations);
        (is_bounded && is_salt && is_key(stored_key) && is_key(server_key)).then_some(())
    };
    parts().is_some()
}

const PREFIX: &str = "SCRAM-SHA-256$";
const SALT_BYTES: usize = 16;
/// Each login of a client costs it this many; RFC 7677 asks for 4,096 or more.
const ITERATIONS: u32 = 10_000;
const MIN_ITERATIONS: u32 = 4096;
const MAX_ITERATIONS: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::copied_from(text.as_bytes()).unwrap()
    }

    #[test]
    fn derives_the_keys_of_the_example_in_rfc_7677() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = derive(b"pencil", &salt, 4096).unwrap();
        assert!(is_verifier(&text));
        let keys = text.strip_prefix("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$").unwrap();
        let (stored_key, server_key) = keys.split_once(':').unwrap();
        // The messages of RFC 7677 §3.
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                       r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                       c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server_key = STANDARD.decode(server_key).unwrap();
        let signature = keyed(&server_key, message.as_bytes()).unwrap();
        assert_eq!(STANDARD.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let stored_key = STANDARD.decode(stored_key).unwrap();
        let signature = keyed(&stored_key, message.as_bytes()).unwrap();
        let proof = STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha256::digest(client_key).to_vec(), stored_key);
    }

    #[test]
    fn a_verifier_is_new_each_time_and_only_for_what_needs_no_preparation() {
        let one = verifier(&secret("s3cret")).unwrap().unwrap();
        let two = verifier(&secret("s3cret")).unwrap().unwrap();
        assert_ne!(one, two);
        assert!(is_verifier(&one) && is_verifier(&two));
        for other in ["p\u{e4}ss", "tab\tbed"] {
            assert_eq!(verifier(&secret(other)).unwrap(), None);
        }
    }

    #[test]
    fn no_truncation_is_a_verifier() {
        let text = verifier(&secret("s3cret")).unwrap().unwrap();
        for end in 0..text.len() {
            assert!(!is_verifier(&text[..end]), "{}", &text[..end]);
        }
        assert!(!is_verifier(&text.replace("$10000:", "$4095:")));
    }
}
