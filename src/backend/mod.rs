//! Who can verify: the password store, PAM, and other daemons.

pub mod pam;
pub mod remote;
pub mod store;
