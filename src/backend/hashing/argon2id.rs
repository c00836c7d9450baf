//! One argon2id computation (RFC 9106), in memory that is kept and wiped.
//!
//! Verifiers are PHC strings, `$argon2id$v=19$m=19456,t=2,p=1$SALT$TAG`. The
//! costs in a stored string are obeyed only up to a cap: whoever can write the
//! file must not be able to eat the memory of the host through it.
//!
//! A [`Hasher`] keeps its blocks between computations, because faulting the
//! pages in costs a fifth of the whole. They are wiped after each: the first
//! block is a cheap guess away from the password.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::base::Secret;

/// What one hash costs. `memory * iterations <= MAX_WORK_KIB`: that is its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::backend) struct Cost {
    /// KiB; `8 * lanes <= memory <= MAX_MEMORY_KIB`.
    memory_kib: u32,
    /// Passes; `1 <= iterations <= MAX_ITERATIONS`.
    iterations: u32,
    /// `1 <= lanes <= MAX_LANES`.
    lanes: u32,
}

/// Why a hash cannot be computed or a verifier cannot be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::backend) enum HashError {
    #[error("it is no PHC string")]
    Syntax,
    #[error("it is not argon2id version 19")]
    Algorithm,
    #[error(
        "memory {memory_kib} KiB, {iterations} iterations, {lanes} lanes is out of range: at most \
         1 GiB, 64, 16, and memory times iterations at most 4 GiB"
    )]
    Cost { memory_kib: u32, iterations: u32, lanes: u32 },
    #[error("there is not enough memory for {0} KiB")]
    OutOfMemory(u32),
    #[error("no random bytes: {0}")]
    Random(String),
    #[error("argon2id: {0}")]
    Argon2(String),
}

impl Cost {
    /// # Errors
    /// `Cost` if a value is out of its range.
    pub(in crate::backend) fn new(
        memory_kib: u32,
        iterations: u32,
        lanes: u32,
    ) -> Result<Self, HashError> {
        let is_bounded = memory_kib <= MAX_MEMORY_KIB
            && iterations <= MAX_ITERATIONS
            && lanes <= MAX_LANES
            && u64::from(memory_kib) * u64::from(iterations) <= MAX_WORK_KIB;
        if !is_bounded || Params::new(memory_kib, iterations, lanes, None).is_err() {
            return Err(HashError::Cost { memory_kib, iterations, lanes });
        }
        Ok(Self { memory_kib, iterations, lanes })
    }
}

/// What a password is checked against. Holds no secret, but is worth guessing at: never logged.
pub(in crate::backend) struct Verifier {
    cost: Cost,
    salt: Salt,
    tag: Output,
}

impl Verifier {
    /// Reads a stored PHC string.
    ///
    /// # Errors
    /// `Syntax`, `Algorithm`, `Cost`.
    pub(in crate::backend) fn parse(text: &str) -> Result<Self, HashError> {
        let parsed = PasswordHash::new(text).map_err(|_| HashError::Syntax)?;
        if parsed.algorithm.as_str() != "argon2id" || parsed.version != Some(19) {
            return Err(HashError::Algorithm);
        }
        let number = |name: &str| parsed.params.get_decimal(name).ok_or(HashError::Syntax);
        let cost = Cost::new(number("m")?, number("t")?, number("p")?)?;
        let (Some(salt), Some(tag)) = (parsed.salt, parsed.hash) else {
            return Err(HashError::Syntax);
        };
        if tag.len() < TAG_BYTES {
            return Err(HashError::Syntax);
        }
        Ok(Self { cost, salt, tag })
    }

    /// What checking it costs.
    pub(in crate::backend) fn cost(&self) -> Cost {
        self.cost
    }

    /// A verifier that costs what a new one costs and that no password fits:
    /// its tag is drawn, not computed.
    ///
    /// # Errors
    /// `Random`.
    pub(in crate::backend) fn dummy(cost: Cost) -> Result<Self, HashError> {
        let tag = Output::new(&random::<TAG_BYTES>()?).map_err(|_| HashError::Syntax)?;
        Ok(Self { cost, salt: random_salt()?, tag })
    }
}

/// Computes hashes, one at a time.
pub(in crate::backend) struct Hasher {
    blocks: Vec<Block>,
    /// Blocks that are kept between computations; what a rare bigger one took is given back.
    kept: usize,
}

impl Hasher {
    /// A hasher that keeps the memory that `cost` needs. Takes it at the first use.
    pub(in crate::backend) fn new(cost: Cost) -> Self {
        Self { blocks: Vec::new(), kept: cost.memory_kib as usize }
    }

