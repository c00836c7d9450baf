//! Other daemons that can verify, as the gate is given them.
//!
//! Today the client of a saslauthd socket, our authd's or Cyrus's; it runs
//! PLAIN and LOGIN on this side and carries the password over. Called by the
//! gate through [`crate::auth::Mechanisms`].

mod mechanisms;
mod saslauthd;
#[cfg(test)]
mod tests;

pub use saslauthd::Saslauthd;
