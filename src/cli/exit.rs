//! Exit codes beside 0 and 1, of sysexits(3), which mail programs and service managers know.
//!
//! Not here: the codes of the originals in `compat`, which are theirs.

/// `EX_USAGE` is 64 there; clap and every tool around us says 2.
pub(super) const USAGE: u8 = 2;
/// `EX_DATAERR`: a file is damaged, or another one.
pub(super) const DATA: u8 = 65;
/// `EX_NOINPUT`: a file is missing.
pub(super) const NO_INPUT: u8 = 66;
/// `EX_IOERR`: reading or writing failed.
pub(super) const IO: u8 = 74;
/// `EX_TEMPFAIL`: in use, another time.
pub(super) const TEMPORARY: u8 = 75;
/// `EX_NOPERM`.
pub(super) const NO_PERMISSION: u8 = 77;
/// `EX_CONFIG`: the configuration cannot be used.
pub(super) const CONFIG: u8 = 78;
