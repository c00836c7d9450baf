//! The `Received:` line that the gate puts on top of a message (RFC 5321 §4.4).
//!
//! In sendmail's layout, with the real client: sendmail adds its own above it,
//! which names only the gate. Everything in it was validated or made by us, so
//! no byte of a client can start a header of its own.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::names::ClientName;
use crate::tls::Negotiated;

/// What the line says.
pub(super) struct Trace<'a> {
    /// What the client called itself in EHLO, as validated.
    pub(super) client_name: &'a str,
    pub(super) peer: SocketAddr,
    /// What the DNS says of its name.
    pub(super) name: &'a ClientName,
    /// Our own name.
    pub(super) hostname: &'a str,
    /// Its user has logged in.
    pub(super) is_authenticated: bool,
    pub(super) tls: Option<&'a Negotiated>,
    /// The message was declared SMTPUTF8.
    pub(super) is_smtputf8: bool,
    /// Session and message, as in the log.
    pub(super) id: &'a str,
    /// The recipient, if there is just one: more would disclose blind copies.
    pub(super) recipient: Option<&'a str>,
    /// RFC 5322 §3.3 date.
    pub(super) date: &'a str,
}

impl Trace<'_> {
    /// The header field with its CRLF, ready to stand before the content.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut text = format!("Received: from {} (", self.client_name);
        if let ClientName::Verified(name) = self.name {
            let _ = write!(text, "{name} ");
        }
        text.push_str(&literal(self.peer));
        text.push_str(if *self.name == ClientName::Forged { " (may be forged))" } else { ")" });
        let protocol = protocol(self.is_smtputf8, self.tls.is_some(), self.is_authenticated);
        if self.is_authenticated {
            text.push_str("\r\n\t(authenticated bits=0)");
        }
        let (hostname, id) = (self.hostname, self.id);
        let _ = write!(text, "\r\n\tby {hostname} (saslgate) with {protocol} id {id}");
        if let Some(tls) = self.tls {
            let _ = write!(
                text,
                "\r\n\t(version={} cipher={} bits={} verify={})",
                tls.version, tls.cipher, tls.bits, tls.verify
            );
        }
        if let Some(recipient) = self.recipient {
            let _ = write!(text, "\r\n\tfor <{recipient}>");
        }
        let _ = write!(text, "; {}\r\n", self.date);
        text.into_bytes()
    }
}

/// The protocol of a message (RFC 3848, RFC 6531 §4.3): S for TLS and A for AUTH.
pub(super) fn protocol(is_smtputf8: bool, has_tls: bool, is_authenticated: bool) -> &'static str {
    match (is_smtputf8, has_tls, is_authenticated) {
        (false, false, false) => "ESMTP",
        (false, false, true) => "ESMTPA",
        (false, true, false) => "ESMTPS",
        (false, true, true) => "ESMTPSA",
        (true, false, false) => "UTF8SMTP",
        (true, false, true) => "UTF8SMTPA",
        (true, true, false) => "UTF8SMTPS",
        (true, true, true) => "UTF8SMTPSA",
    }
}

/// An address literal (RFC 5321 §4.1.3).
pub(super) fn literal(peer: SocketAddr) -> String {
    match peer.ip().to_canonical() {
        std::net::IpAddr::V4(address) => format!("[{address}]"),
        std::net::IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_sendmail_would_with_the_real_client() {
        let tls = Negotiated {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
            bits: 256,
            verify: "NOT",
            certificate: None,
            server_name: None,
        };
        let trace = Trace {
            client_name: "laptop.test",
            peer: "192.0.2.7:50000".parse().unwrap(),
            name: &ClientName::Verified("pool-7.isp.test".to_owned()),
            hostname: "gate.test",
            is_authenticated: true,
            tls: Some(&tls),
            is_smtputf8: false,
            id: "k3f9.1",
            recipient: Some("bob@gate.test"),
            date: "Fri, 20 Nov 2026 11:59:27 +0000",
        };
        assert_eq!(
            String::from_utf8(trace.header()).unwrap(),
            "Received: from laptop.test (pool-7.isp.test [192.0.2.7])\r\n\
             \t(authenticated bits=0)\r\n\
             \tby gate.test (saslgate) with ESMTPSA id k3f9.1\r\n\
             \t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NOT)\r\n\
             \tfor <bob@gate.test>; Fri, 20 Nov 2026 11:59:27 +0000\r\n"
        );
    }

    #[test]
    fn names_the_protocol_of_an_internationalised_message() {
        assert_eq!(protocol(true, true, true), "UTF8SMTPSA");
    }

    #[test]
    fn writes_addresses_as_literals() {
        assert_eq!(literal("[2001:db8::1]:1".parse().unwrap()), "[IPv6:2001:db8::1]");
        assert_eq!(literal("[::ffff:192.0.2.1]:1".parse().unwrap()), "[192.0.2.1]");
    }
}
