//! The saslauthd request and reply: one of each a connection, both directions.
//!
//! ```text
//! request   u16 len | login      lengths are big-endian byte counts, no NULs
//!           u16 len | password
//!           u16 len | service    may be empty
//!           u16 len | realm      may be empty
//!           u16 len | "ip;port"  only unreleased libsasl2; 2.1.28 and older stop before it
//! reply     u16 len | text       begins with "OK" or "NO", then perhaps a blank and a reason
//! ```
//!
//! Our gate may ask our authd for a handover token (`auth::HandoverToken`): the
//! fifth field then ends with `;handover`, and the reply may be
//! `OK handover=TOKEN`. Whoever does not know of it does not read the field, and
//! looks at the first two bytes of the reply.
//!
//! The fifth field was added without a version: whoever waits for it hangs on
//! every older client. Those that send it do so in one write, so here it is
//! taken when its bytes are there with the fourth field, and never waited for.
//!
//! Server side for `server::saslauthd`, client side for `backend::remote` and
//! `testsaslauthd`. Not here: what a login means (`base::Identity`), which
//! texts are answered when (`server::saslauthd`). Behaviour as saslauthd
//! 2.1.28, except where the limits are wider and NULs are refused.

mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use reply::{MAX_REPLY_BYTES, Reply, ReplyError, ReplyWord, ServerReply, accepted_with};
pub use request::{
    ClientAddress, Credentials, Field, Known, MAX_REQUEST_BYTES, Refusal, Request, RequestBuffer,
    RequestTooLong,
};
