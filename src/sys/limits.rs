//! Limits of the process on what the kernel gives it.
//!
//! Called by `daemon` at start, before there are connections.

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of descriptors that may be open to what is allowed at
/// most; gives the limit that holds then. A connection is a descriptor, and
/// the usual soft limit of 1,024 (kept low for programs that use `select(2)`)
/// is no more than one service needs.
#[must_use]
pub fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        return Some(soft);
    }
    Some(hard)
}

/// Keeps the memory of the process, in which there are passwords, out of core
/// files, and away from debuggers of the same user. Both are needed: a core
/// that goes to a program (`core_pattern` with a `|`) has no size limit.
///
/// # Errors
/// Those of `setrlimit(2)` and `prctl(2)`; neither needs a privilege.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    let undumpable = prctl::set_dumpable(false);
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(undumpable?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_the_soft_limit_to_the_hard_one() {
        let raised = raise_open_files();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!((raised, soft), (Some(hard), hard));
    }
}
