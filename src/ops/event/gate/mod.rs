//! SMTP session outcomes: TLS, AUTH, messages, refusals. One function a fact, one line a call.
//!
//! Called by the gate's driver and nobody else. The lines are a contract: log
//! analyzers and fail2ban filters made for sendmail read them, so the first
//! three are sendmail's own, to the letter (sendmail 8.17, LogLevel 9 and up):
//!
//! ```text
//! STARTTLS=server, relay=[192.0.2.7], version=TLSv1.3, verify=NOT, cipher=TLS_AES_256_GCM_SHA384, bits=256/256
//! AUTH=server, relay=[192.0.2.7], authid=alice, mech=PLAIN, bits=0
//! AUTH failure (LOGIN): authentication failure (-13) SASL(-13): authentication failure: checkpass failed, user=alice, relay=[192.0.2.7]
//! STARTTLS=server, error: accept failed=-1, reason=plaintext instead of TLS, SSL_error=1, errno=0, retry=-1, relay=[192.0.2.7]
//! message: from=<a@b.test>, to=<c@d.test>,<e@d.test>, size=4096, nrcpts=2, client=[192.0.2.7], login=alice, proto=ESMTPSA, tls=TLSv1.3/TLS_AES_256_GCM_SHA384, backend=127.0.0.1:10587, queueid=6AKBxRDK017977, reply="250 2.0.0 6AKBxRDK017977 Message accepted for delivery", ms=12, outcome=accepted, refused=0, id=k3f9abcdef.1
//! STARTTLS=server, cert-subject=/C=DE/CN=alice, cert-issuer=/C=DE/CN=Root, verifymsg=ok, relay=[192.0.2.7], fingerprint=AB:CD:...
//! certificate: file=/etc/pki/mail.pem, names=mail.example.org, not-before=2026-10-01T00:00:00Z, not-after=2026-12-30T00:00:00Z, state=expires, days=7
//! rejected: relay=[192.0.2.7], reason=http-verb, reply="421 5.7.0 ..."
//! ```
//!
//! Where a line is about a session, the session's id stands before it, as the
//! queue's does in sendmail's lines: `k3f9abcdefghij: AUTH=server, ...`. In JSON
//! it is the member `session`, and the client's address is `client`.
//!
//! Keys keep their order and new ones go to the end. Peer text is escaped and
//! cut: a value holds no control character, quote or bracket of the peer's,
//! and (but for `reply`, which is quoted, and reasons) no blank or comma, so no
//! address can pretend to be a further key. Names of users are in xtext (RFC
//! 3461 §4), as sendmail writes them. No secret is ever given to this module.

mod auth;
mod backend;
mod certificate;
mod message;
mod policy;
mod session;
mod text;

#[cfg(test)]
mod tests;

pub use auth::{AuthEvent, AuthOutcome, auth};
pub use backend::{backend_down, backend_trouble, backend_up};
pub use certificate::{Certificate, Ending, certificate};
pub use message::{MessageEvent, MessageOutcome, message};
pub use policy::{
    AccessEvent, SuspicionEvent, access_ruled, account_released, account_suspicious,
    block_list_down, block_list_up,
};
pub use session::{
    PresentedCertificate, Rejection, SessionEvent, TlsFailure, connected, disconnected, rejected,
    tls_backend, tls_certificate, tls_failed, tls_started,
};
pub use text::{Client, TlsFacts};
