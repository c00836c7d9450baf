//! Values everyone may name: secrets, identities, origins, reasons, printable text.
//!
//! Layer 0: imports nothing of ours, does no I/O, reads no clock. A rule that
//! decides what a *name* means (where `user@realm` is split, what a password
//! may hold) lives here and nowhere else.

mod identity;
mod origin;
mod printable;
mod reason;
mod secret;

pub use identity::{Identity, IdentityError, MAX_REALM_BYTES, MAX_USER_BYTES};
pub use origin::Origin;
pub use printable::Printable;
pub use reason::{Reason, ReasonCode};
pub use secret::{MAX_SECRET_BYTES, Secret, SecretError};
