//! TLS: the gate's certificates, those of its clients, connections to servers, and what was
//! negotiated.
//!
//! [`ServerTls`] serves certificates by name, judges those of clients, and can be
//! reloaded under running listeners; [`ClientTls`] verifies a server we talk to; [`Negotiated`] is what the
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
//! Limits: certificate, key, list and response files of at most 1 MiB; TLS 1.2 and
//! 1.3. Keys of tickets change every six hours and live for twelve.

mod chooser;
mod client;
mod clients;
mod der;
mod distinguished;
mod error;
mod expiry;
mod files;
mod negotiated;
mod pin;
mod server;
mod settings;
mod staple;
mod unverified;
mod x509;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod tests;

pub use client::{ClientStream, ClientTls, Trust, Verification};
pub use clients::ClientCertificate;
pub use error::{HandshakeError, TlsError};
pub use expiry::{Expiry, Stage, Subject};
pub use negotiated::{Negotiated, negotiated_client};
pub use pin::Pin;
pub use server::{ServerStream, ServerTls};
pub use settings::{ClientCertificates, Demand, MinimumVersion, Pair, Settings};
