//! One event per outcome, each written by one function.
//!
//! The formats are a contract: fail2ban filters and log analyzers made for
//! saslauthd ([`auth`]) and sendmail ([`gate`]) read them, so keys keep their
//! order and new ones go to the end. What a peer said is escaped and cut;
//! no function here is ever given a secret. Each event is text and, where the log
//! is wanted so, a JSON object with the same facts (`tell!`); what has an outcome
//! is counted here, too (`ops::metrics`).

/// Logs an event at a level, in both of its forms; only the one that is wanted is made.
macro_rules! tell {
    ($level:ident, $event:expr) => {{
        let event = $event;
        tracing::$level!(
            target: crate::ops::log::EVENT,
            json = %crate::ops::log::json::Json(event),
            "{event}"
        )
    }};
}

pub mod auth;
pub mod gate;
