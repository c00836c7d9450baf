//! What the gate counts.
//!
//! Called by `ops::event::gate` for outcomes, by the gate's driver and its
//! client for replies and bytes, and for one backend each by `gate::backends`.

use super::values::{Counter, Gauge, Histogram, Table};
use super::{Exposition, OTHER, place};

/// The counts of this process.
pub static GATE: Gate = Gate::new();

/// Everything about clients.
#[derive(Debug)]
pub struct Gate {
    /// Sessions that began.
    pub sessions: Counter,
    /// Sessions that are open.
    pub open: Gauge,
    rejections: Table<{ REJECTIONS.len() }>,
    tls: Table<{ TLS.len() }>,
    auth: [Table<{ AUTH_OUTCOMES.len() }>; MECHANISMS.len()],
    messages: Table<{ MESSAGE_OUTCOMES.len() }>,
    /// Content of accepted messages, in bytes.
    pub content: Counter,
    /// Recipients that were accepted, of messages that were.
    pub recipients: Counter,
    /// Replies to clients, by code less 200.
    replies: Table<400>,
    /// Bytes from clients, without what TLS adds.
    pub bytes_in: Counter,
    /// Bytes to clients, without what TLS adds.
    pub bytes_out: Counter,
}

/// The reasons of `ops::event::gate::Rejection`.
const REJECTIONS: [&str; 13] = [
    "too-many-sessions",
    "too-many-sessions-from-address",
    "too-many-commands",
    "too-many-errors",
    "too-many-auth-failures",
    "http-verb",
    "data-behind-starttls",
    "bdat-not-offered",
    "timeout",
    "unwelcome",
    "kicked",
    "bad-proxy-header",
    OTHER,
];
const TLS: [&str; 4] = ["TLSv1.3", "TLSv1.2", "failed", OTHER];
const MECHANISMS: [&str; 10] = [
    "PLAIN",
    "LOGIN",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "CRAM-MD5",
    "DIGEST-MD5",
    "EXTERNAL",
    "OAUTHBEARER",
    "XOAUTH2",
    OTHER,
];
const AUTH_OUTCOMES: [&str; 3] = ["accepted", "rejected", "unavailable"];
const MESSAGE_OUTCOMES: [&str; 4] = ["accepted", "refused", "tempfail", "lost"];

impl Gate {
    const fn new() -> Self {
        Self {
            sessions: Counter::new(),
            open: Gauge::new(),
            rejections: Table::new(),
            tls: Table::new(),
            auth: [const { Table::new() }; MECHANISMS.len()],
            messages: Table::new(),
            content: Counter::new(),
            recipients: Counter::new(),
            replies: Table::new(),
            bytes_in: Counter::new(),
            bytes_out: Counter::new(),
        }
    }

    /// A session was refused or cut off by us.
    pub fn rejected(&self, reason: &str) {
        self.rejections.of(place(&REJECTIONS, reason)).one();
    }

    /// A handshake ended, with this version or as `failed`.
    pub fn handshake(&self, version: &str) {
        self.tls.of(place(&TLS, version)).one();
    }

    /// An AUTH command ended.
    pub fn authenticated(&self, mechanism: &str, outcome: &str) {
        let outcome = place(&AUTH_OUTCOMES, outcome);
        self.auth[place(&MECHANISMS, mechanism)].of(outcome).one();
    }

    /// A message ended.
    pub fn message(&self, outcome: &str) {
        self.messages.of(place(&MESSAGE_OUTCOMES, outcome)).one();
    }

    /// A client was given a reply of this code.
    pub fn replied(&self, code: u16) {
        self.replies.of(usize::from(code).saturating_sub(200)).one();
    }

