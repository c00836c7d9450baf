//! Bytes to values and back, without I/O.

pub mod saslauthd;
pub mod smtp;
