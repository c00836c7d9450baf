//! The backend `kerberos5`: asks a KDC whether a password is right, and has the KDC prove itself.
//!
//! ```text
//! we                                    KDC
//! AS-REQ alice                  ──▶
//!                               ◀──  prove that you know the password (salt, rounds)
//! AS-REQ alice, sealed time     ──▶
//!                               ◀──  AS-REP: a ticket, sealed with the key of the password
//! TGS-REQ host/mx               ──▶
//!                               ◀──  TGS-REP: a ticket, sealed with the key of host/mx
//! the keytab's key opens it, and it is alice's: that was the KDC of our realm
//! ```
//!
//! As the original, and krb5_verify_init_creds(3) with ap_req_nofail. Without
//! the last step anybody who can answer in the KDC's place logs in as anybody,
//! with a password of his choice (the Zanarotti attack); so there is no way
//! around it, and without the key of the keytab everything is *unavailable*.
//! Speaks TCP, to the KDCs that krb5.conf names; DNS is not asked for them.
//!
//! | file | what |
//! |---|---|
//! | `settings` | what is asked |
//! | `files` | krb5.conf and keytab, read anew for each login: whom to ask, as whom |
//! | `exchange` | what each message says, and what its answer means; pure |
//! | `kdc` | the connection, and which KDC is asked |
//! | `verify` | one login, from the files to the answer: the hub |

mod exchange;
mod files;
mod kdc;
mod settings;
mod verify;

pub use settings::Settings;
pub use verify::{Kerberos, KerberosError, trouble};