    /// All of it, as Prometheus reads it.
    pub fn write(&self, to: &mut Exposition) {
        to.counter("saslgate_gate_sessions", "Sessions that clients began.");
        to.count(&[], self.sessions.get());
        to.gauge("saslgate_gate_sessions_open", "Sessions that are open.");
        to.level(&[], self.open.get());
        to.counter("saslgate_gate_rejections", "Sessions that the gate refused or cut off.");
        for (reason, count) in REJECTIONS.iter().zip(self.rejections.iter()) {
            to.count(&[("reason", reason)], count.get());
        }
        to.counter("saslgate_gate_tls_handshakes", "TLS handshakes with clients.");
        for (version, count) in TLS.iter().zip(self.tls.iter()) {
            to.count(&[("version", version)], count.get());
        }
        to.counter("saslgate_gate_auth", "AUTH commands by mechanism and outcome.");
        for (mechanism, table) in MECHANISMS.iter().zip(&self.auth) {
            for (outcome, count) in AUTH_OUTCOMES.iter().zip(table.iter()) {
                to.count(&[("mechanism", mechanism), ("outcome", outcome)], count.get());
            }
        }
        self.write_mail(to);
    }

    fn write_mail(&self, to: &mut Exposition) {
        to.counter("saslgate_gate_messages", "Messages by what became of them.");
        for (outcome, count) in MESSAGE_OUTCOMES.iter().zip(self.messages.iter()) {
            to.count(&[("outcome", outcome)], count.get());
        }
        to.counter("saslgate_gate_recipients", "Recipients of accepted messages.");
        to.count(&[], self.recipients.get());
        to.counter("saslgate_gate_content_bytes", "Content of accepted messages.");
        to.count(&[], self.content.get());
        to.counter("saslgate_gate_bytes", "Bytes from and to clients, inside TLS.");
        to.count(&[("direction", "in")], self.bytes_in.get());
        to.count(&[("direction", "out")], self.bytes_out.get());
        to.counter("saslgate_gate_replies", "Replies to clients by code; those that were given.");
        for (index, count) in self.replies.iter().enumerate().filter(|(_, it)| it.get() > 0) {
            to.count(&[("code", &(index + 200).to_string())], count.get());
        }
    }
}

/// What is waited for at a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connection, greeting, EHLO, TLS.
    Connect,
    /// The reply to MAIL.
    Mail,
    /// The reply to RCPT.
    Rcpt,
    /// The 354.
    Data,
    /// From the 354 to the reply to the message, the client's sending included.
    Content,
}

const STEPS: [&str; 5] = ["connect", "mail", "rcpt", "data", "content"];

/// Everything about one backend. Outlives reloads that keep its address.
#[derive(Debug, Default)]
pub struct BackendCounts {
    /// Connections that were made.
    pub opened: Counter,
    /// Sessions that took over a connection that waited in the pool.
    pub reused: Counter,
    /// Times that it failed a session.
    pub failed: Counter,
    latency: [Histogram; STEPS.len()],
}

impl BackendCounts {
    /// How long `step` takes there.
    #[must_use]
    pub fn latency(&self, step: Step) -> &Histogram {
        &self.latency[step as usize]
    }

    /// The histograms, each with its name.
    pub fn latencies(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        STEPS.into_iter().zip(&self.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_series_and_strangers_share_one() {
        let gate = Gate::new();
        gate.authenticated("LOGIN", "rejected");
        gate.authenticated("NTLM", "accepted");
        gate.message("lost");
        gate.handshake("TLSv1.3");
        gate.handshake("SSLv9");
        gate.rejected("http-verb");
        gate.replied(250);
        gate.replied(999);
        let mut text = Exposition::default();
        gate.write(&mut text);
        let text = text.finish();
        for line in [
            "saslgate_gate_auth_total{mechanism=\"LOGIN\",outcome=\"rejected\"} 1\n",
            "saslgate_gate_auth_total{mechanism=\"other\",outcome=\"accepted\"} 1\n",
            "saslgate_gate_auth_total{mechanism=\"PLAIN\",outcome=\"accepted\"} 0\n",
            "saslgate_gate_messages_total{outcome=\"lost\"} 1\n",
            "saslgate_gate_tls_handshakes_total{version=\"TLSv1.3\"} 1\n",
            "saslgate_gate_tls_handshakes_total{version=\"other\"} 1\n",
            "saslgate_gate_rejections_total{reason=\"http-verb\"} 1\n",
            "saslgate_gate_replies_total{code=\"250\"} 1\n",
            "saslgate_gate_replies_total{code=\"599\"} 1\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
        assert_eq!(text.matches("saslgate_gate_replies_total").count(), 2, "only what was given");
    }
}
