//! How the values of a line are written: clients, names, addresses, queue ids.
//!
//! Each wrapper escapes so that no value can end itself and begin another key.

use std::fmt::{self, Write};
use std::net::IpAddr;

use crate::base::Printable;
use crate::ops::log::json::Object;

/// The mail client, written as sendmail writes `relay=`.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its verified host name, if one was looked up.
    pub name: Option<&'a str>,
    /// Its address; an IPv4 address in IPv6 clothes is shown as IPv4.
    pub address: IpAddr,
    /// The id of its session; empty where it has none.
    pub session: &'a str,
}

impl Client<'_> {
    /// The session's id where sendmail has the queue's: `ID: ` before a line's text.
    pub(super) fn head(&self) -> Head<'_> {
        Head(self.session)
    }

    /// Its members in JSON.
    pub(super) fn members(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        if !self.session.is_empty() {
            to.text("session", self.session)?;
        }
        to.shown("client", self.address.to_canonical())?;
        match self.name {
            Some(name) => to.text("client_name", name),
            None => Ok(()),
        }
    }
}

/// `ID: `, or nothing.
pub(super) struct Head<'a>(&'a str);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

impl fmt::Display for Client<'_> {
    /// `name [192.0.2.7]`, `[192.0.2.7]` or `[IPv6:2001:db8::7]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name {
            write!(f, "{} ", Value(name))?;
        }
        match self.address.to_canonical() {
            IpAddr::V4(address) => write!(f, "[{address}]"),
            IpAddr::V6(address) => write!(f, "[IPv6:{address}]"),
        }
    }
}

/// What TLS agreed on, in sendmail's words.
#[derive(Debug, Clone, Copy)]
pub struct TlsFacts<'a> {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: &'a str,
    /// OpenSSL's name of the cipher suite.
    pub cipher: &'a str,
    /// Strength in bits.
    pub bits: u16,
    /// `NOT` where no certificate was asked for, `OK` where one was verified.
    pub verify: &'a str,
}

impl TlsFacts<'_> {
    /// Its members in JSON.
    pub(super) fn members(&self, to: &mut Object<'_, '_>) -> fmt::Result {
        let Self { version, cipher, bits, verify } = self;
        to.text("version", version)?;
        to.text("verify", verify)?;
        to.text("cipher", cipher)?;
        to.number("bits", *bits)
    }
}

/// Peer text as the value of a key: escaped, cut, without blanks and commas.
pub(super) struct Value<'a>(pub(super) &'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct NoSeparators<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for NoSeparators<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars().try_for_each(|c| match c {
                    ' ' => self.0.write_str("\\x20"),
                    ',' => self.0.write_str("\\x2c"),
                    _ => self.0.write_char(c),
                })
            }
        }
        write!(NoSeparators(f), "{}", Printable::from(self.0))
    }
}

/// A user name as sendmail logs it: xtext with sendmail's set of special characters.
pub(super) struct Xtext<'a>(pub(super) &'a str);

impl fmt::Display for Xtext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        let shown = &bytes[..bytes.len().min(Printable::MAX_BYTES)];
        for byte in shown {
            let is_plain = (0x21..=0x7e).contains(byte) && !b"+\\()<>\"=".contains(byte);
            if is_plain {
                f.write_char(char::from(*byte))?;
            } else {
                write!(f, "+{byte:02X}")?;
            }
        }
        if shown.len() < bytes.len() { f.write_str("...") } else { Ok(()) }
    }
}

/// Longest queue id that is taken for one.
const MAX_QUEUE_ID: usize = 64;

/// The backend's queue id in its reply to the content of a message: the word
/// behind the enhanced code of `250 2.0.0 QID Message accepted for delivery`
/// (sendmail), or behind `queued as` (Postfix). `None` where there is none.
pub(super) fn queue_id(reply: &str) -> Option<&str> {
    let text = reply.strip_prefix("250 2.0.0 ").or_else(|| reply.strip_prefix("250-2.0.0 "))?;
    let word = match text.split_once(" queued as ") {
        Some((_, rest)) => rest.split_whitespace().next()?,
        None => text.split_once(" Message accepted")?.0,
    };
    let is_id = !word.is_empty()
        && word.len() <= MAX_QUEUE_ID
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then_some(word)
}
