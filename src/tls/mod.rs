//! TLS: the gate's certificate, the connection to the backend, and what was negotiated.
//!
//! [`ServerTls`] serves one certificate and can be reloaded under running
//! listeners; [`ClientTls`] verifies a server we talk to; [`Negotiated`] is what the
//! log line and the `Received:` line say about a connection. Protocol and
//! cryptography are rustls with aws-lc-rs: TLS 1.2 and 1.3, nothing older.
//!
//! Not for: when TLS starts (the SMTP session decides), deadlines (the caller
//! has them), logging. Called by the gate's driver, by backends across the
//! network, and by `saslgate try`.
//!
//! A caller of [`ServerTls::accept`] behind STARTTLS must have dropped every
//! byte that came before the handshake (RFC 3207 §4.2, CVE-2011-0411), and a
//! caller of [`ClientTls::connect`] every capability and byte it got in clear.
//!
//! Limits: certificate and key files of at most 1 MiB; one certificate; no
//! client certificates are asked for.

mod client;
mod error;
mod files;
mod negotiated;
mod server;
mod settings;
mod unverified;
mod validity;

#[cfg(test)]
mod tests;

pub use client::{ClientStream, ClientTls, Trust, Verification};
pub use error::{HandshakeError, TlsError};
pub use negotiated::{Negotiated, negotiated_client, negotiated_server};
pub use server::{ServerStream, ServerTls};
pub use settings::{MinimumVersion, Settings};
pub use validity::Validity;
