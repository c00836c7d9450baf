//! `$y$`, yescrypt: how its settings are written. The computation is the library's.
//!
//! ```text
//! $y$ j N r [have [p] [t]] $ salt $ tag       one character a value
//! ```
//!
//! `j` is the only flavour that crypt(3) makes. Values that need more than one
//! character are beyond every cost that it makes, and refused; the library
//! never sees a setting that was not checked here.

use yescrypt::{Mode, Params};

use super::{CryptError, alphabet};

/// Characters of a tag: 32 bytes.
pub(super) const TAG_CHARACTERS: usize = 43;
/// Longest salt in characters: 64 bytes, as libxcrypt has it.
pub(super) const SALT_CHARACTERS: usize = 86;

/// The costs of a hash, within our limits.
#[derive(Clone, Copy)]
pub(super) struct Cost {
    params: Params,
    bytes: usize,
}

impl Cost {
    /// What Debian and Fedora hash with today: `j9T`, 16 MiB.
    pub(super) fn of_today() -> Result<Self, CryptError> {
        Self::parse("j9T")
    }

    /// Reads the settings field.
    ///
    /// # Errors
    /// `Syntax`, `Cost`.
    pub(super) fn parse(text: &str) -> Result<Self, CryptError> {
        let beyond = || CryptError::Cost(format!("yescrypt settings {text:?}"));
        let rest = text.strip_prefix('j').ok_or_else(beyond)?;
        let mut values = rest.bytes().map(|character| match alphabet::value(character) {
            Some(value) if value <= LAST_SINGLE => Ok(u32::from(value)),
            Some(_) => Err(beyond()),
            None => Err(CryptError::Syntax),
        });
        let mut next = |least: u32| -> Result<Option<u32>, CryptError> {
            values.next().transpose().map(|value| value.map(|value| value + least))
        };
        let log2 = next(1)?.ok_or(CryptError::Syntax)?;
        let block = next(1)?.ok_or(CryptError::Syntax)?;
        let have = next(1)?.unwrap_or(0);
        let lanes = if have & 1 == 0 { 1 } else { next(2)?.ok_or(CryptError::Syntax)? };
        let passes = if have & 2 == 0 { 0 } else { next(1)?.ok_or(CryptError::Syntax)? };
        if have > 3 || next(0)?.is_some() || log2 > 30 || lanes > MAX_LANES || passes > MAX_PASSES {
            return Err(beyond());
        }
        let blocks = 1u64 << log2;
        let bytes = 128 * blocks * u64::from(block);
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_BYTES);
        let bytes = bytes.ok_or_else(beyond)?;
        let params = Params::new_with_all_params(Mode::Rw, blocks, block, lanes, passes, 0)
            .map_err(|_| beyond())?;
        Ok(Self { params, bytes })
    }

    /// The tag of `password`.
    ///
    /// # Errors
    /// `OutOfMemory`, `Library`.
    pub(super) fn tag(&self, password: &[u8], salt: &[u8]) -> Result<String, CryptError> {
        // The library aborts the process where memory is refused, so we ask first.
        let mut probe = Vec::<u8>::new();
        probe.try_reserve_exact(self.bytes).map_err(|_| CryptError::OutOfMemory(self.bytes))?;
        drop(probe);
        let mut tag = [0; 32];
        yescrypt::yescrypt(password, salt, &self.params, &mut tag)
            .map_err(|error| CryptError::Library(error.to_string()))?;
        Ok(alphabet::encode(&tag))
    }
}

/// The last value that is written as one character.
const LAST_SINGLE: u8 = 47;
const MAX_LANES: u32 = 16;
const MAX_PASSES: u32 = 3;
/// 1 GiB: cost 11, the highest that crypt(3) makes.
const MAX_BYTES: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_settings_that_crypt_makes() {
        let memory = |text: &str| Cost::parse(text).map(|cost| cost.bytes).ok();
        assert_eq!(memory("j75"), Some(1 << 20));
        assert_eq!(memory("j9T"), Some(16 << 20));
        assert_eq!(memory("jFT"), Some(1 << 30));
        assert_eq!(memory("j95.0"), Some(4 << 20), "four lanes");
    }

    #[test]
    fn refuses_costs_beyond_the_limit_and_what_is_no_setting() {
        for text in ["jGT", "jzT", "j9z", "j9T5...", "j9T.z", "jT9", "/9T", "j9T/z", "j9T1"] {
            assert!(matches!(Cost::parse(text), Err(CryptError::Cost(_))), "{text}");
        }
        for text in ["j", "j9", "j9T.", "j9T/", "j!T", "j9\u{e4}"] {
            assert!(matches!(Cost::parse(text), Err(CryptError::Syntax)), "{text}");
        }
    }
}