    /// Makes the PHC string of a new password.
    ///
    /// # Errors
    /// `OutOfMemory`, `Random`, `Argon2`.
    pub(in crate::backend) fn verifier(
        &mut self,
        cost: Cost,
        password: &Secret,
    ) -> Result<String, HashError> {
        let salt = random_salt()?;
        let tag = self.tag(cost, &salt, TAG_BYTES, password)?;
        let mut params = ParamsString::new();
        for (name, value) in [("m", cost.memory_kib), ("t", cost.iterations), ("p", cost.lanes)] {
            params.add_decimal(name, value).map_err(|_| HashError::Syntax)?;
        }
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(salt),
            hash: Some(Output::new(&tag).map_err(|_| HashError::Syntax)?),
        };
        Ok(hash.to_string())
    }

    /// True if `password` is the one `verifier` was made of. Compares in constant time.
    ///
    /// # Errors
    /// `OutOfMemory`, `Argon2`: the question was not answered.
    pub(in crate::backend) fn matches(
        &mut self,
        verifier: &Verifier,
        password: &Secret,
    ) -> Result<bool, HashError> {
        let expected = verifier.tag.as_bytes();
        let tag = self.tag(verifier.cost, &verifier.salt, expected.len(), password)?;
        Ok(tag.ct_eq(expected).into())
    }

    fn tag(
        &mut self,
        cost: Cost,
        salt: &[u8],
        length: usize,
        password: &Secret,
    ) -> Result<Zeroizing<Vec<u8>>, HashError> {
        let failed = |error: argon2::Error| HashError::Argon2(error.to_string());
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, Some(length))
            .map_err(failed)?;
        let needed = params.block_count();
        self.reserve(needed).ok_or(HashError::OutOfMemory(cost.memory_kib))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut tag = Zeroizing::new(vec![0; length]);
        let blocks = &mut self.blocks[..needed];
        let outcome =
            argon2.hash_password_into_with_memory(password.expose(), salt, &mut tag, &mut *blocks);
        for block in blocks {
            block.zeroize();
        }
        if self.blocks.len() > self.kept {
            self.blocks.truncate(self.kept);
            self.blocks.shrink_to_fit();
        }
        outcome.map_err(failed).map(|()| tag)
    }

    fn reserve(&mut self, needed: usize) -> Option<()> {
        let missing = needed.saturating_sub(self.blocks.len());
        self.blocks.try_reserve_exact(missing).ok()?;
        self.blocks.resize(self.blocks.len().max(needed), Block::new());
        Some(())
    }
}

fn random_salt() -> Result<Salt, HashError> {
    Salt::new(&random::<16>()?).map_err(|_| HashError::Syntax)
}

fn random<const N: usize>() -> Result<[u8; N], HashError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| HashError::Random(error.to_string()))?;
    Ok(bytes)
}

/// 1 GiB.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_ITERATIONS: u32 = 64;
const MAX_LANES: u32 = 16;
/// Memory times iterations: some four seconds. One login must not take a hash
/// thread for longer, nor a stop wait for it.
const MAX_WORK_KIB: u64 = 4 * 1024 * 1024;
/// Length of new tags, and the least a stored one may have.
const TAG_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, lanes: 1 };

    fn secret(text: &str) -> Secret {
        Secret::copied_from(text.as_bytes()).unwrap()
    }

    #[test]
    fn verifies_a_string_of_the_reference_implementation() {
        // printf password | argon2 somesalt -id -v 13 -t 2 -m 16 -p 1 -e (phc-winner-argon2, test.c)
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                      $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let verifier = Verifier::parse(stored).unwrap();
        let mut hasher = Hasher::new(CHEAP);
        assert!(hasher.matches(&verifier, &secret("password")).unwrap());
        assert!(!hasher.matches(&verifier, &secret("passwore")).unwrap());
        assert_eq!(hasher.blocks.len(), 64, "the memory of a bigger hash is given back");
    }

    #[test]
    fn a_new_verifier_fits_its_password_only_and_never_repeats() {
        let mut hasher = Hasher::new(CHEAP);
        let one = hasher.verifier(CHEAP, &secret("s3cret")).unwrap();
        let two = hasher.verifier(CHEAP, &secret("s3cret")).unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{one}");
        assert_ne!(one, two);
        let verifier = Verifier::parse(&one).unwrap();
        assert!(hasher.matches(&verifier, &secret("s3cret")).unwrap());
        assert!(!hasher.matches(&verifier, &secret("s3creT")).unwrap());
        assert!(!hasher.matches(&verifier, &secret("")).unwrap());
    }

    #[test]
    fn the_memory_is_wiped_after_each_hash() {
        let mut hasher = Hasher::new(CHEAP);
        hasher.verifier(CHEAP, &secret("s3cret")).unwrap();
        assert_eq!(hasher.blocks.len(), 64);
        assert!(hasher.blocks.iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }

    #[test]
    fn refuses_stored_costs_beyond_the_caps() {
        let tail = "$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let parse = |costs: &str| Verifier::parse(&format!("$argon2id$v=19${costs}{tail}"));
        for costs in ["m=1048576,t=4,p=16", "m=65536,t=64,p=16"] {
            assert!(parse(costs).is_ok(), "{costs}");
        }
        let in_all = ["m=1048576,t=5,p=16", "m=65537,t=64,p=1"];
        let in_one = ["m=1048577,t=1,p=1", "m=64,t=65,p=1", "m=256,t=1,p=17", "m=7,t=1,p=1"];
        for costs in in_one.iter().chain(&in_all) {
            assert!(matches!(parse(costs), Err(HashError::Cost { .. })), "{costs}");
        }
    }

    #[test]
    fn refuses_every_truncation_of_a_verifier() {
        let mut hasher = Hasher::new(CHEAP);
        let text = hasher.verifier(CHEAP, &secret("s3cret")).unwrap();
        for end in 0..text.len() {
            assert!(Verifier::parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }

    #[test]
    fn no_changed_byte_of_a_verifier_lets_the_password_pass() {
        let mut hasher = Hasher::new(CHEAP);
        let text = hasher.verifier(CHEAP, &secret("s3cret")).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'B' { b'C' } else { b'B' };
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let Ok(verifier) = Verifier::parse(&changed) else { continue };
            assert!(!hasher.matches(&verifier, &secret("s3cret")).unwrap(), "{changed}");
        }
    }
}
