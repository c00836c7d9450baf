//! The backends that a login is asked of, in their order.

use std::fmt;
use std::sync::Arc;

use super::verify::Verify;

/// A chain names a backend that was not opened. A mistake of the composition
/// root: nothing may be asked instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the backend \"{0}\" was not opened")]
pub struct NoBackend(pub String);

/// Backends in the order they are asked. May be empty: then nobody can tell.
pub struct Chain {
    /// Its number among the chains of a configuration.
    pub(super) number: usize,
    pub(super) backends: Vec<Arc<dyn Verify>>,
}

impl Chain {
    /// Picks those called `names` out of the `opened` ones.
    ///
    /// # Errors
    /// The first name that is not there.
    pub(super) fn of(
        number: usize,
        names: &[String],
        opened: &[Arc<dyn Verify>],
    ) -> Result<Arc<Self>, NoBackend> {
        let backends = names.iter().map(|name| pick(name, opened)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { number, backends }))
    }

    /// True if the backend called `name` is one of them.
    #[must_use]
    pub fn asks(&self, name: &str) -> bool {
        self.backends.iter().any(|backend| backend.name() == name)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.backends.iter().map(|backend| backend.name())).finish()
    }
}

fn pick(name: &str, opened: &[Arc<dyn Verify>]) -> Result<Arc<dyn Verify>, NoBackend> {
    let found = opened.iter().find(|backend| backend.name() == name);
    found.map(Arc::clone).ok_or_else(|| NoBackend(name.to_owned()))
}
